"""The ONNX side of an export: values, nodes, constants and names, for one graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, TypeProto, helper
from onnx.checker import ValidationError
from onnx.defs import OpSchema
from onnx.numpy_helper import from_array
from onnx.shape_inference import InferenceError, infer_node_outputs

from onnx_mapper.language.nodes import Source
from onnx_mapper.language.tensors import Array, StaticShape, TensorType, Value
from onnx_mapper.language.values import DTYPES, StaticError, Vector, as_static, describe
from onnx_mapper.model import kernels
from onnx_mapper.model.fold import compute_node, empty_results, worth_folding
from onnx_mapper.model.operators import (
    allowed_dtypes,
    attribute_value,
    dtype_of_code,
    formal,
    opsets_of,
    plain,
    refuse_unknown,
    schema_of,
    type_variables,
)
from onnx_mapper.model.prune import assembled, captured, read_by, subgraphs
from onnx_mapper.model.sizes import Sizes

SOURCE_KEY = "onnx_mapper"
NODE_METADATA_SINCE_IR = 10

# Three operators that every row may need without asking for them: see tests/test_invariants.py.
CAST = "Cast"
SHAPE = "Shape"
IDENTITY = "Identity"

_EXACTLY_WIDER = {
    "bool": ("uint8", "int32", "int64"),
    "int8": ("int16", "int32", "int64"),
    "int16": ("int32", "int64"),
    "int32": ("int64",),
    "uint8": ("uint16", "int32", "int64"),
    "uint16": ("int32", "int64"),
    "uint32": ("int64",),
    "float16": ("float32", "float64"),
    "float32": ("float64",),
}
_NARROWER = {"float64": ("float32",)}


@dataclass(frozen=True)
class Narrowed:
    """A node that computes in fewer digits than PyTensor does."""

    op_type: str
    from_dtype: str
    to_dtype: str
    source: Source


@dataclass
class _Body:
    """The nodes of one graph under construction: the model's, or one inside a node."""

    nodes: list[NodeProto] = field(default_factory=list)
    outputs_by_node: dict[bytes, tuple[Value, ...]] = field(default_factory=dict)
    own_names: set[str] = field(default_factory=set)
    lazy: bool = False


