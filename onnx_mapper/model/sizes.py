"""Which unknown sizes are surely the same, and what is known of tensors that hold sizes.

Every axis of unknown size has a symbol, the name of the first tensor that has this size. ONNX's
own shape inference carries the symbols from node to node, and through the small integer tensors
that `reshape(x.shape[0], -1)` and the like are made of; no operator is known here by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TypeProto, ValueInfoProto, helper
from onnx.numpy_helper import from_array
from onnx.shape_inference import infer_shapes

from onnx_mapper.language.arrays import read
from onnx_mapper.language.tensors import OpenSize, StaticShape, Value, symbol_of
from onnx_mapper.language.values import StaticError
from onnx_mapper.model.operators import dtype_of_code

LARGEST_KNOWN = 1024


class Sizes:
    """The unknown sizes of one model under construction."""

    def __init__(self) -> None:
        self._by_symbol: dict[str, OpenSize] = {}
        self._by_name: dict[str, OpenSize] = {}
        self._origins: dict[str, tuple[NodeProto, Mapping[str, Value]]] = {}

    def known(self) -> frozenset[str]:
        """Return the symbols so far."""
        return frozenset(self._by_symbol)

    def forget_all_but(self, symbols: frozenset[str]) -> None:
        """Forget sizes of tensors inside a subgraph: nodes outside it can't ask for them."""
        self._by_symbol = {key: size for key, size in self._by_symbol.items() if key in symbols}

    def input(self, name: str, dtype: str, dims: Sequence[int | str | None]) -> Value:
        """Return the tensor of a model input; equal names in `dims` are equal sizes."""
        shape = tuple(dim if isinstance(dim, int) else None for dim in dims)
        names = [dim if isinstance(dim, str) else None for dim in dims]
        return self.named(Value(name, dtype, shape), names)

    def named(self, value: Value, names: Sequence[str | None] = ()) -> Value:
        """Return an input of a graph with its unknown sizes; equally named ones are equal."""
        sizes: list[OpenSize | None] = []
        for axis, (size, name) in enumerate(zip_longest(value.shape or (), names)):
            if size is not None:
                sizes.append(None)
            elif name is None:
                sizes.append(self._new(value, axis))
            else:
                sizes.append(self._by_name.setdefault(name, self._new(value, axis)))
        return replace(value, sizes=tuple(sizes))

    def value_of_type(self, name: str, type_proto: TypeProto | None) -> Value:
        """Return the tensor that a node gives.

        Raises:
            StaticError: When ONNX does not tell its dtype.
        """
        if type_proto is None or not type_proto.tensor_type.elem_type:
            raise StaticError(f"ONNX does not tell the dtype of {name}")
        tensor = type_proto.tensor_type
        dtype = dtype_of_code(tensor.elem_type)
        if not tensor.HasField("shape"):
            return Value(name, dtype, None)
        shape = [dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim]
        value = Value(name, dtype, tuple(shape))
        return replace(
            value,
            sizes=tuple(
                None
                if dim.HasField("dim_value")
                else self._by_symbol.get(dim.dim_param) or self._new(value, axis)
                for axis, dim in enumerate(tensor.shape.dim)
            ),
        )

    def port(self, value: Value) -> ValueInfoProto:
        """Return how a graph inside a node declares a tensor as its input or output."""
        return ValueInfoProto(name=value.name, type=self.type_proto(replace(value, sizes=())))

    def symbols(self, value: Value) -> list[int | str | None] | None:
        """Return a tensor's shape with symbols for its unknown sizes."""
        if value.shape is None:
            return None
        told = dict(enumerate(value.sizes))
        symbols: list[int | str | None] = []
        for axis, size in enumerate(value.shape):
            unknown = told.get(axis) or self._by_symbol.get(symbol_of(value.name, axis))
            symbols.append(unknown.symbol if size is None and unknown is not None else size)
        return symbols

    def traced(
        self,
        node: NodeProto,
        given: Mapping[str, Value],
        results: tuple[Value, ...],
        asks_for_sizes: bool,
    ) -> tuple[Value, ...]:
        """Return a node's results, marked where they follow from sizes alone.

        Args:
            node: The node, with the final names of its outputs.
            given: Its inputs by name.
            results: Its outputs.
            asks_for_sizes: Whether it is the operator that gives the sizes of a tensor.
        """
        follows = asks_for_sizes or (
            any(value.from_sizes for value in given.values())
            and all(value.from_sizes or value.foldable for value in given.values())
        )
        if not follows or any("int" not in result.dtype for result in results):
            return results
        for result in results:
            self._origins[result.name] = (node, given)
        return tuple(replace(result, from_sizes=True) for result in results)

    def infer(
        self,
        node: NodeProto,
        given: Mapping[str, Value],
        types: Mapping[str, TypeProto],
        model: ModelProto,
    ) -> dict[str, TypeProto]:
        """Infer the types of a node's outputs from what is known of sizes among its inputs.

        Args:
            node: The node.
            given: Its inputs by name.
            types: Their types.
            model: An empty model that carries the opset and IR version.

        Raises:
            InferenceError: When ONNX does not take these inputs.
        """
        whole = ModelProto()
        whole.CopyFrom(model)
        whole.graph.name = "sizes"
        seen: set[str] = set()
        for name, value in given.items():
            self._include(whole, name, value, types.get(name), seen)
        whole.graph.node.append(node)
        for name in node.output:
            whole.graph.output.add(name=name)
        inferred = infer_shapes(whole, strict_mode=True, data_prop=True)
        return {
            port.name: port.type
            for port in inferred.graph.output
            if port.type.tensor_type.elem_type
        }

    def _include(
        self,
        whole: ModelProto,
        name: str,
        value: Value,
        type_proto: TypeProto | None,
        seen: set[str],
    ) -> None:
        """Add a tensor to a model for inference, and what it is made from if it holds sizes."""
        if name in seen:
            return
        seen.add(name)
        if name in self._origins:
            node, given = self._origins[name]
            for input_name, input_ in given.items():
                self._include(whole, input_name, input_, None, seen)
            seen.update(node.output)
            whole.graph.node.append(node)
        elif value.numbers is not None and value.numbers.size <= LARGEST_KNOWN:
            whole.graph.initializer.append(from_array(read(value.numbers), name))
        else:
            whole.graph.input.add(name=name, type=type_proto or self.type_proto(value))

    def type_proto(self, value: Value) -> TypeProto:
        """Return a tensor's type as ONNX writes it, with symbols for its unknown sizes."""
        code = helper.np_dtype_to_tensor_dtype(np.dtype(value.dtype))
        return helper.make_tensor_type_proto(code, self.symbols(value))

    def _new(self, value: Value, axis: int) -> OpenSize:
        size = OpenSize(f"size {axis} of {value.name}", value, axis)
        return self._by_symbol.setdefault(size.symbol, size)


def merged_shapes(ours: StaticShape | None, theirs: StaticShape | None) -> StaticShape | None:
    """Return what is known of one tensor's shape from two sides, which don't contradict each other.

    Example:
        >>> merged_shapes((None, 3, None), (2, None, None))
        (2, 3, None)
    """
    if ours is None or theirs is None:
        return theirs if ours is None else ours
    return tuple(b if a is None else a for a, b in zip(ours, theirs, strict=True))


def first_with_these_sizes(
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
