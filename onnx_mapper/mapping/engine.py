"""Walks a graph and interprets the row of each op. It knows no op by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pytensor.graph.basic import Constant
from pytensor.scalar.basic import ScalarType

from onnx_mapper.capture.graph import Captured, ordered_applies
from onnx_mapper.capture.rewrites import cleaned
from onnx_mapper.capture.sparse import entries_of, is_sparse
from onnx_mapper.errors import MapperError, Refusal, RefusedHere, RowError
from onnx_mapper.language.arrays import Array, read
from onnx_mapper.language.nodes import Nodes, Source
from onnx_mapper.language.scope import Lazy, Limit, Scope
from onnx_mapper.language.tensors import Value
from onnx_mapper.language.text import shortened
from onnx_mapper.language.values import DTYPES, StaticError, Vector, as_static, describe
from onnx_mapper.mapping.answers import STATE_IN_USE, Answers, unfused
from onnx_mapper.mapping.choice import Choice
from onnx_mapper.mapping.equal_sizes import EqualSizes
from onnx_mapper.mapping.results import finished
from onnx_mapper.mapping.site import (
    Dtypes,
    Generator,
    InnerStep,
    Noise,
    Site,
    Swallowed,
    is_generator,
    is_tensor_type,
    rankless,
)
from onnx_mapper.mapping.sparse import vector_of
from onnx_mapper.mapping.verbs import (
    attribute_names,
    attribute_of,
    bind_inputs,
    check_requirements,
    current_inputs,
    promote_inputs,
    rewrite_inputs,
    run_row_body,
)
from onnx_mapper.progress import progress_if_long
from onnx_mapper.rows.model import Row
from onnx_mapper.rows.op_classes import class_path
from onnx_mapper.rows.table import Table


@dataclass(frozen=True)
class Mapped:
    """What came of a graph.

    Attributes:
        values: A tensor for every variable; a stand-in where its op was refused.
        results: What stands for each output of the graph; none where an op was refused.
        refusals: Why ops could not be mapped, in order; none when all could.
        refused: The Apply nodes of the graph that they are about.
        rows_used: How many times each row was applied, by its title.
        drifts: What is new in the classes of ops, and was taken as before.
        swallowed: Constants that became 0 or infinite.
        noises: Inputs that the model has beside the graph's, for random numbers.
        inner_steps: What inner graphs compute, in order.
    """

    values: Mapping[Any, Any]
    results: tuple[Any, ...]
    refusals: tuple[Refusal, ...]
    refused: tuple[Any, ...]
    rows_used: Mapping[str, int]
    drifts: tuple[str, ...]
    swallowed: tuple[Swallowed, ...]
    noises: tuple[Noise, ...]
    inner_steps: tuple[InnerStep, ...]


class Engine:
    """Turns the Apply nodes of one captured graph into nodes of one ONNX graph.

    Args:
        table: The rows.
        nodes: The model under construction.
        dtypes: What becomes of float64.
        random: What rows may do about draws: "refuse", "input" or "node".
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
        self.nodes = nodes
        self.dtypes = dtypes
        self.random = random
        self._table = table
        self._equal_sizes = equal_sizes
        self._choice = Choice(table, strict)
        self._refusals: list[Refusal] = []
        self._refused: dict[Any, None] = {}
        self._rows_used: dict[str, int] = {}
        self._swallowed: dict[Swallowed, None] = {}
        self._noises: list[Noise] = []
        self._used_generators: list[Generator] = []
        self._inner_steps: list[InnerStep] = []
        self._outer: Any = None
        self._clean_graphs: dict[int, tuple[Any, Any]] = {}
        self._sparse_constants: dict[Any, Vector] = {}

    def run(self, captured: Captured, known: Mapping[Any, Any]) -> Mapped:
        """Map every Apply node of a graph.

        A node that can't be mapped is recorded, and the walk goes on, so that all reasons come
        to light at once.

        Args:
            captured: The graph.
            known: The tensors of its inputs and parameters.
        """
        values = dict(known)
        nodes = captured.applies()
        with progress_if_long(len(nodes)) as progress:
            for node in nodes:
                progress.step(type(node.op).__name__)
                self._map(node, values, 0)
        outputs = () if self._refusals else captured.outputs
        results = tuple(self.read(output.variable, values) for output in outputs)
        return Mapped(
            values=values,
            results=results,
            refusals=tuple(self._refusals),
            refused=tuple(self._refused),
            rows_used=self._rows_used,
            drifts=self._choice.drifts,
            swallowed=tuple(self._swallowed),
            noises=tuple(self._noises),
            inner_steps=tuple(self._inner_steps),
        )

    def _map(
        self,
        node: Any,
        values: dict[Any, Any],
        depth: int,
        is_rankless: bool = False,
        usual_name: str = "",
    ) -> None:
        """Map one Apply node; where that fails, record why and let stand-ins take its place.

        Args:
            node: The node.
            values: The tensors of its inputs; gets those of its outputs.
            depth: How many inner graphs it lies in.
            is_rankless: Whether it computes scalars that stand for tensors of any shape.
            usual_name: What it gives is called where PyTensor has no name for it.
        """
        types = tuple(self.dtypes.type_of(variable) for variable in node.outputs)
        outputs = rankless(types) if is_rankless else types
        told = len(self._refusals)
        self._outer = node if depth == 0 else self._outer
        inputs: tuple[Any, ...] = ()
        try:
            inputs = tuple(self.read(variable, values) for variable in node.inputs)
            name = next((v.name for v in node.outputs if v.name), usual_name)
            site = Site(node.op, inputs, outputs, depth, 0, tuple(node.inputs), name)
            states = [item for item in inputs if isinstance(item, Generator)]
            in_use = any(map(self.is_used, states))
            results = self.apply(site)
            self._take_states(states, in_use, results, node.outputs)
        except (RowError, StaticError, RefusedHere) as error:
            if len(self._refusals) == told and not self._follows(error, node, values):
                self._refuse(node, error)
            results = tuple(self.nodes.stand_in(type_) for type_ in outputs)
        else:
            if depth and not self.nodes.nested:
                self._inner_steps.append(InnerStep(self._outer, node, inputs, results))
        for variable, result in zip(node.outputs, results, strict=True):
            values[variable] = (
                self._next_state(inputs, result) if is_generator(variable) else result
            )

    def _take_states(
        self,
        states: Sequence[Generator],
        in_use: bool,
        results: Sequence[Any],
        outputs: Sequence[Any],
    ) -> None:
        """Note the states of generators that an op reads, where it makes new ones of them.

        Args:
            states: The states that it reads.
            in_use: Whether another op had read one of them before.
            results: What the row gave.
            outputs: The variables that they are for.

        Raises:
            RefusedHere: When others have read one before.
        """
        makes_new = any(
            is_generator(variable) and not isinstance(result, Generator)
            for variable, result in zip(outputs, results, strict=True)
        )
        if makes_new and in_use:
            raise RefusedHere(f"it reads a generator in {STATE_IN_USE}")
        self._used_generators.extend(states if makes_new else ())

    def _next_state(self, inputs: Sequence[Any], result: Any) -> Generator:
        """Return the state of a generator that an op gives, one of its own or what a row gave."""
        if isinstance(result, Generator):
            return result
        read = {item.steps for item in inputs if isinstance(item, Generator)}
        steps = read or {self.nodes.steps}
        return Generator(steps.pop() if len(steps) == 1 else (None,))

    def _follows(self, error: Exception, node: Any, values: Mapping[Any, Any]) -> bool:
        """Tell whether a failure may be due to what stands in for the result of a refused op."""
        if isinstance(error, RefusedHere) and error.always:
            return False
        given = [values.get(variable) for variable in node.inputs]
        return any(isinstance(v, Value) and self.nodes.is_doubtful(v) for v in given)

    def _refuse(self, node: Any, error: Exception) -> None:
        rows = self.rows_for(node.op)
        named = [v.name for v in (*node.inputs, *node.outputs) if v.name]
        self._refused[self._outer] = None
        title = getattr(error, "row", "") or (rows[0].title if rows else "no row")
        self._refusals.append(
            Refusal(shortened(str(node.op), 60), title, str(error), 1, tuple(named))
        )

    def read(self, variable: Any, values: Mapping[Any, Any]) -> Any:
        """Return the tensor or static value of a variable.

        Raises:
            RefusedHere: When it has none, or is a constant that ONNX has no dtype for.
        """
        if variable in values:
            return values[variable]
        if not isinstance(variable, Constant):
            raise RefusedHere(f"the input {variable} has no value: it is no input of the graph")
        if is_sparse(variable.type):
            return self._sparse(variable)
        if not is_tensor_type(variable.type):
            return variable.data
        data = np.asarray(variable.data)
        if data.dtype.name not in DTYPES:
            raise RefusedHere(f"the constant {variable} is of dtype {data.dtype.name}, not in ONNX")
        return self.nodes.constant(self._narrowed(data))

    def _sparse(self, constant: Any) -> Vector:
        """Return a known sparse matrix; its numbers are held once and not folded into a dense matrix."""
        found = self._sparse_constants.get(constant)
        if found is None:
            entries = entries_of(constant.data)
            name = self.nodes.fresh_name(constant.name or "sparse")
            data = self.nodes.parameter(name, self._narrowed(entries.data))
            found = self._sparse_constants[constant] = vector_of(entries, data, self.nodes)
        return found

    def _narrowed(self, array: Array) -> Array:
        narrow, swallowed = self.dtypes.narrowed(array, "a constant")
        self._swallowed.update(dict.fromkeys(swallowed))
        return read(narrow)

    def rows_for(self, op: Any) -> Sequence[Row]:
        """Return the rows that may serve an op."""
        return self._table.rows_for(op)

    def apply(self, site: Site) -> tuple[Any, ...]:
        """Map one op through its row.

        Raises:
            RefusedHere: When there is no row for it, or the row can't express it.
            RowError: When the row has no answer here.
        """
        row = self._choice.row_for(site, self._scope)
        self._rows_used[row.title] = self._rows_used.get(row.title, 0) + 1
        with self.nodes.sourced(Source(class_path(type(site.op)), row.at)):
            if row.broadcasts and not self.nodes.nested:
                self._equal_sizes.meet(site.inputs)
            try:
                results = self._apply_row(row, site)
                self.nodes.note_row(row.name, site.inputs, results)
                return results
            except (MapperError, RefusedHere):
                raise
            except StaticError as error:
                raise RowError(row.place, str(error)) from None
            except Exception as error:  # whatever a wrong row makes fail, its author is told where
                raise RowError(row.place, f"{type(error).__name__}: {error}") from error

    def _apply_row(self, row: Row, site: Site) -> tuple[Any, ...]:
        _check_place(row, site)
        scope = self._scope(row, site)
        check_requirements(row, scope, site, self.dtypes)
        promote_inputs(row, scope, self.nodes)
        rewrite_inputs(row, scope, site, self.nodes, self.dtypes)
        results: Sequence[Any]
        if row.delegate:
            given = current_inputs(row, scope, site)
            other = self._held(row, site, "delegate", row.delegate, "make_node", "op")
            results = self.apply(Site(other, given, rankless(site.outputs), site.depth + 1))
        elif row.inline:
            graph = self._held(row, site, "inline", row.inline, "inputs", "graph")
            results = Answers(self, site).inner(graph, *current_inputs(row, scope, site))
        elif row.unfuse:
            self._held(row, site, "unfuse", row.unfuse, "fgraph", "op with an inner graph")
            results = unfused(self, row.unfuse, row, current_inputs(row, scope, site), site)
        else:
            results = run_row_body(row, scope, site, self.nodes)
        return finished(row, scope, site, results, self.nodes)

    def _held(self, row: Row, site: Site, key: str, name: str, mark: str, what: str) -> Any:
        """Return what an op holds in an attribute.

        Raises:
            RowError: When that is nothing, or nothing of the kind.
        """
        held = getattr(site.op, name, None)
        if not hasattr(held, mark):
            raise RowError(
                row.locate(key), f"{row.name}.{name} is {describe(as_static(held))}, and no {what}"
            )
        return held

    def _scope(self, row: Row, site: Site) -> Scope:
        names: dict[str, Any] = {"opset": self.nodes.opset, "random": self.random}
        names["outs"] = Vector(site.outputs)
        names["out"] = site.outputs[0] if site.outputs else None
        for attribute in attribute_names(row, site.op):
            names[attribute] = Lazy(
                lambda a=attribute: attribute_of(site.op, a, self.dtypes)  # type: ignore[misc]
            )
        names.update(bind_inputs(row, site))
        answers = Answers(self, site)
        scope = Scope(names, self._table.language, self.nodes, answers, limit=Limit())
        for name, formula in row.let:
            scope.names[name] = Lazy(lambda f=formula: f.evaluate(scope))  # type: ignore[misc]
        return scope

    def cleaned(self, graph: Any) -> Any:
        """Return an inner graph of tensors with the rewrites of `capture_variables`, done once."""
        found = self._clean_graphs.get(id(graph))
        if found is None:
            scalar = all(isinstance(v.type, ScalarType) for v in (*graph.inputs, *graph.outputs))
            found = graph, graph if scalar else cleaned(graph)
            self._clean_graphs[id(graph)] = found
        return found[1]

    def walk(
        self, outputs: Sequence[Any], values: dict[Any, Any], rankless: bool, depth: int, name: str
    ) -> tuple[Any, ...]:
        """Map the ops of an inner graph between the given values and some of its variables."""
        for node in ordered_applies(outputs, set(values)):
            last = any(variable in outputs for variable in node.outputs)
            self._map(node, values, depth + 1, rankless, name if last else "")
        return tuple(self.read(variable, values) for variable in outputs)

    def take_noise(self, noise: Noise) -> None:
        """Note an input of random numbers."""
        self._noises.append(noise)

    def use(self, states: Sequence[Generator]) -> None:
        """Note that a draw has read generators' states."""
        self._used_generators.extend(states)

    def is_used(self, state: Generator) -> bool:
        """Tell whether a draw has read a generator's state."""
        return state in self._used_generators


def _check_place(row: Row, site: Site) -> None:
    """Check what needs no scope: dtypes, ops that can't be expressed, batches."""
    for type_ in site.outputs:
        if type_.dtype and type_.dtype not in DTYPES:
            raise RefusedHere(f"ONNX Runtime has no tensors of dtype {type_.dtype}")
    if row.refuse:
        raise RefusedHere(row.refuse, row.title, always=True)
    if site.batch and not row.batched:
        raise RefusedHere(
            f"{row.name} is repeated over {site.batch} leading axes, and its row at "
            f"{row.at} is written for one {row.name} at a time. Unroll the batch, or "
            "write the row for leading axes and say `batched: true`"
        )
