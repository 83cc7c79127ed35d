"""The ONNX side of an export: one graph under construction."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, helper
from onnx.defs import OpSchema

from onnx_mapper.language.arrays import Array, Numbers
from onnx_mapper.language.nodes import Source
from onnx_mapper.language.tensors import Counter, StaticShape, Step, TensorType, Value
from onnx_mapper.model.binding import bind_inputs
from onnx_mapper.model.constants import Constants
from onnx_mapper.model.kernels import KernelTable, kernel_table
from onnx_mapper.model.names import Names
from onnx_mapper.model.node_list import Body, Narrowed, NodeList
from onnx_mapper.model.operators import attribute_value, dtype_of_code, schema_of
from onnx_mapper.model.prune import assembled, read_by
from onnx_mapper.model.questions import Questions
from onnx_mapper.model.replay import Replay
from onnx_mapper.model.running_dtypes import (
    asked_dtypes,
    check_given,
    is_narrower,
    running_dtype,
)
from onnx_mapper.model.signs import Makers
from onnx_mapper.model.sizes import first_with_these_sizes, merged_shapes

# Three operators that every row may need without asking for them: see tests/test_invariants.py.
CAST = "Cast"
SHAPE = "Shape"
IDENTITY = "Identity"
CARRIERS = frozenset({CAST, IDENTITY})
"""What makes no node's result another: copies, and the same in another dtype."""


@dataclass(frozen=True)
class Compromises:
    """Where a model computes in other dtypes than PyTensor.

    Attributes:
        narrowed: The nodes that compute in fewer digits.
        wide: What each tensor of float64 was made for, by its final name.
    """

    narrowed: tuple[Narrowed, ...]
    wide: Mapping[str, Source]