class GraphBuilder:
    """Collects the nodes, constants and parameters of one ONNX graph.

    Nodes may hold graphs of their own, see `subgraph`. Those see the tensors of the graphs
    around them; constants and parameters belong to the outermost one.

    Args:
        opset: The ONNX opset of the model.
        ir_version: The IR version of the model.
        reserved: Names that belong to the user: inputs, outputs, parameters.
    """

    def __init__(self, opset: int, ir_version: int, reserved: frozenset[str] = frozenset()) -> None:
        self.opset = opset
        self.ir_version = ir_version
        self.source = Source()
        self.narrowed: list[Narrowed] = []
        self.wide: dict[str, Source] = {}
        self.doubtful: set[str] = set()
        self.constants: dict[str, TensorProto] = {}
        self._taken = set(reserved)
        self._counts: dict[str, int] = {}
        self._values_by_constant: dict[tuple[str, tuple[int, ...], bytes], Value] = {}
        self._bodies = [_Body()]
        self._lazy: set[str] = set()
        self._made = 0
        self._folded: dict[bytes, list[Array]] = {}
        self._makers: dict[str, tuple[NodeProto, tuple[Value | None, ...]]] = {}
        self._types: dict[str, TypeProto] = {}
        self._sizes = Sizes()
        self._renamed: dict[str, str] = {}
        self._opset_ids = [helper.make_opsetid("", opset)]

    @property
    def nodes(self) -> list[NodeProto]:
        """The nodes so far of the graph under construction, the innermost if there are several."""
        return self._bodies[-1].nodes

    @property
    def nested(self) -> bool:
        """Whether nodes now go into a graph inside a node."""
        return len(self._bodies) > 1

    @property
    def repeated(self) -> bool:
        """Whether nodes now go into a graph that may run several times."""
        return any(not body.lazy for body in self._bodies[1:])

    @property
    def has_branches(self) -> bool:
        """Whether some nodes may not run at all."""
        return bool(self._lazy)

    # Names

    def fresh_name(self, hint: str) -> str:
        """Return a name that nothing in this graph has: the hint itself, or a numbered one."""
        name = hint
        while name in self._taken:
            self._counts[hint] = self._counts.get(hint, 0) + 1
            name = f"{hint}_{self._counts[hint]}"
        self._taken.add(name)
        return name

    def rename(self, value: Value, name: str) -> Value:
        """Give a computed tensor the user's name, everywhere that it is used."""
        self._renamed[value.name] = name
        return replace(value, name=value.name)

    def final_name(self, name: str) -> str:
        """Return the name that a tensor has in the finished graph."""
        return self._renamed.get(name, name)

    def is_renamed(self, value: Value) -> bool:
        """Tell whether a tensor already carries a name of the user's."""
        return value.name in self._renamed

    # Values

    def input(self, name: str, dtype: str, dims: Sequence[int | str | None]) -> Value:
        """Return the tensor of a model input; equal names in `dims` are equal sizes."""
        shape = tuple(dim if isinstance(dim, int) else None for dim in dims)
        names = [dim if isinstance(dim, str) else None for dim in dims]
        return self._sizes.named(Value(name, dtype, shape), names)

    def parameter(self, name: str, array: Array, state: bool = False) -> Value:
        """Return the tensor of a shared variable, held in the model under its name.

        Args:
            name: The initializer's name.
            array: The shared variable's value.
            state: True when the function updates it: then it may differ from run to run.
        """
        self.constants[name] = from_array(np.ascontiguousarray(array).reshape(array.shape), name)
        known = None if state else array
        shape = (None,) * array.ndim if state else array.shape
        value = Value(name, array.dtype.name, shape, known, parameter=True)
        return self._sizes.named(value)

    def constant(self, array: Array, hint: str = "constant") -> Value:
        """Return a tensor with these numbers; equal constants share one initializer."""
        array = np.asarray(array)
        if array.dtype.name not in DTYPES:
            raise StaticError(f"ONNX Runtime has no tensors of dtype {array.dtype.name}")
        if not array.flags.c_contiguous or array.dtype.byteorder == ">":
            array = array.astype(array.dtype.newbyteorder("="), order="C")
        key = (array.dtype.name, array.shape, array.tobytes())
        value = self._values_by_constant.get(key)
        if value is None:
            value = Value(self.fresh_name(hint), array.dtype.name, array.shape, array)
            self._values_by_constant[key] = value
        return value

    def derived_parameter(self, origin: Value, suffix: str, array: Array) -> Value:
        """Return a constant computed from a shared variable, named after it."""
        return self.constant(array, f"{origin.name}_{suffix}" if origin.parameter else "constant")

    def literal(self, number: Any, dtype: str) -> Value:
        """Return a constant of a dtype from a static number or vector.

        Raises:
            StaticError: When the dtype can't hold it exactly (300 in int8, 0.5 in int64),
                or when a size in it is unknown at export.
        """
        refuse_unknown(number)
        try:
            array = np.asarray(plain(number))
            if array.dtype.kind == "f" and dtype == "uint64":
                array = _as_integers(plain(number), array)
        except (ValueError, OverflowError) as error:
            raise StaticError(f"{describe(number)} is no tensor: {error}") from None
        if array.size == 0:
            array = array.astype(dtype)
        target = np.dtype(dtype)
        if target.kind in "iu" and array.size:
            limits = np.iinfo(target)
            if (
                array.dtype.kind not in "biu"
                or array.min() < limits.min
                or array.max() > limits.max
            ):
                raise StaticError(f"{describe(number)} does not fit {dtype}")
        if target.kind == "b" and array.dtype.kind != "b" and not np.isin(array, (0, 1)).all():
            raise StaticError(f"{describe(number)} is no bool")
        if array.dtype.kind not in "biuf":
            raise StaticError(f"{describe(number)} is no number")
        return self.constant(array.astype(target))

    def cast(self, value: Value, dtype: str) -> Value:
        """Return the tensor in another dtype; the tensor itself where it has it."""
        if value.dtype == dtype:
            return value
        code = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self._add(CAST, [value], {"to": code}, 1)[0]

    # Nodes

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
            inputs, given = _first_with_these_sizes(inputs[0], given)
        bound = self._bind(op_type, schema, inputs)
        return self._in_running_dtypes(op_type, schema, bound, given, outputs)

    def ask(self, function: str, arguments: Sequence[Any]) -> Any:
        """Answer `runs('Op', x)`, `constant(numbers, dtype)`, `like(x, y)`, `made_by(x, 'Op')`."""
        if function == "constant":
            numbers, dtype = arguments
            return self.literal(numbers, dtype)
        if function == "like":
            for argument in arguments:
                if not isinstance(argument, Value):
                    raise StaticError(f"like takes tensors, not {describe(argument)}")
            return self._like(*arguments)
        if function == "made_by":
            return self._made_by(*arguments)
        op_type, *tensors = arguments
        if self.opset not in opsets_of(op_type):
            return False
        schema = schema_of(op_type, self.opset)
        bindings = {}
        for position, tensor in enumerate(tensors):
            if not isinstance(tensor, Value | TensorType) and tensor not in DTYPES:
                raise StaticError(f"runs takes tensors and dtypes, not {describe(tensor)}")
            variable = formal(schema, position)[0]
            bindings[variable] = tensor if isinstance(tensor, str) else tensor.dtype
        return self._runs(op_type, schema, bindings)

    def _bind(
        self, op_type: str, schema: OpSchema, inputs: Sequence[Any]
    ) -> list[tuple[str, Value | None]]:
        """Pair each input with its type variable, turning numbers into constants.

        Inputs that may be of any dtypes, each of its own, have an empty type variable.
        """
        if not schema.min_input <= len(inputs) <= schema.max_input:
            raise StaticError(
                f"{op_type} takes {schema.min_input} to {schema.max_input} inputs, not {len(inputs)}"
            )
        formals = [formal(schema, position) for position in range(len(inputs))]
        dtypes: dict[str, str] = {}
        for (variable, homogeneous), item in zip(formals, inputs, strict=True):
            if isinstance(item, Value) and homogeneous:
                before = dtypes.setdefault(variable, item.dtype)
                if before != item.dtype and variable in type_variables(schema):
                    raise StaticError(
                        f"{op_type} takes inputs of one dtype, not {before} and {item.dtype}: "
                        "use Cast, or the row's `promote`"
                    )
        bound: list[tuple[str, Value | None]] = []
        for (variable, homogeneous), item in zip(formals, inputs, strict=True):
            if item is None or isinstance(item, Value):
                bound.append((variable if homogeneous else "", item))
                continue
            allowed = allowed_dtypes(schema, variable)
            dtype = dtypes.get(variable) or (next(iter(allowed)) if len(allowed) == 1 else None)
            if dtype is None and allowed == {"int32", "int64"}:
                dtype = "int64"
            if dtype is None and isinstance(item, bool):
                dtype = "bool"
            if dtype is None:
                raise StaticError(
                    f"{op_type}: the dtype of {describe(item)} is open; "
                    "say it with constant(number, dtype)"
                )
            bound.append((variable, self.literal(item, dtype)))
        return bound

    def _in_running_dtypes(
        self,
        op_type: str,
        schema: OpSchema,
        bound: list[tuple[str, Value | None]],
        attributes: dict[str, Any],
        outputs: int,
    ) -> tuple[Value, ...]:
        variables = {
            variable: value.dtype for variable, value in bound if variable and value is not None
        }
        chosen = {
            variable: self._running_dtype(op_type, schema, variable, dtype)
            for variable, dtype in variables.items()
        }
        values = [
            None if value is None else self.cast(value, chosen.get(variable, value.dtype))
            for variable, value in bound
        ]
        results = self._add(op_type, values, attributes, outputs)
        restored = []
        for position, result in enumerate(results):
            variable = schema.outputs[min(position, len(schema.outputs) - 1)].type_str
            asked = variables.get(variable)
            changed = asked is not None and chosen[variable] == result.dtype != asked
            restored.append(self.cast(result, asked) if changed and asked else result)
        return tuple(restored)

    def _running_dtype(self, op_type: str, schema: OpSchema, variable: str, dtype: str) -> str:
        allowed = allowed_dtypes(schema, variable)

        def fits(candidate: str) -> bool:
            return candidate in allowed and self._runs(op_type, schema, {variable: candidate})

        if fits(dtype):
            return dtype
        for wider in _EXACTLY_WIDER.get(dtype, ()):
            if fits(wider):
                return wider
        for narrower in _NARROWER.get(dtype, ()):
            if fits(narrower):
                self.narrowed.append(Narrowed(op_type, dtype, narrower, self.source))
                return narrower
        raise StaticError(
            f"ONNX Runtime's {op_type} does not compute in {dtype} at opset {self.opset}, "
            "nor in a dtype that holds it"
        )

    def _runs(self, op_type: str, schema: OpSchema, bindings: Mapping[str, str]) -> bool:
        return kernels.runs(op_type, schema.since_version, bindings)

    def _add(
        self, op_type: str, inputs: Sequence[Value | None], attributes: dict[str, Any], outputs: int
    ) -> tuple[Value, ...]:
        least = schema_of(op_type, self.opset).min_input
        while len(inputs) > least and inputs[-1] is None:
            inputs = inputs[:-1]
        node = NodeProto(op_type=op_type)
        node.input.extend("" if value is None else value.name for value in inputs)
        node.attribute.extend(helper.make_attribute(k, attributes[k]) for k in sorted(attributes))
        key = node.SerializeToString(deterministic=True) + bytes([outputs])
        for body in reversed(self._bodies):
            if key in body.outputs_by_node:
                return body.outputs_by_node[key]
        node.output.extend(f"output_{position}" for position in range(outputs))
        given = {value.name: value for value in inputs if value is not None}
        _refuse_negative_sizes(given.values())
        types = self._infer(op_type, node, given)
        empty = None if any(subgraphs(node)) else empty_results(types, node.output)
        if empty is not None:
            results = tuple(self.constant(array) for array in empty)
        elif (folded := self._folded_results(node, given, types)) is not None:
            results = folded
        else:
            results = self._append(op_type, node, types)
            self._makers.update((r.name, (node, tuple(inputs))) for r in results)
            if not any(subgraphs(node)):
                results = self._sizes.traced(node, given, results, op_type == SHAPE)
        if self.doubtful and not self.doubtful.isdisjoint(given):
            self.doubtful.update(result.name for result in results)
        self._bodies[-1].outputs_by_node[key] = results
        return results

    def _infer(
        self, op_type: str, node: NodeProto, given: Mapping[str, Value]
    ) -> dict[str, TypeProto]:
        schema = schema_of(op_type, self.opset)
        data = {
            name: from_array(value.known, name)
            for name, value in given.items()
            if value.known is not None and value.known.size <= 1024
        }
        types = {
            name: self._types[name]
            for graph in subgraphs(node)
            for name in captured(graph)
            if name in self._types
        }
        types.update((name, self._type_proto(value)) for name, value in given.items())
        try:
            if not any(subgraphs(node)) and any(value.from_sizes for value in given.values()):
                return self._sizes.infer(node, given, types, self.empty_model())
            return infer_node_outputs(
                schema,
                node,
                types,
                data,
                opset_imports=self._opset_ids,
                ir_version=self.ir_version,
            )
        except (InferenceError, ValidationError, RuntimeError, ValueError) as error:
            listed = ", ".join(f"{v.dtype}{list(v.shape or ())}" for v in given.values())
            text = str(error).splitlines()[0]
            raise StaticError(f"ONNX does not take {op_type}({listed}): {text}") from None

    def _type_proto(self, value: Value) -> TypeProto:
        found = self._types.get(value.name)
        if found is None:
            found = self._types[value.name] = self._sizes.type_proto(value)
        return found

    def _folded_results(
        self, node: NodeProto, given: Mapping[str, Value], types: Mapping[str, TypeProto]
    ) -> tuple[Value, ...] | None:
        """Return what a node of constants gives; None for others, and where it can't be computed."""
        if not given or any(subgraphs(node)) or not all(v.foldable for v in given.values()):
            return None
        arrays = {name: value.known for name, value in given.items() if value.known is not None}
        if not worth_folding(types, arrays):
            return None
        results = compute_node(node, arrays, self.empty_model())
        return None if results is None else tuple(self.constant(array) for array in results)

    def _append(
        self, op_type: str, node: NodeProto, types: Mapping[str, TypeProto]
    ) -> tuple[Value, ...]:
        results = []
        for position, placeholder in enumerate(list(node.output)):
            name = self.fresh_name(f"{op_type}_{self._made}")
            node.output[position] = name
            self._bodies[-1].own_names.add(name)
            results.append(self._sizes.value_of_type(name, types.get(placeholder)))
            if results[-1].dtype == "float64":
                self.wide[name] = self.source
        node.name = node.output[0]
        self._annotate(node)
        self.nodes.append(node)
        self._made += 1
        return tuple(results)

    def _annotate(self, node: NodeProto) -> None:
        if not self.source.op:
            return
        if self.ir_version >= NODE_METADATA_SINCE_IR:
            node.metadata_props.add(key=SOURCE_KEY, value=str(self.source))
        else:
            node.doc_string = f"{SOURCE_KEY}: {self.source}"

    def subgraph(
        self,
        inputs: Sequence[tuple[str, Value | TensorType]],
        build: Callable[[Sequence[Value]], Sequence[Value]],
        lazy: bool = False,
    ) -> GraphProto:
        """Make a graph for a node's attribute: a branch, or the body of a loop.

        Args:
            inputs: The graph's inputs: what each is called, and a tensor of its type.
            build: Given their tensors, adds the graph's nodes and returns its outputs.
            lazy: Whether the graph runs at most once; then nodes before it that nothing else
                needs are moved into it.

        Returns:
            The graph; its tensors' names are unlike any others of the model.
        """
        body = _Body(lazy=lazy)
        self._bodies.append(body)
        sizes_outside = self._sizes.known()
        try:
            given = [
                self._sizes.named(Value(self.fresh_name(hint), t.dtype, t.shape))
                for hint, t in inputs
            ]
            results: list[Value] = []
            for value in build(given):
                fresh = value.name in body.own_names and value.name not in {r.name for r in results}
                results.append(value if fresh else self._copied(value))
        finally:
            self._bodies.pop()
            self._sizes.forget_all_but(sizes_outside)
        graph = GraphProto(name=self.fresh_name("branch" if lazy else "body"), node=body.nodes)
        for ports, values in ((graph.input, given), (graph.output, results)):
            for value in values:
                ports.add(name=value.name, type=self._sizes.type_proto(replace(value, sizes=())))
        if lazy:
            self._lazy.add(graph.name)
        return graph

    def _copied(self, value: Value) -> Value:
        node = NodeProto(op_type=IDENTITY, input=[value.name], output=["output_0"])
        return self._append(IDENTITY, node, {"output_0": self._type_proto(value)})[0]

    def with_shape(self, value: Value, shape: StaticShape | None) -> Value:
        """Return the tensor with what PyTensor knows of its shape added to what ONNX knows."""
        if shape is None or value.shape == shape:
            return value
        if value.shape is None:
            merged = shape
        else:
            merged = tuple(
                theirs if ours is None else ours
                for ours, theirs in zip(value.shape, shape, strict=True)
            )
        if merged == value.shape:
            return value
        self._types.pop(value.name, None)
        return replace(value, shape=merged)

    def _like(self, value: Value, other: Value) -> Value:
        """Return the tensor, known to have the shape of another one."""
        ours, theirs = value.shape, other.shape
        if ours is not None and theirs is not None:
            pairs = list(zip(ours, theirs, strict=False))
            if len(ours) != len(theirs) or any(a != b for a, b in pairs if None not in (a, b)):
                raise StaticError(f"a tensor of shape {ours} is not like one of shape {theirs}")
        shaped = self.with_shape(value, theirs)
        return replace(shaped, sizes=other.sizes) if shaped.shape == theirs else shaped

    def _made_by(self, value: Any, op_type: str, *attributes: str) -> Vector | None:
        """Return the inputs of the node that made a tensor, and some of its attributes.

        None where the tensor was made by another operator, or by none.
        """
        node, inputs = self._makers.get(getattr(value, "name", ""), (None, ()))
        if node is None or node.op_type != op_type:
            return None
        given = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
        return Vector([*inputs, *(as_static(given.get(name)) for name in attributes)])

    def as_output(self, value: Value, name: str, free: bool) -> None:
        """Make a tensor the model's output of this name.

        Args:
            value: The tensor.
            name: The output's name, reserved beforehand.
            free: Whether the tensor may simply be renamed; otherwise it is copied.
        """
        if free:
            self.rename(value, name)
            return
        node = NodeProto(op_type=IDENTITY, name=name, input=[value.name], output=[name])
        self._annotate(node)
        self.nodes.append(node)

    # The whole

    def empty_model(self) -> ModelProto:
        """Return a model of this opset and IR version that holds nothing yet."""
        return ModelProto(ir_version=self.ir_version, opset_import=self._opset_ids)

    def graph(self, name: str, outputs: Sequence[str], inputs: Sequence[str] = ()) -> GraphProto:
        """Return nodes and initializers that the outputs need, under their final names.

        Args:
            name: The graph's name.
            outputs: The names of its outputs.
            inputs: Those of its inputs: a state among them has its value as default, also where
                nothing reads it.
        """
        final = self._renamed
        kept = assembled(self.nodes, outputs, final, self._lazy, IDENTITY)
        wanted = {*outputs, *inputs, *(read for node in kept for read in read_by(node))}
        graph = GraphProto(name=name)
        graph.node.extend(kept)
        graph.initializer.extend(t for n, t in self.constants.items() if n in wanted)
        graph.initializer.extend(
            from_array(value.known, final.get(value.name, value.name))
            for value in self._values_by_constant.values()
            if final.get(value.name, value.name) in wanted and value.known is not None
        )
        return graph


