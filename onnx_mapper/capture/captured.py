"""From what the user has to one clean graph: inputs, parameters, outputs, and their names."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from pytensor.compile import Function  # type: ignore[attr-defined]
from pytensor.graph.basic import Apply, Constant, Variable
from pytensor.graph.fg import FunctionGraph
from pytensor.graph.traversal import graph_inputs
from pytensor.graph.utils import InconsistencyError

from onnx_mapper.errors import InvalidRequest
from onnx_mapper.language.tensors import Array

_LOGGER = logging.getLogger(__name__)

CLEAN_REWRITES = ("canonicalize", "stabilize", "ShapeOpt", "lower_xtensor")


@dataclass(frozen=True)
class GraphInput:
    """An input of the graph.

    Attributes:
        name: Its name in the model.
        variable: The PyTensor variable.
    """

    name: str
    variable: Any


@dataclass(frozen=True)
class Parameter:
    """A shared variable of the graph.

    Attributes:
        name: Its name in the model.
        variable: The PyTensor variable.
        value: The numbers that it holds now; None where they are no array.
        updated: Whether the function gives it a new value.
    """

    name: str
    variable: Any
    value: Array | None
    updated: bool


@dataclass(frozen=True)
class GraphOutput:
    """An output of the graph.

    Attributes:
        name: Its name in the model.
        variable: The PyTensor variable.
        updates: The parameter whose next value this is; None for the user's outputs.
    """

    name: str
    variable: Any
    updates: str | None = None


@dataclass(frozen=True)
class Captured:
    """A graph that is ready to be mapped.

    Attributes:
        inputs: The user's inputs, in order, used or not.
        parameters: The shared variables that the graph holds.
        outputs: The user's outputs in order, then the updates.
        name: What the model's graph is called.
    """

    inputs: tuple[GraphInput, ...]
    parameters: tuple[Parameter, ...]
    outputs: tuple[GraphOutput, ...]
    name: str = "pytensor"

    def applies(self) -> list[Apply[Any]]:
        """Return the Apply nodes that the outputs need, each after those that it reads.

        The order depends on the graph alone: depth first, from the first output on.
        """
        roots = [output.variable for output in self.outputs]
        return ordered_applies(roots, {p.variable for p in self.parameters})


def ordered_applies(roots: Sequence[Any], known: set[Any]) -> list[Apply[Any]]:
    """Sort the Apply nodes above some variables by need, without looking at hash values."""
    order: list[Apply[Any]] = []
    done: set[Apply[Any]] = set()
    stack: list[tuple[Apply[Any], Iterator[Any]]] = []

    def open_(variable: Any) -> None:
        node = variable.owner
        if node is not None and node not in done and variable not in known:
            done.add(node)
            stack.append((node, iter(node.inputs)))

    for root in roots:
        open_(root)
        while stack:
            node, remaining = stack[-1]
            depth = len(stack)
            for variable in remaining:
                open_(variable)
                if len(stack) > depth:
                    break
            else:
                order.append(node)
                stack.pop()
    return order


def capture(
    source: Any,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
) -> Captured:
    """Read a compiled function or a FunctionGraph, without changing it.

    Args:
        source: What `pytensor.function` returned, or a `FunctionGraph`.
        input_names: Names for the model's inputs, instead of the variables' own.
        output_names: Names for the user's outputs, instead of the variables' own.

    Raises:
        InvalidRequest: When it is something else, or when names clash.
    """
    found = function_in(source)
    if isinstance(found, Function):
        return _capture_function(found, input_names, output_names)
    if isinstance(found, FunctionGraph):
        return _capture_graph(found, input_names, output_names)
    if hasattr(source, "value_vars") and hasattr(source, "compile_logp"):
        raise InvalidRequest(
            "can't export a whole model of PyMC: give model.compile_logp(), or call "
            "export_graph(model.value_vars, [model.logp()])"
        )
    raise InvalidRequest(
        f"can't export a {type(source).__name__}: give what pytensor.function returned, or a "
        "FunctionGraph; for symbolic variables call export_graph(inputs, outputs)"
    )


def function_in(source: Any) -> Any:
    """Return the compiled function that an object of PyMC's wraps; anything else as it is.

    `compile_logp` and the like give a PointFunc, `logp_dlogp_function` a ValueGradFunction.
    """
    for name in ("f", "_pytensor_function"):
        held = getattr(source, name, None)
        if isinstance(held, Function):
            return held
    return source


def capture_variables(
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
) -> Captured:
    """Clone the graph between symbolic variables and clean it with PyTensor's own rewrites.

    The rewrites fold constants and keep numerically stable forms; they bring in no fusion, no
    in-place operations and no BLAS.

    Raises:
        InvalidRequest: When an argument is no variable, an input is missing, or names clash.
    """
    from pytensor.compile.sharedvalue import SharedVariable

    for role, variables in (("inputs", inputs), ("outputs", outputs)):
        if not isinstance(variables, list | tuple):
            raise InvalidRequest(
                f"export_graph takes lists of PyTensor variables; {role} is a "
                f"{type(variables).__name__}: write export_graph([x], [y])"
            )
        for variable in variables:
            if not isinstance(variable, Variable):
                raise InvalidRequest(
                    "export_graph takes lists of PyTensor variables; among the "
                    f"{role} is a {type(variable).__name__}"
                )
    if not outputs:
        raise InvalidRequest("there is no output to export")
    given = set(inputs)
    shared: list[Any] = []
    applies = ordered_applies(outputs, given)
    for variable in (*(v for node in applies for v in node.inputs), *outputs):
        leaf = variable.owner is None and not isinstance(variable, Constant)
        if not leaf or variable in given or variable in shared:
            continue
        if not isinstance(variable, SharedVariable):
            raise InvalidRequest(f"the graph needs {variable}, which is not among the inputs")
        shared.append(variable)
    graph = _rewritten(FunctionGraph([*inputs, *shared], list(outputs), clone=True))
    wanted_in = [variable.name for variable in inputs]
    wanted_out = [variable.name for variable in outputs]
    origins = dict(zip(graph.inputs[len(inputs) :], shared, strict=True))
    return _named(
        graph.inputs[: len(inputs)],
        [(clone, origins[clone], False) for clone in graph.inputs[len(inputs) :]],
        list(graph.outputs),
        [],
        _chosen(input_names, wanted_in, "input"),
        _chosen(output_names, wanted_out, "output"),
        origins=list(outputs),
        leaves=[*inputs, *shared],
    )


def cleaned(graph: Any) -> FunctionGraph:
    """Return a copy of an op's inner graph, cleaned as `capture_variables` does.

    PyTensor keeps inner graphs as they were written and rewrites them when it runs them. As it
    does, no op is recognised in them: the graph of a log-sum-exp would become just that op.
    """
    thawed = graph.unfreeze() if hasattr(graph, "unfreeze") else graph
    copied = FunctionGraph(list(thawed.inputs), list(thawed.outputs), clone=True)
    return _rewritten(copied, exclude=("symbolic_op_recognition",))


def constant_excess(x: Any, n: Any) -> int | None:
    """Return the constant by which x exceeds n, as PyTensor infers it; None where it varies.

    Args:
        x: A number, or a tensor whose first size is meant.
        n: A number.
    """
    number = x.shape[0] if x.type.ndim else x
    difference = number - n
    leaves = [leaf for leaf in graph_inputs([difference]) if not isinstance(leaf, Constant)]
    result = _rewritten(FunctionGraph(leaves, [difference], clone=True)).outputs[0]
    return int(result.data) if isinstance(result, Constant) else None


def _rewritten(graph: FunctionGraph, exclude: Sequence[str] = ()) -> FunctionGraph:
    from pytensor.compile.mode import optdb
    from pytensor.graph.rewriting.db import RewriteDatabaseQuery

    # To ask for a name creates it, and then nothing can be registered under it any more, as
    # `import pytensor.xtensor` does.
    include = [name for name in CLEAN_REWRITES if name in optdb]
    for rewriter in optdb.query(RewriteDatabaseQuery(include=include, exclude=list(exclude))):
        with _without_what_fails(rewriter):
            rewriter.rewrite(graph)
    return graph


@contextmanager
def _without_what_fails(rewriter: Any) -> Iterator[None]:
    """Leave out a rewrite where it raises, and say so: the graph means the same without it.

    PyTensor itself does so for all errors but failed assertions, which end its compilation.
    """
    handler = getattr(rewriter, "failure_callback", None)
    if handler is not None:
        rewriter.failure_callback = _tell_failed_rewrite
    try:
        yield
    except Exception as error:
        _LOGGER.warning("left out PyTensor's rewrite %s: %s", rewriter, _told(error))
    finally:
        if handler is not None:
            rewriter.failure_callback = handler


def _tell_failed_rewrite(error: Exception, *details: Any) -> None:
    if not isinstance(error, InconsistencyError):  # with which PyTensor takes back a replacement
        *_, rewriter, node = details
        _LOGGER.warning("left out PyTensor's rewrite %s at %s: %s", rewriter, node, _told(error))


def _told(error: Exception) -> str:
    return f"{type(error).__name__} {error}".strip()


def _capture_function(
    function: Function, input_names: Sequence[str] | None, output_names: Sequence[str] | None
) -> Captured:
    maker = function.maker
    graph = maker.fgraph
    inputs: list[Any] = []
    wanted_in: list[str | None] = []
    shared: list[tuple[Any, Any, bool]] = []
    updated = {graph.inputs[at] for at in graph.update_mapping.values()}
    for variable, declared in zip(graph.inputs, maker.inputs, strict=True):
        if declared.shared or declared.implicit:
            shared.append((variable, declared.variable, variable in updated))
        else:
            inputs.append(variable)
            wanted_in.append(declared.name or declared.variable.name)
    count = len(graph.outputs) - len(graph.update_mapping)
    declared_outputs = maker.outputs
    if not isinstance(declared_outputs, list | tuple):
        declared_outputs = [declared_outputs]
    wanted_out = [_declared_name(output) for output in declared_outputs][:count]
    wanted_out += [None] * (count - len(wanted_out))
    updates = [
        (variable, graph.inputs[graph.update_mapping[position]])
        for position, variable in enumerate(graph.outputs)
        if position in graph.update_mapping
    ]
    user_outputs = [
        variable
        for position, variable in enumerate(graph.outputs)
        if position not in graph.update_mapping
    ]
    return _named(
        inputs,
        shared,
        user_outputs,
        updates,
        _chosen(input_names, wanted_in, "input"),
        _chosen(output_names, wanted_out, "output"),
        origins=[_declared_variable(output) for output in declared_outputs[:count]],
        leaves=[declared.variable for declared in maker.inputs],
    )


def _declared_variable(output: Any) -> Any:
    return getattr(output, "variable", output)


def _declared_name(output: Any) -> str | None:
    return getattr(_declared_variable(output), "name", None)


def _capture_graph(
    graph: FunctionGraph, input_names: Sequence[str] | None, output_names: Sequence[str] | None
) -> Captured:
    from pytensor.compile.sharedvalue import SharedVariable

    inputs = [variable for variable in graph.inputs if not isinstance(variable, SharedVariable)]
    shared = [
        (variable, variable, False)
        for variable in graph.inputs
        if isinstance(variable, SharedVariable)
    ]
    return _named(
        inputs,
        shared,
        list(graph.outputs),
        [],
        _chosen(input_names, [variable.name for variable in inputs], "input"),
        _chosen(output_names, [variable.name for variable in graph.outputs], "output"),
        origins=list(graph.outputs),
        leaves=list(graph.inputs),
    )


def _chosen(
    asked: Sequence[str] | None, own: Sequence[str | None], role: str
) -> list[tuple[str | None, bool]]:
    """Return for each variable its name, and whether the caller asked for it explicitly."""
    if asked is None:
        return [(name, False) for name in own]
    if isinstance(asked, str) or not all(isinstance(name, str) and name for name in asked):
        raise InvalidRequest(f"{role}_names is a list of non-empty texts, not {asked!r}")
    if len(asked) != len(own):
        raise InvalidRequest(
            f"{role}_names has {len(asked)} names, and the function has {len(own)} {role}s"
        )
    return [(name, True) for name in asked]


def _named(
    inputs: Sequence[Any],
    shared: Sequence[tuple[Any, Any, bool]],
    outputs: Sequence[Any],
    updates: Sequence[tuple[Any, Any]],
    wanted_in: Sequence[tuple[str | None, bool]],
    wanted_out: Sequence[tuple[str | None, bool]],
    origins: Sequence[Any],
    leaves: Sequence[Any],
    name: str = "pytensor",
) -> Captured:
    """Give everything its name: the user's, exactly, where there is one.

    Args:
        inputs: The variables of the graph that are inputs of the model.
        shared: Shared variables: in the graph, as the user made them, and whether updated.
        outputs: The variables of the graph that are outputs of the model.
        updates: New values of shared variables, and which ones.
        wanted_in: The inputs' names, and whether the caller asked for them explicitly.
        wanted_out: The outputs' names, likewise.
        origins: For each output the variable that the user meant; one that stands here twice,
            or is a leaf as well, has one name for two roles.
        leaves: The user's inputs and shared variables.
        name: What the graph is called.
    """
    taken: dict[str, str] = {}

    def claim(name: str, what: str) -> str:
        if name in taken:
            raise InvalidRequest(
                f"{what} and {taken[name]} are both named {name!r}: give one of the variables "
                "another name, or pass input_names or output_names"
            )
        taken[name] = what
        return name

    def invent(hint: str, what: str) -> str:
        candidate, number = hint, 0
        while candidate in taken or candidate in asked:
            number += 1
            candidate = f"{hint}_{number}"
        return claim(candidate, what)

    asked = {name for name, _ in (*wanted_in, *wanted_out) if name}
    asked |= {origin.name for _, origin, _ in shared if origin.name}
    graph_inputs = [
        GraphInput(
            claim(wanted, f"input {position}")
            if wanted
            else invent(f"input_{position}", f"input {position}"),
            variable,
        )
        for position, (variable, (wanted, _)) in enumerate(zip(inputs, wanted_in, strict=True))
    ]
    graph_outputs: list[GraphOutput] = []
    met = {id(variable) for variable in leaves}
    for position, (variable, (wanted, explicit)) in enumerate(
        zip(outputs, wanted_out, strict=True)
    ):
        what = f"output {position}"
        origin = origins[position] if position < len(origins) else variable
        repeated = wanted in taken and taken[wanted].startswith("output")
        if wanted and not explicit and id(origin) in met:
            final = invent(f"{wanted}_output", what)
        elif wanted and not explicit and repeated:
            # PyTensor itself names results, and gives two means one name.
            final = invent(wanted, what)
        elif wanted:
            final = claim(wanted, what)
            met.add(id(origin))
        else:
            final = invent(f"output_{position}", what)
        graph_outputs.append(GraphOutput(final, variable))
    parameters = []
    for position, (variable, origin, updated) in enumerate(shared):
        what = f"the shared variable {origin.name or position}"
        repeated = origin.name in taken and taken[origin.name].startswith("the shared")
        if not origin.name or repeated:
            final = invent(origin.name or f"parameter_{position}", what)
        else:
            final = claim(origin.name, what)
        parameters.append(Parameter(final, variable, _value_of(origin), updated))
    by_variable = {parameter.variable: parameter.name for parameter in parameters}
    for variable, updated_input in updates:
        owner = by_variable.get(updated_input, "an input")
        graph_outputs.append(
            GraphOutput(invent(f"{owner}_next", f"the update of {owner}"), variable, owner)
        )
    return Captured(tuple(graph_inputs), tuple(parameters), tuple(graph_outputs), name)


def _value_of(shared: Any) -> Array | None:
    value = shared.get_value(borrow=True) if hasattr(shared, "get_value") else None
    if value is None or not isinstance(value, np.ndarray | np.generic | int | float | bool):
        return None
    return np.asarray(value)
