"""The nodes of a graph under construction, and of the graphs inside them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from onnx import ModelProto, NodeProto, TypeProto, helper
from onnx.defs import OpSchema
from onnx.numpy_helper import from_array
from onnx.shape_inference import infer_node_outputs

from onnx_mapper.language.arrays import Array, read
from onnx_mapper.language.nodes import Source
from onnx_mapper.language.tensors import Step, Value
from onnx_mapper.language.values import StaticError
from onnx_mapper.model.constants import Constants
from onnx_mapper.model.fold import compute_node, empty_results, worth_folding
from onnx_mapper.model.names import Names
from onnx_mapper.model.operator_facts import facts_of
from onnx_mapper.model.operators import is_deterministic, schema_of
from onnx_mapper.model.prune import captured, subgraphs
from onnx_mapper.model.sizes import LARGEST_KNOWN, Sizes

SOURCE_KEY = "onnx_mapper"
COUNT = "num_outputs"
NODE_METADATA_SINCE_IR = 10


@dataclass(frozen=True)
class Narrowed:
    """A node that computes in fewer digits than PyTensor does."""

    op_type: str
    from_dtype: str
    to_dtype: str
    source: Source


@dataclass
class Body:
    """The nodes of one graph under construction: the model's, or one inside a node."""

    nodes: list[NodeProto] = field(default_factory=list)
    outputs_by_node: dict[bytes, tuple[Value, ...]] = field(default_factory=dict)
    own_names: set[str] = field(default_factory=set)
    lazy: bool = False
    step: Step | None = None