def _as_integers(numbers: Any, array: Array) -> Array:
    """Undo what NumPy does to whole numbers of which some need int64 and others uint64."""
    exact = np.asarray(numbers, dtype=object)
    whole = all(isinstance(number, int) for number in exact.flat)
    return exact.astype("uint64") if whole else array


def _refuse_negative_sizes(values: Iterable[Value]) -> None:
    """Refuse tensors that can't be: ONNX's shape inference may end the process over them."""
    for value in values:
        if any(size is not None and size < 0 for size in value.shape or ()):
            raise StaticError(f"{value.name} would have the shape {list(value.shape or ())}")


def _first_with_these_sizes(
    value: Value, given: dict[str, Any]
) -> tuple[Sequence[Value], dict[str, Any]]:
    """Ask the first tensor that has the wanted sizes, so that equal questions are one node.

    Which of several equal sizes PyTensor asks for may differ from process to process.
    """
    axes = range(len(value.shape or ()))[given.get("start", 0) : given.get("end")]
    sizes = dict(enumerate(value.sizes))
    wanted = [sizes.get(axis) for axis in axes]
    first = wanted[0] if wanted else None
    if first is None or value.shape is None:
        return [value], given
    for offset, size in enumerate(wanted):
        if size is None or size.tensor.name != first.tensor.name:
            return [value], given
        if size.axis != first.axis + offset:
            return [value], given
    end = first.axis + len(wanted)
    asked = dict(given, start=first.axis, end=end)
    if first.axis == 0:
        del asked["start"]
    if end == len(first.tensor.shape or ()):
        del asked["end"]
    return [first.tensor], asked