class GraphBuilder:
    """Collects the nodes, constants and parameters of one ONNX graph.

    A node is added in stages: its inputs are bound to the operator's type variables (`binding`),
    it gets the dtypes that it can run in (`running_dtypes`), an equal node is looked for, ONNX infers
    what it gives (`sizes`), and it is computed at once if all of it is known (`fold`); else it is
    appended. `graph` puts together what the outputs need (`prune`).

    Nodes may hold graphs of their own, see `subgraph`. Those see the tensors of the graphs
    around them; constants and parameters belong to the outermost one.

    Args:
        opset: The ONNX opset of the model.
        ir_version: The IR version of the model.
        reserved: Names that belong to the user: inputs, outputs, parameters.
        kernels: What the runtime computes that the model is meant for.

    Attributes:
        rewrite_body: Goes through the nodes of a graph inside a node once they are complete; given what
            that graph gives, it returns what tells what each tensor has become.
    """

    def __init__(
        self,
        opset: int,
        ir_version: int,
        reserved: frozenset[str] = frozenset(),
        kernels: KernelTable | None = None,
    ) -> None:
        self.opset = opset
        self.ir_version = ir_version
        self.kernels = kernels or kernel_table()
        self.names = Names(reserved)
        self._source = Source()
        self._parameters: dict[str, Numbers] = {}
        self._constants = Constants(self.names.fresh)
        self._list = NodeList(self.empty_model(), self.names, self._constants, SHAPE)
        self._questions = Questions(self)
        self._lazy: set[str] = set()
        self.rewrite_body: Callable[[Sequence[Value]], Callable[[Value], Value]] | None = None

    @property
    def source(self) -> Source:
        """What nodes are now made for."""
        return self._source

    @contextmanager
    def sourced(self, source: Source) -> Iterator[None]:
        """Make nodes for something, for a while."""
        before, self._source = self._source, source
        try:
            yield
        finally:
            self._source = before

    @property
    def makers(self) -> Makers:
        """The node that made each tensor, and its inputs."""
        return self._list.makers

    @property
    def compromises(self) -> Compromises:
        """Where the model computes in other dtypes than PyTensor, so far."""
        wide = {self.names.final(name): source for name, source in self._list.wide.items()}
        return Compromises(tuple(self._list.narrowed), wide)

    @property
    def nodes(self) -> list[NodeProto]:
        """The nodes so far of the graph under construction, the innermost if there are several."""
        return self._list.bodies[-1].nodes

    @property
    def nested(self) -> bool:
        """Whether nodes now go into a graph inside a node."""
        return len(self._list.bodies) > 1

    @property
    def steps(self) -> tuple[Step | None, ...]:
        """The step of each loop around new nodes, the outermost first; None where none counts it."""
        return tuple(body.step for body in self._list.bodies[1:] if not body.lazy)

    @property
    def has_branches(self) -> bool:
        """Whether some nodes may not run at all."""
        return bool(self._lazy)

    def replay(self, results: Sequence[Value]) -> Replay:
        """Go through the nodes that some results need once more, to keep or replace each."""
        return Replay(self._list, results, self.opset)

    def note_row(self, row: str, inputs: Sequence[Any], results: Sequence[Any]) -> None:
        """Note which class' row gave a tensor, the innermost where one hands over to another."""
        if len(results) == 1 and isinstance(results[0], Value):
            self._list.rows.setdefault(results[0].name, (row, tuple(inputs)))

    def ask(self, name: str, arguments: Sequence[Any]) -> Any:
        """Answer a question of the vocabulary that is about the model."""
        return self._questions.ask(name, arguments)

    def fresh_name(self, hint: str) -> str:
        """Return a name that nothing in this graph has."""
        return self.names.fresh(hint)

    def stand_in(self, type_: TensorType) -> Value | None:
        """Return what takes the place of a result that was refused; None for what is no tensor."""
        if not type_.dtype:
            return None
        value = Value(f"refused_{len(self._list.doubtful)}", type_.dtype, type_.shape)
        self._list.doubtful.add(value.name)
        return value

    def is_doubtful(self, value: Value) -> bool:
        """Tell whether a tensor stands in for a refused result, or is computed from one that does."""
        return value.name in self._list.doubtful

    def input(self, name: str, dtype: str, dims: Sequence[int | str | None]) -> Value:
        """Return the tensor of a model input; equal names in `dims` are equal sizes."""
        return self._list.sizes.input(name, dtype, dims)

    def parameter(self, name: str, numbers: Numbers, state: bool = False) -> Value:
        """Return the tensor of a shared variable, held in the model under its name.

        Args:
            name: The initializer's name.
            numbers: The shared variable's value.
            state: True when the function updates it: then it may differ from run to run.
        """
        self._parameters[name] = numbers
        self._list.weights[name] = name
        known = None if state else numbers
        shape = (None,) * len(numbers.shape) if state else numbers.shape
        value = Value(name, numbers.dtype.name, shape, known, parameter=True)
        return self._list.sizes.named(value)

    def constant(self, array: Array, hint: str = "constant") -> Value:
        """Return a tensor with these numbers; equal constants share one initializer."""
        return self._constants.of(array, hint)

    def literal(self, number: Any, dtype: str) -> Value:
        """Return a constant of a dtype from a static number or vector; see `Constants.literal`."""
        return self._constants.literal(number, dtype)

    def derived_parameter(self, origin: Value, suffix: str, array: Array) -> Value:
        """Return a constant computed from a shared variable, named after it."""
        return self.constant(array, f"{origin.name}_{suffix}" if origin.parameter else "constant")

    def cast(self, value: Value, dtype: str) -> Value:
        """Return the tensor in another dtype; the tensor itself where it has it."""
        if value.dtype == dtype:
            return value
        code = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self._list.add(CAST, [value], {"to": code}, 1, self._source)[0]

    def node(
        self, op_type: str, inputs: Sequence[Any], attributes: Mapping[str, Any], outputs: int
    ) -> tuple[Value, ...]:
        """Add a node, as a formula's Capitalised call asks for it.

        Numbers among the inputs become constants in the dtype that the operator's schema asks
        for. Where ONNX Runtime has no kernel for a dtype, the node computes in a wider one; if
        there is none, in a narrower one, which is recorded in `narrowed`.

        Raises:
            StaticError: When ONNX or ONNX Runtime doesn't take these inputs or attributes.
        """
        schema = schema_of(op_type, self.opset)
        given = {
            key: attribute_value(op_type, schema, key, item)
            for key, item in attributes.items()
            if item is not None
        }
        if op_type == CAST and isinstance(inputs[0], Value):
            return (self.cast(inputs[0], dtype_of_code(given["to"])),)
        if op_type == SHAPE and isinstance(inputs[0], Value) and inputs[0].shape is not None:
            cut = inputs[0].shape[given.get("start", 0) : given.get("end")]
            if None not in cut:
                return (self.constant(np.array(cut, dtype="int64")),)
        if op_type == SHAPE and isinstance(inputs[0], Value):
            inputs, given = first_with_these_sizes(inputs[0], given)
        bound = bind_inputs(op_type, schema, inputs, self.literal)
        return self._in_running_dtypes(op_type, schema, bound, given, outputs)

    def _in_running_dtypes(
        self,
        op_type: str,
        schema: OpSchema,
        bound: list[tuple[str, Value | None]],
        attributes: dict[str, Any],
        outputs: int,
    ) -> tuple[Value, ...]:
        variables = {v: value.dtype for v, value in bound if v and value is not None}
        chosen = {
            variable: running_dtype(schema, variable, dtype, self.kernels, self.opset)
            for variable, dtype in variables.items()
        }
        self._list.narrowed.extend(
            Narrowed(op_type, dtype, chosen[variable], self._source)
            for variable, dtype in variables.items()
            if is_narrower(chosen[variable], dtype)
        )
        values = [
            None if value is None else self.cast(value, chosen.get(variable, value.dtype))
            for variable, value in bound
        ]
        results = self._list.add(op_type, values, attributes, outputs, self._source)
        given = [result.dtype for result in results]
        check_given(schema, given, chosen, self.kernels, self.opset)
        asked = asked_dtypes(schema, given, variables, chosen)
        return tuple(self.cast(result, dtype) for result, dtype in zip(results, asked, strict=True))

    def subgraph(
        self,
        inputs: Sequence[tuple[str, Value | TensorType]],
        build: Callable[[Sequence[Value]], Sequence[Value]],
        lazy: bool = False,
    ) -> GraphProto:
        """Return a graph for a node's attribute: a branch, or the body of a loop.

        The names of its tensors are unlike any others of the model.

        Args:
            inputs: The graph's inputs: what each is called, and a tensor of its type.
            build: Given their tensors, adds the graph's nodes and returns its outputs.
            lazy: Whether the graph runs at most once; then nodes before it that nothing else
                needs are moved into it.
        """
        body = Body(lazy=lazy)
        with self._list.inside(body):
            given = [
                self._list.sizes.named(Value(self.names.fresh(hint), t.dtype, t.shape))
                for hint, t in inputs
            ]
            body.step = _step_counted(given, [t for _, t in inputs])
            made = build(given)
            if self.rewrite_body is not None and not self._list.doubtful:
                made = list(map(self.rewrite_body(made), made))
            results: list[Value] = []
            for value in made:
                fresh = value.name in body.own_names and value.name not in {r.name for r in results}
                results.append(value if fresh else self._list.copied(value, IDENTITY, self._source))
        graph = GraphProto(name=self.names.fresh("branch" if lazy else "body"), node=body.nodes)
        graph.input.extend(map(self._list.sizes.port, given))
        graph.output.extend(map(self._list.sizes.port, results))
        if lazy:
            self._lazy.add(graph.name)
        return graph

    def with_shape(self, value: Value, shape: StaticShape | None) -> Value:
        """Return the tensor with what PyTensor knows of its shape added to what ONNX knows."""
        merged = merged_shapes(value.shape, shape)
        if merged == value.shape:
            return value
        self._list.forget_type(value.name)
        return replace(value, shape=merged)

    def as_output(self, value: Value, name: str, free: bool) -> None:
        """Make a tensor the model's output of this name.

        Args:
            value: The tensor.
            name: The output's name, reserved beforehand.
            free: Whether the tensor may simply be renamed; otherwise it is copied.
        """
        if free:
            self.names.rename(value.name, name)
            return
        node = NodeProto(op_type=IDENTITY, name=name, input=[value.name], output=[name])
        self._list.annotate(node, self._source)
        self.nodes.append(node)

    def empty_model(self) -> ModelProto:
        """Return a model of this opset and IR version that holds nothing yet."""
        return ModelProto(
            ir_version=self.ir_version, opset_import=[helper.make_opsetid("", self.opset)]
        )

    def graph(
        self, name: str, outputs: Sequence[str], inputs: Sequence[str] = ()
    ) -> tuple[GraphProto, dict[str, Numbers]]:
        """Return the nodes that the outputs need, under their final names, and the initializers.

        Args:
            name: The graph's name.
            outputs: The names of its outputs.
            inputs: Those of its inputs: a state among them has its value as default, also where
                nothing reads it.
        """
        final = self.names.final
        kept = assembled(self.nodes, outputs, self.names.renamed, self._lazy, IDENTITY)
        wanted = {*outputs, *inputs, *(read for node in kept for read in read_by(node))}
        graph = GraphProto(name=name)
        graph.node.extend(kept)
        arrays = {n: array for n, array in self._parameters.items() if n in wanted}
        arrays |= {
            final(value.name): value.numbers
            for value in self._constants
            if final(value.name) in wanted and value.numbers is not None
        }
        return graph, arrays


def _step_counted(given: Sequence[Value], likes: Sequence[Value | TensorType]) -> Step | None:
    """Return the step that an input of a loop's body counts, if one does."""
    for value, like in zip(given, likes, strict=True):
        if isinstance(like, Counter):
            return Step(value, like.steps)
    return None