class NodeList:
    """Adds nodes, each once: infers what they give, and computes those whose inputs are known.

    Attributes:
        bodies: The graph under construction, and those inside it, the innermost last.
        sizes: What is known of unknown sizes.
        makers: The node that made each tensor, and its inputs.
        results: Each tensor that a node gave, by its name.
        rows: For tensors that a row gave, the class that the row is about and its inputs.
        weights: The shared variable that each known tensor is, or is computed from.
        sources: What each tensor was made for.
        wide: The same, for those of float64.
        narrowed: The nodes that compute in fewer digits.
        doubtful: Tensors that stand in for refused results, or follow from such.

    Args:
        empty_model: A model that holds nothing but its opset and IR version.
        names: Gives the names.
        constants: Takes what is computed at once.
        asks_for_sizes: The operator that gives the sizes of a tensor.
    """

    def __init__(
        self, empty_model: ModelProto, names: Names, constants: Constants, asks_for_sizes: str
    ) -> None:
        self.bodies = [Body()]
        self.sizes = Sizes()
        self.makers: dict[str, tuple[NodeProto, tuple[Value | None, ...]]] = {}
        self.results: dict[str, Value] = {}
        self.rows: dict[str, tuple[str, tuple[Any, ...]]] = {}
        self.weights: dict[str, str] = {}
        self.sources: dict[str, Source] = {}
        self.wide: dict[str, Source] = {}
        self.narrowed: list[Narrowed] = []
        self.doubtful: set[str] = set()
        self.empty_model = empty_model
        self._opset = empty_model.opset_import[0].version
        self._names = names
        self.constants = constants
        self._asks_for_sizes = asks_for_sizes
        self._made = 0
        self._types: dict[str, TypeProto] = {}

    @contextmanager
    def inside(self, body: Body) -> Iterator[None]:
        """Add nodes to a graph inside a node, for a while."""
        outside = self.sizes.known()
        self.bodies.append(body)
        try:
            yield
        finally:
            self.bodies.pop()
            self.sizes.forget_all_but(outside)

    def add(
        self,
        op_type: str,
        inputs: Sequence[Value | None],
        attributes: Mapping[str, Any],
        outputs: int,
        source: Source,
    ) -> tuple[Value, ...]:
        """Add a node and return its outputs: those of an equal node, constants, or new tensors.

        Raises:
            StaticError: When ONNX doesn't take these inputs.
        """
        if attributes.get(COUNT, outputs) != outputs:  # shape inference ends the process over it
            told = f"{attributes[COUNT]} outputs by its {COUNT}, and {outputs} are asked for"
            raise StaticError(f"{op_type} gives {told}")
        schema = schema_of(op_type, self._opset)
        while len(inputs) > schema.min_input and inputs[-1] is None:
            inputs = inputs[:-1]
        node = NodeProto(op_type=op_type)
        node.input.extend("" if value is None else value.name for value in inputs)
        node.attribute.extend(
            helper.make_attribute(key, value, attr_type=_attribute_type(schema, key))
            for key, value in sorted(attributes.items())
        )
        key = key_of(node, outputs)
        for body in reversed(self.bodies):
            if key in body.outputs_by_node:
                return body.outputs_by_node[key]
        node.output.extend(f"output_{position}" for position in range(outputs))
        given = {value.name: value for value in inputs if value is not None}
        _refuse_negative_sizes(given.values())
        types = self._infer(op_type, node, given)
        empty = None if any(subgraphs(node)) else empty_results(types, node.output)
        if empty is not None:
            results = tuple(self.constants.of(array) for array in empty)
        elif (folded := self._folded_results(node, given, types)) is not None:
            results = folded
        else:
            results = self.append(op_type, node, types, source)
            self.makers.update((r.name, (node, tuple(inputs))) for r in results)
            if not any(subgraphs(node)):
                results = self.sizes.traced(node, given, results, op_type == self._asks_for_sizes)
            self.results.update((result.name, result) for result in results)
        if not self.doubtful.isdisjoint(given):
            self.doubtful.update(result.name for result in results)
        self.note(op_type, key, results)
        return results

    def note(self, op_type: str, key: bytes, results: tuple[Value, ...]) -> None:
        """Note what nodes give that equal this one; a node that draws has no equal."""
        if is_deterministic(schema_of(op_type, self._opset)):
            self.bodies[-1].outputs_by_node[key] = results

    def _infer(
        self, op_type: str, node: NodeProto, given: Mapping[str, Value]
    ) -> dict[str, TypeProto]:
        schema = schema_of(op_type, self._opset)
        data = {
            name: from_array(read(value.numbers), name)
            for name, value in given.items()
            if value.numbers is not None and value.numbers.size <= LARGEST_KNOWN
        }
        types = {
            name: self._types[name]
            for graph in subgraphs(node)
            for name in captured(graph)
            if name in self._types
        }
        types.update((name, self.type_proto(value)) for name, value in given.items())
        try:
            if not any(subgraphs(node)) and any(value.from_sizes for value in given.values()):
                return self.sizes.infer(node, given, types, self.empty_model)
            return infer_node_outputs(
                schema,
                node,
                types,
                data,
                opset_imports=list(self.empty_model.opset_import),
                ir_version=self.empty_model.ir_version,
            )
        except Exception as error:  # of many kinds, as the operators' C++ raises them
            listed = ", ".join(f"{v.dtype}{list(v.shape or ())}" for v in given.values())
            text = str(error).splitlines()[0]
            raise StaticError(f"ONNX does not take {op_type}({listed}): {text}") from None

    def forget_type(self, name: str) -> None:
        """Forget the type of a tensor of which more is known now."""
        self._types.pop(name, None)

    def type_proto(self, value: Value) -> TypeProto:
        """Return a tensor's type, as ONNX's shape inference takes it."""
        found = self._types.get(value.name)
        if found is None:
            found = self._types[value.name] = self.sizes.type_proto(value)
        return found

    def _folded_results(
        self, node: NodeProto, given: Mapping[str, Value], types: Mapping[str, TypeProto]
    ) -> tuple[Value, ...] | None:
        """Return what a node of constants gives; None for others, and where it can't be computed."""
        if not all(value.foldable for value in given.values()):
            return None
        arrays = {name: read(v.numbers) for name, v in given.items() if v.numbers is not None}
        return self.computed(node, arrays) if worth_folding(types, arrays) else None

    def computed(self, node: NodeProto, arrays: Mapping[str, Array]) -> tuple[Value, ...] | None:
        """Return what a node gives for known inputs, named after a weight among them.

        None for draws, nodes with graphs or without inputs, and where ONNX Runtime can't tell.
        """
        if not arrays or any(subgraphs(node)):
            return None
        if not is_deterministic(schema_of(node.op_type, self._opset)):
            return None
        if any(array.size == 0 and array.ndim > 1 for array in arrays.values()):
            return None  # some of ONNX Runtime's kernels end the process over these
        results = compute_node(node, arrays, self.empty_model)
        if results is None:
            return None
        weight = next((self.weights[name] for name in arrays if name in self.weights), "")
        values = [
            self.constants.of(array, f"{weight}_folded" if weight else "constant")
            for array in results
        ]
        if weight:
            self.weights.update((value.name, weight) for value in values)
        return tuple(values)

    def copied(self, value: Value, copy_type: str, source: Source) -> Value:
        """Add a node that hands a tensor on, and return what it gives."""
        node = NodeProto(op_type=copy_type, input=[value.name], output=["output_0"])
        return self.append(copy_type, node, {"output_0": self.type_proto(value)}, source)[0]

    def append(
        self, op_type: str, node: NodeProto, types: Mapping[str, TypeProto], source: Source
    ) -> tuple[Value, ...]:
        """Add a node as it is, under new names, and return its outputs.

        Raises:
            StaticError: When the dtype of an output is not known.
        """
        results = []
        for position, placeholder in enumerate(list(node.output)):
            name = self._names.fresh(f"{op_type}_{self._made}")
            node.output[position] = name
            self.bodies[-1].own_names.add(name)
            self.sources[name] = source
            results.append(self.sizes.value_of_type(name, types.get(placeholder)))
            if results[-1].dtype == "float64":
                self.wide[name] = source
        node.name = node.output[0]
        self.annotate(node, source)
        self.bodies[-1].nodes.append(node)
        self._made += 1
        return tuple(results)

    def annotate(self, node: NodeProto, source: Source) -> None:
        """Write on a node what it was made for."""
        if not source.op:
            return
        if self.empty_model.ir_version >= NODE_METADATA_SINCE_IR:
            node.metadata_props.add(key=SOURCE_KEY, value=str(source))
        else:
            node.doc_string = f"{SOURCE_KEY}: {source}"


def key_of(node: NodeProto, outputs: int) -> bytes:
    """Return what equal nodes have in common: operator, inputs, attributes, number of outputs."""
    inputs = sorted(node.input) if facts_of(node.op_type).commutative else node.input
    bare = NodeProto(op_type=node.op_type, input=inputs, attribute=node.attribute)
    told: bytes = bare.SerializeToString(deterministic=True)
    return told + bytes([outputs])


def _refuse_negative_sizes(values: Iterable[Value]) -> None:
    """Refuse tensors that can't be: ONNX's shape inference may end the process over them."""
    for value in values:
        if any(size is not None and size < 0 for size in value.shape or ()):
            raise StaticError(f"{value.name} would have the shape {list(value.shape or ())}")


def _attribute_type(schema: OpSchema, name: str) -> int:
    kind: Any = schema.attributes[name].type
    return int(kind.value)
