"""Walks a graph and interprets the row of each op. It knows no op by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from pytensor.graph.basic import Constant
from pytensor.graph.type import HasDataType, HasShape
from pytensor.scalar.basic import ScalarType
from pytensor.tensor.random.type import RandomType

from onnx_mapper.capture.captured import Captured, cleaned, constant_excess, ordered_applies
from onnx_mapper.errors import Refusal, RefusedHere, RowError
from onnx_mapper.language.formula import (
    Formula,
    Lazy,
    Limit,
    Scope,
    run_body,
    shortened,
    truth,
)
from onnx_mapper.language.nodes import Nodes, Source
from onnx_mapper.language.tensors import Array, OpenSize, StaticShape, TensorType, Value
from onnx_mapper.language.values import DTYPES, StaticError, Vector, as_static, describe
from onnx_mapper.mapping.equal_sizes import EqualSizes
from onnx_mapper.rows.fit import (
    Fit,
    NoDefault,
    default_of,
    fit_of,
    is_same,
    unread_problem,
    versions,
)
from onnx_mapper.rows.hooks import HOOKS
from onnx_mapper.rows.model import HookCall, Require, Rewrite, Row, To
from onnx_mapper.rows.op_classes import class_path, props_of
from onnx_mapper.rows.table import Table

DEEPEST_INNER_GRAPH = 50


@dataclass(frozen=True)
class Dtypes:
    """The dtypes of the model: PyTensor's own, or narrowed as the user asked.

    Attributes:
        narrow_to: What float64 becomes throughout the model, or None to keep it.
    """

    narrow_to: str | None = None

    def of(self, dtype: str) -> str:
        """Return the model's dtype for one of PyTensor's."""
        return self.narrow_to if self.narrow_to and dtype == "float64" else dtype

    def attribute(self, value: Any) -> Any:
        """Return an attribute's value, with a dtype in it replaced."""
        return self.of(value) if isinstance(value, str) else value


class Generator:
    """What stands for the state of a generator of random numbers, which ONNX doesn't have."""


@dataclass(frozen=True)
class Swallowed:
    """A constant that float32 can't hold: it becomes 0 or infinite.

    Attributes:
        name: What holds it: `a constant`, or a shared variable's name.
        number: The number.
        becomes: What it is in float32.
        nearest: The nearest number that float32 has, other than 0 and finite.
    """

    name: str
    number: float
    becomes: float
    nearest: float

    def __str__(self) -> str:
        return (
            f"{self.name} holds {self.number:g}, which is {self.becomes:g} in float32; if it guards a "
            f"logarithm or a division, write {self.nearest:.8g} instead, which float32 has"
        )


@dataclass(frozen=True)
class InnerStep:
    """An op of an inner graph, as the model computes it once.

    Attributes:
        outer: The Apply node of the outermost graph that it is a part of.
        node: The Apply node inside.
        inputs: What it was given: tensors of the model, or static values.
        outputs: The tensors that it gives.
    """

    outer: Any
    node: Any
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]


@dataclass(frozen=True)
class Noise:
    """An input of the model that takes random numbers, which a draw is computed from.

    Attributes:
        value: The input's tensor.
        distribution: What its numbers must be drawn from, independently of each other.
        source: The op and the row that read it.
    """

    value: Value
    distribution: str
    source: Source

    def __str__(self) -> str:
        return f"{self.distribution}, for {self.source}"


@dataclass(frozen=True)
class Site:
    """Where a row is applied: an op with what flows into it and what PyTensor says flows out.

    Attributes:
        op: The PyTensor Op whose attributes the row reads.
        inputs: A tensor for each input, or a static value (None, a slice).
        outputs: PyTensor's type of each output.
        depth: How many inner graphs this lies in.
        batch: How many leading axes of the inputs the op doesn't know of: it is repeated over
            them. The inputs have them all, and they broadcast.
        variables: The PyTensor variables of the inputs, where the op stands in a graph.
        name: The name of the variable that it gives, if it has one.
    """

    op: Any
    inputs: tuple[Any, ...]
    outputs: tuple[TensorType, ...]
    depth: int = 0
    batch: int = 0
    variables: tuple[Any, ...] = ()
    name: str = ""


