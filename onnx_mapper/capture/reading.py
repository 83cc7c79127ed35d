"""From what the user has to one clean graph: a compiled function, a FunctionGraph, variables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pytensor.compile import Function  # type: ignore[attr-defined]
from pytensor.graph.basic import Constant, Variable
from pytensor.graph.fg import FunctionGraph

from onnx_mapper.capture.graph import Captured, ordered_applies
from onnx_mapper.capture.naming import chosen, named
from onnx_mapper.capture.rewrites import rewritten
from onnx_mapper.errors import InvalidRequest


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
            "this is a model of PyMC, of which much can be exported: call "
            "onnx_mapper.pymc.export_model(model, path, what='logp'), or give model.compile_logp()"
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
    sizes: bool = False,
) -> Captured:
    """Clone the graph between symbolic variables and clean it with PyTensor's own rewrites.

    The rewrites fold constants and keep numerically stable forms; they bring in no fusion, no
    in-place operations and no BLAS. With `sizes`, PyTensor infers all that it can of sizes; see
    `rewritten`.

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
    graph = rewritten(FunctionGraph([*inputs, *shared], list(outputs), clone=True), sizes=sizes)
    wanted_in = [variable.name for variable in inputs]
    wanted_out = [variable.name for variable in outputs]
    origins = dict(zip(graph.inputs[len(inputs) :], shared, strict=True))
    return named(
        graph.inputs[: len(inputs)],
        [(clone, origins[clone], False) for clone in graph.inputs[len(inputs) :]],
        list(graph.outputs),
        [],
        chosen(input_names, wanted_in, "input"),
        chosen(output_names, wanted_out, "output"),
        origins=list(outputs),
        leaves=[*inputs, *shared],
    )


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
    return named(
        inputs,
        shared,
        user_outputs,
        updates,
        chosen(input_names, wanted_in, "input"),
        chosen(output_names, wanted_out, "output"),
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
    return named(
        inputs,
        shared,
        list(graph.outputs),
        [],
        chosen(input_names, [variable.name for variable in inputs], "input"),
        chosen(output_names, [variable.name for variable in graph.outputs], "output"),
        origins=list(graph.outputs),
        leaves=list(graph.inputs),
    )


def captured_between(inputs: Sequence[Any], outputs: Sequence[Any]) -> Captured:
    """Read the part of a graph between some variables; all that it reads are inputs of the model."""
    return named(
        list(inputs),
        [],
        list(outputs),
        [],
        chosen(None, [None] * len(inputs), "input"),
        chosen(None, [None] * len(outputs), "output"),
        origins=list(outputs),
        leaves=list(inputs),
    )