class Engine:
    """Turns the Apply nodes of one captured graph into nodes of one ONNX graph.

    Args:
        table: The rows.
        nodes: The model under construction.
        dtypes: What becomes of float64.
        random: What rows may do about draws: "refuse" or "input".
        equal_sizes: Is told which open sizes are broadcast together.
        strict: Whether to refuse an op whose class has an attribute that its row doesn't know,
            also where the attribute stands at its default.
    """

    def __init__(
        self,
        table: Table,
        nodes: Nodes,
        dtypes: Dtypes,
        random: str,
        equal_sizes: EqualSizes,
        strict: bool = False,
    ) -> None:
        self.table = table
        self.nodes = nodes
        self.dtypes = dtypes
        self.random = random
        self.noises: list[Noise] = []
        self.inner_steps: list[InnerStep] = []
        self.swallowed: dict[Swallowed, None] = {}
        self._outer: Any = None
        self._used_generators: list[Generator] = []
        self.refusals: list[Refusal] = []
        self.rows_used: dict[str, int] = {}
        self.equal_sizes = equal_sizes
        self.strict = strict
        self.drifts: dict[str, None] = {}
        self._fits: dict[tuple[int, type], Fit] = {}
        self._clean_graphs: dict[int, tuple[Any, Any]] = {}

    def run(self, captured: Captured, known: Mapping[Any, Any]) -> dict[Any, Any]:
        """Map every Apply node of a graph.

        A node that can't be mapped is recorded in `refusals`, and the walk goes on, so that
        all reasons come to light at once.

        Args:
            captured: The graph.
            known: The tensors of its inputs and parameters.

        Returns:
            A tensor for every variable.
        """
        values = dict(known)
        for node in captured.applies():
            self._map(node, values, 0)
        return values

    def _map(
        self,
        node: Any,
        values: dict[Any, Any],
        depth: int,
        rankless: bool = False,
        usual_name: str = "",
    ) -> None:
        """Map one Apply node; where that fails, record why and let stand-ins take its place.

        Args:
            node: The node.
            values: The tensors of its inputs; gets those of its outputs.
            depth: How many inner graphs it lies in.
            rankless: Whether it computes scalars that stand for tensors of any shape.
            usual_name: What it gives is called where PyTensor has no name for it.
        """
        types = tuple(self.type_of(variable) for variable in node.outputs)
        outputs = _rankless(types) if rankless else types
        told = len(self.refusals)
        self._outer = node if depth == 0 else self._outer
        try:
            inputs = tuple(self.read(variable, values) for variable in node.inputs)
            name = next((v.name for v in node.outputs if v.name), usual_name)
            site = Site(node.op, inputs, outputs, depth, 0, tuple(node.inputs), name)
            results = self.apply(site)
        except (RowError, StaticError, RefusedHere) as error:
            if len(self.refusals) == told and not self._follows(error, node, values):
                self._refuse(node, error)
            results = tuple(self.stand_in(type_) for type_ in outputs)
        else:
            if depth and not self.nodes.nested:
                self.inner_steps.append(InnerStep(self._outer, node, inputs, results))
        for variable, result in zip(node.outputs, results, strict=True):
            values[variable] = Generator() if is_generator(variable) else result

    def read(self, variable: Any, values: Mapping[Any, Any]) -> Any:
        """Return the tensor or static value of a variable."""
        if variable in values:
            return values[variable]
        if not isinstance(variable, Constant):
            raise RefusedHere(f"the input {variable} has no value: it is no input of the graph")
        if not is_tensor_type(variable.type):
            return variable.data
        data = np.asarray(variable.data)
        if data.dtype.name not in DTYPES:
            raise RefusedHere(f"the constant {variable} is of dtype {data.dtype.name}, not in ONNX")
        return self.nodes.constant(self.narrowed(data, "a constant"))

    def narrowed(self, array: Array, name: str) -> Array:
        """Return numbers in the dtype that the model has for theirs.

        Args:
            array: The numbers.
            name: What holds them, for telling of those that become 0 or infinite.
        """
        with np.errstate(over="ignore", under="ignore"):
            narrow = array.astype(self.dtypes.of(array.dtype.name), copy=False)
        if narrow.dtype != array.dtype:
            lost = ((narrow == 0) & (array != 0)) | (np.isinf(narrow) & np.isfinite(array))
            limits = np.finfo(narrow.dtype)
            for number in np.unique(array[lost])[:3]:
                becomes = float(narrow.dtype.type(0) if abs(number) < 1 else np.inf * number)
                nearest = float(np.copysign(limits.max if becomes else limits.tiny, number))
                self.swallowed[Swallowed(name, float(number), becomes, nearest)] = None
        return narrow

    def type_of(self, variable: Any) -> TensorType:
        """Return dtype and static shape of a variable; an empty dtype for what is no tensor."""
        if not is_tensor_type(variable.type):
            return TensorType("", None)
        shape: StaticShape = getattr(variable.type, "shape", ())
        sizes = tuple(None if size is None or size < 0 else size for size in shape)
        return TensorType(self.dtypes.of(variable.type.dtype), sizes)

    def apply(self, site: Site) -> tuple[Any, ...]:
        """Map one op through its row.

        Raises:
            RefusedHere: When there is no row for it, or the row can't express it.
            RowError: When the row has no answer here.
        """
        row = self._row_for(site)
        self.rows_used[row.title] = self.rows_used.get(row.title, 0) + 1
        before = self.nodes.source
        self.nodes.source = Source(class_path(type(site.op)), _place_of(row))
        try:
            if row.broadcasts and not self.nodes.nested:
                self.equal_sizes.meet(site.inputs)
            return self._apply_row(row, site)
        finally:
            self.nodes.source = before

    def _row_for(self, site: Site) -> Row:
        """Return the row for an op: of its class, or of the nearest base that serves it.

        Where the class's own row doesn't fit the class, its inner graph says as much.
        """
        path = class_path(type(site.op))
        unfit: list[str] = []
        for rows in self.table.candidates(type(site.op)):
            problems = {row.title: self._misfit(row, site.op) for row in rows}
            usable = [row for row in rows if not problems[row.title] and (row.inline or not unfit)]
            chosen = [row for row in usable if self._is_chosen(row, site)]
            if len(chosen) == 1:
                self._note_drift(chosen[0], site.op)
                return chosen[0]
            if chosen:
                raise RowError(
                    chosen[1].place.within("choose"),
                    f"holds together with the row at {chosen[0].place}: they must exclude each "
                    "other",
                )
            unfit += [problem for problem in problems.values() if problem]
            if not unfit:
                tried = [f"{_place_of(row)} needs {row.choose.text}" for row in rows if row.choose]
                raise RefusedHere(f"no row of {path} fits: {'; '.join(tried)}")
        if unfit:
            raise RefusedHere("; ".join(dict.fromkeys(unfit)))
        raise RefusedHere(
            f"no row maps {path}; add one to a folder and pass mappings=[folder], "
            "or rewrite the graph without it",
            always=True,
        )

    def _misfit(self, row: Row, op: Any) -> str:
        """Return why a shipped row does not hold for an op of this PyTensor; nothing if it does.

        Raises:
            RowError: When it is the user's row, and its class came or changed since it was read.
        """
        fit = self._fit(row, op)
        for misfit in fit.misfits:
            if not row.shipped:
                raise RowError(misfit.place, f"{row.name} {misfit.problem}")
            return f"{row.name} {misfit.problem} ({misfit.place}); {versions()}"
        for name in fit.unread:
            if not row.shipped:
                raise RowError(row.place, unread_problem(row, name))
            value = getattr(op, name, None)
            default = default_of(type(op), name)
            usual = default is not NoDefault and is_same(value, default)
            if self.strict or not usual:
                return (
                    f"{row.name}.{name} is {describe(as_static(value))}"
                    f"{', as by default' if usual else ''}, and the row at {_place_of(row)} does "
                    f"not know this attribute; {versions()}"
                )
        return ""

    def _fit(self, row: Row, op: Any) -> Fit:
        key = id(row), type(op)
        if key not in self._fits:
            self._fits[key] = fit_of(row, type(op))
        return self._fits[key]

    def _note_drift(self, row: Row, op: Any) -> None:
        """Remember attributes that came after the row was written, and stand at their defaults."""
        for name in self._fit(row, op).unread:
            value = describe(as_static(getattr(op, name, None)))
            self.drifts[
                f"{row.name}.{name} is new. It is {value}, as by default, so the op is taken as "
                f"before ({_place_of(row)}); {versions()}"
            ] = None

    def _is_chosen(self, row: Row, site: Site) -> bool:
        if row.choose is None:
            return True
        return truth(row.choose.evaluate(self._scope(row, site)))

    def _apply_row(self, row: Row, site: Site) -> tuple[Any, ...]:
        for type_ in site.outputs:
            if type_.dtype and type_.dtype not in DTYPES:
                raise RefusedHere(f"ONNX Runtime has no tensors of dtype {type_.dtype}")
        if row.refuse:
            raise RefusedHere(row.refuse, row.title, always=True)
        if site.batch and not row.batched:
            raise RefusedHere(
                f"{row.name} is repeated over {site.batch} leading axes, and its row at "
                f"{_place_of(row)} is written for one {row.name} at a time. Unroll the batch, or "
                "write the row for leading axes and say `batched: true`"
            )
        scope = self._scope(row, site)
        self._check_requirements(row, scope, site)
        self._promote(row, scope)
        self._rewrite_inputs(row, scope, site)
        if row.delegate:
            results = self._delegated(getattr(site.op, row.delegate), row, scope, site)
        elif row.inline:
            results = self._inline(getattr(site.op, row.inline), row, scope, site)
        elif row.unfuse:
            results = self._unfused(row.unfuse, row, scope, site)
        else:
            results = self._run_body(row, scope, site)
        return self._finished(row, scope, site, results)

    def _scope(self, row: Row, site: Site) -> Scope:
        names: dict[str, Any] = {"opset": self.nodes.opset, "random": self.random}
        names["outs"] = Vector(site.outputs)
        names["out"] = site.outputs[0] if site.outputs else None
        for attribute in self._attribute_names(row, site.op):
            names[attribute] = Lazy(lambda a=attribute: self._attribute(site.op, a))  # type: ignore[misc]
        names.update(self._bind_inputs(row, site))
        answers: dict[str, Callable[..., Any]] = {
            "inner": partial(self._inner, site),
            "excess": partial(self._excess, site),
            "noise": partial(self._noise, site),
            "applied": partial(self._applied, site),
            "repeated": partial(self._repeated, site),
            "takes_batches": self._takes_batches,
        }
        scope = Scope(names, self.table.language, self.nodes, answers, limit=Limit())
        for name, formula in row.let:
            scope.names[name] = Lazy(lambda f=formula: f.evaluate(scope))  # type: ignore[misc]
        return scope

    def _attribute_names(self, row: Row, op: Any) -> list[str]:
        props = getattr(op, "__props__", None) or ()
        return [*props, *row.reads, *(attribute.name for attribute in row.attributes)]

    def _attribute(self, op: Any, name: str) -> Any:
        return self.dtypes.attribute(as_static(getattr(op, name, None)))

    def _bind_inputs(self, row: Row, site: Site) -> dict[str, Any]:
        bound: dict[str, Any] = {}
        given = list(site.inputs)
        inputs = row.inputs_beside(props_of(site.op))
        for name in inputs:
            if name.startswith("*"):
                bound[name[1:]] = Vector(given)
                given = []
            elif given:
                bound[name.rstrip("?")] = given.pop(0)
            elif name.endswith("?"):
                bound[name[:-1]] = None
            else:
                raise RowError(
                    row.place.within("inputs"),
                    f"{len(inputs)} inputs are named, and {site.op} has {len(site.inputs)}",
                )
        if given and row.inputs:
            raise RowError(
                row.place.within("inputs"),
                f"{len(inputs)} inputs are named, and {site.op} has {len(site.inputs)}",
            )
        return bound

    def _check_requirements(self, row: Row, scope: Scope, site: Site) -> None:
        for attribute in row.attributes:
            verb = attribute.verb
            if not isinstance(verb, Require):
                continue
            value = self._attribute(site.op, attribute.name)
            if attribute.optional and not hasattr(site.op, attribute.name):
                continue
            if value != verb.value or isinstance(value, bool) != isinstance(verb.value, bool):
                raise RefusedHere(
                    f"{row.name}.{attribute.name} is {describe(value)}, must be "
                    f"{describe(verb.value)}. {verb.because}".strip(),
                    row.title,
                )
        for need in row.needs:
            if not truth(need.condition.evaluate(scope)):
                raise RefusedHere(
                    f"{row.name} needs {need.condition.text}. {need.because}".strip(), row.title
                )

    def _promote(self, row: Row, scope: Scope) -> None:
        for name, formula in row.promote:
            names = row.input_names() if name is None else (name,)
            dtype = formula.evaluate(scope)
            for input_name in names:
                scope.names[input_name] = self._cast(scope.names[input_name], dtype)

    def _cast(self, value: Any, dtype: str) -> Any:
        if isinstance(value, Vector):
            return Vector(self._cast(item, dtype) for item in value)
        return self.nodes.cast(value, dtype) if isinstance(value, Value) else value

    def _rewrite_inputs(self, row: Row, scope: Scope, site: Site) -> None:
        for attribute in row.attributes:
            if not isinstance(attribute.verb, Rewrite):
                continue
            if not truth(self._attribute(site.op, attribute.name)):
                continue
            replaced = {
                name: self._formula_or_hook(body, scope, scope.names[name])
                for name, body in attribute.verb.inputs
            }
            scope.names.update(replaced)
        scope.names.update({name: body.evaluate(scope) for name, body in row.rewrite})

    def _formula_or_hook(self, body: Formula | HookCall, scope: Scope, subject: Any) -> Any:
        if isinstance(body, Formula):
            return body.evaluate(scope)
        hook = HOOKS[body.name]
        try:
            if isinstance(subject, Value):
                return hook(subject, self.nodes)
            return hook(subject)
        except StaticError as error:
            raise RowError(body.place, str(error)) from None

    def _run_body(self, row: Row, scope: Scope, site: Site) -> tuple[Any, ...]:
        injected: dict[tuple[str, int], dict[str, Any]] = {}
        cases = []
        for attribute in row.attributes:
            if isinstance(attribute.verb, To):
                value, case = self._to(row, attribute.name, attribute.verb, scope)
                injected.setdefault(attribute.verb.spot, {})[attribute.verb.target] = value
                cases.extend(case)
        if cases:
            source = self.nodes.source
            self.nodes.source = Source(source.op, source.row, ", ".join(cases))
        scope.injected = injected
        result = run_body(row.body, scope)
        if row.outputs:
            return tuple(scope.names[name] for name in row.outputs)
        several = isinstance(result, Vector) and (
            len(site.outputs) > 1 or all(isinstance(item, Value) for item in result or [None])
        )
        return tuple(result) if several else (result,)

    def _to(self, row: Row, name: str, verb: To, scope: Scope) -> tuple[Any, list[str]]:
        value = scope.lookup(name)
        for key, formula in verb.table:
            if key == value and isinstance(key, bool) == isinstance(value, bool):
                return formula.evaluate(scope), [f"{name}: {key}"]
        if verb.otherwise is not None:
            return self._formula_or_hook(verb.otherwise, scope, value), []
        if verb.value is not None:
            return verb.value.evaluate(scope), []
        if verb.table:
            listed = ", ".join(str(key) for key, _ in verb.table)
            raise RefusedHere(
                f"{row.name}.{name} is {describe(value)}; it must be one of: {listed}"
            )
        return value, []

    def _current_inputs(self, row: Row, scope: Scope, site: Site) -> tuple[Any, ...]:
        if not row.inputs:
            return site.inputs
        current: list[Any] = []
        for name in row.inputs_beside(props_of(site.op)):
            value = scope.names[name.strip("*?")]
            current.extend(value if name.startswith("*") else [value])
        return tuple(current[: len(site.inputs)])

    def _delegated(self, op: Any, row: Row, scope: Scope, site: Site) -> tuple[Any, ...]:
        given = self._current_inputs(row, scope, site)
        return self.apply(Site(op, given, _rankless(site.outputs), site.depth + 1))

    def _applied(self, site: Site, op: Any, given: Any, dropped: Any) -> Vector:
        """Map an op that gives what this one gives, without that many leading axes."""
        outputs = tuple(
            TensorType(t.dtype, None if t.shape is None else t.shape[dropped:])
            for t in site.outputs
        )
        return Vector(self.apply(Site(op, tuple(given), outputs, site.depth + 1)))

    def _repeated(self, site: Site, op: Any, given: Any, batch: Any) -> Vector:
        """Map an op that is repeated over that many leading axes, by a row that takes batches."""
        return Vector(self.apply(Site(op, tuple(given), site.outputs, site.depth + 1, batch)))

    def _takes_batches(self, op: Any) -> bool:
        """Tell whether an op's rows hold for inputs with leading batch axes."""
        rows = self.table.rows_for(op)
        return bool(rows) and all(row.batched or row.refuse for row in rows)

    def _inline(self, graph: Any, row: Row, scope: Scope, site: Site) -> tuple[Any, ...]:
        return self._inner(site, graph, *self._current_inputs(row, scope, site))

    def _inner(self, site: Site, graph: Any, *given: Any) -> Vector:
        """Map the ops of an inner graph, given its inputs; returns its outputs."""
        if site.depth > DEEPEST_INNER_GRAPH:
            raise RefusedHere(f"inner graphs nest more than {DEEPEST_INNER_GRAPH} deep")
        if not hasattr(graph, "inputs"):
            raise StaticError(f"{describe(graph)} is no graph")
        if len(graph.inputs) != len(given):
            raise StaticError(
                f"the inner graph has {len(graph.inputs)} inputs, and {len(given)} are given"
            )
        graph = self._cleaned(graph)
        values = dict(zip(graph.inputs, given, strict=True))
        rankless = any(type_.dtype and type_.shape is None for type_ in site.outputs)
        return Vector(self._walk_inner(graph.outputs, values, rankless, site.depth, site.name))

    def _excess(self, site: Site, x: Any, n: Any) -> int | None:
        """Tell by how much the first size of an input, or the number in it, exceeds that in another.

        None where PyTensor's own inference of shapes does not make it a constant.
        """
        found = [
            next(
                (v for v, item in zip(site.variables, site.inputs, strict=False) if item is y), None
            )
            for y in (x, n)
        ]
        if None in found:
            raise StaticError("excess asks about two inputs of the op, as they come in")
        return constant_excess(*found)

    def _noise(self, site: Site, distribution: str, dtype: str, sizes: Any) -> Value:
        """Make an input of the model that takes random numbers."""
        if self.random != "input":
            raise StaticError("noise is made only where `needs` says that random is 'input'")
        if self.nodes.repeated:
            raise RefusedHere(
                "a draw inside a loop needs other random numbers in each step: draw before the "
                "loop, and go along the draws as a sequence"
            )
        for state in site.inputs:
            if isinstance(state, Generator) and state in self._used_generators:
                raise RefusedHere(
                    "it reads a generator in a state that another draw reads too, so that PyTensor "
                    "makes both of the same numbers: draw from a RandomStream, or from the next "
                    "state that the other draw gives"
                )
            if isinstance(state, Generator):
                self._used_generators.append(state)
        hint = f"{site.name}_noise" if site.name else "noise"
        dims = [size if isinstance(size, int) else None for size in sizes]
        value = self.nodes.input(self.nodes.fresh_name(hint), self.dtypes.of(dtype), dims)
        told = [size if isinstance(size, OpenSize) else None for size in sizes]
        value = replace(value, sizes=tuple(a or b for a, b in zip(told, value.sizes, strict=True)))
        self.noises.append(Noise(value, distribution, self.nodes.source))
        return value

    def _cleaned(self, graph: Any) -> Any:
        """Return an inner graph of tensors with the rewrites of `capture_variables`, done once."""
        found = self._clean_graphs.get(id(graph))
        if found is None:
            scalar = all(isinstance(v.type, ScalarType) for v in (*graph.inputs, *graph.outputs))
            found = graph, graph if scalar else cleaned(graph)
            self._clean_graphs[id(graph)] = found
        return found[1]

    def _walk_inner(
        self,
        outputs: Sequence[Any],
        values: dict[Any, Any],
        rankless: bool,
        depth: int,
        name: str = "",
    ) -> tuple[Any, ...]:
        """Map the ops of an inner graph between the given values and some of its variables."""
        for node in ordered_applies(outputs, set(values)):
            last = any(variable in outputs for variable in node.outputs)
            self._map(node, values, depth + 1, rankless, name if last else "")
        return tuple(self.read(variable, values) for variable in outputs)

    def _unfused(self, name: str, row: Row, scope: Scope, site: Site) -> tuple[Any, ...]:
        """Map a reduction whose step was fused with the elementwise ops that go before it.

        The inner graph takes what has been reduced so far and an element. Its last op must
        combine the former with something that doesn't depend on it: that is mapped first, and
        then this op once more, with its last op alone as the step.
        """
        fused = getattr(site.op, name)
        carried, *elements = fused.fgraph.inputs
        last = fused.fgraph.outputs[0].owner
        others = [v for v in last.inputs if v is not carried] if last else []
        if last is None or len(last.inputs) != 2 or len(others) != 1:
            raise RefusedHere(
                f"{row.name}'s {name} {shortened(str(fused))} is no step of a reduction that is "
                "applied to what the elements become. Compile the function without fusion: "
                "mode.excluding('fusion')"
            )
        given = self._current_inputs(row, scope, site)
        values = dict(zip(elements, given, strict=True))
        (mapped,) = self._walk_inner(others, values, True, site.depth)
        shapes = [value.shape for value in (mapped, *given)]
        if any(shape is None or len(shape) != len(shapes[-1] or ()) for shape in shapes):
            raise RefusedHere(
                f"{row.name}'s {name} {shortened(str(fused))} does not depend on its input"
            )
        plain = copy(site.op)
        setattr(plain, name, last.op)
        return self.apply(Site(plain, (mapped,), site.outputs, site.depth + 1))

    def _finished(
        self, row: Row, scope: Scope, site: Site, results: Sequence[Any]
    ) -> tuple[Any, ...]:
        if len(results) != len(site.outputs):
            raise RowError(
                row.place, f"gives {len(results)} results where {site.op} has {len(site.outputs)}"
            )
        finished = []
        for result, type_ in zip(results, site.outputs, strict=True):
            if not type_.dtype:
                finished.append(result)
                continue
            value = self._as_tensor(row, result, type_)
            if row.finish is not None:
                scope.names.update(result=value, out=type_)
                value = row.finish.evaluate(scope)
            finished.append(self._agreeing(row, value, type_))
        return tuple(finished)

    def _as_tensor(self, row: Row, result: Any, type_: TensorType) -> Value:
        if isinstance(result, Value):
            return result
        try:
            return self.nodes.literal(result, type_.dtype)
        except StaticError as error:
            raise RowError(row.place.within("onnx"), f"the result is no tensor: {error}") from None

    def _agreeing(self, row: Row, value: Value, type_: TensorType) -> Value:
        """Check a result against what PyTensor says of it, and add what PyTensor knows."""
        if value.dtype != type_.dtype:
            raise RowError(
                row.place.within("onnx"),
                f"gives {value.dtype} where PyTensor's {row.name} gives {type_.dtype}: add a Cast",
            )
        if type_.shape is None:
            return value
        if value.shape is not None and len(value.shape) != len(type_.shape):
            raise RowError(
                row.place.within("onnx"),
                f"gives {len(value.shape)} axes where PyTensor's {row.name} gives "
                f"{len(type_.shape)}",
            )
        for axis, (ours, theirs) in enumerate(zip(value.shape or (), type_.shape, strict=False)):
            if ours is not None and theirs is not None and ours != theirs:
                raise RowError(
                    row.place.within("onnx"),
                    f"gives size {ours} along axis {axis} where PyTensor's {row.name} gives "
                    f"{theirs}",
                )
        agreeing = self.nodes.with_shape(value, type_.shape)
        if any(size is not None and size < 0 for size in agreeing.shape or ()):
            raise RefusedHere(
                f"its result would have the shape {list(agreeing.shape or ())}, and no axis has "
                "fewer than 0 elements: PyTensor fails there too"
            )
        return agreeing

    def stand_in(self, type_: TensorType) -> Any:
        """Return what takes the place of a result that was refused, so that the walk can go on."""
        if not type_.dtype:
            return None
        value = Value(f"refused_{len(self.refusals)}", type_.dtype, type_.shape)
        self.nodes.doubtful.add(value.name)
        return value

    def _follows(self, error: Exception, node: Any, values: Mapping[Any, Any]) -> bool:
        """Tell whether a failure may be due to what stands in for the result of a refused op."""
        if isinstance(error, RefusedHere) and error.always:
            return False
        given = [values.get(variable) for variable in node.inputs]
        return any(isinstance(v, Value) and v.name in self.nodes.doubtful for v in given)

    def _refuse(self, node: Any, error: Exception) -> None:
        rows = self.table.rows_for(node.op)
        named = [v.name for v in (*node.inputs, *node.outputs) if v.name]
        title = getattr(error, "row", "") or (rows[0].title if rows else "no row")
        self.refusals.append(
            Refusal(shortened(str(node.op), 60), title, str(error), 1, tuple(named))
        )


def is_generator(variable: Any) -> bool:
    """Tell whether a variable stands for a generator of random numbers."""
    return isinstance(variable.type, RandomType)


def is_tensor_type(type_: Any) -> bool:
    """Tell whether a PyTensor type is that of a tensor (its axes named or not) or of a scalar.

    A sparse matrix, which has a storage format, is none: ONNX Runtime computes with none.
    """
    is_sparse = hasattr(type_, "format")
    return isinstance(type_, HasDataType) and isinstance(type_, HasShape) and not is_sparse


def _rankless(types: Sequence[TensorType]) -> tuple[TensorType, ...]:
    """Return the types of the scalars of an elementwise op, which stand for any shape."""
    return tuple(TensorType(type_.dtype, None) for type_ in types)


def _place_of(row: Row) -> str:
    return f"{row.place.file}:{row.place.line}"
