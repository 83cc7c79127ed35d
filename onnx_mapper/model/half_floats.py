"""float16 or bfloat16 in place of float32: for what a model holds, and where nodes move it about.

A model is made in float32 first. Then weights, and for float16 inputs and outputs, are kept in the half as wide
dtype, and nodes that move numbers take it where there is a kernel. All that is computed is computed in float32,
behind casts: so nothing is rounded but what is held, fed or given. (ONNX Runtime's CPU provider has few
kernels that compute in float16, of which some differ from those of float32: Sign of NaN is 0, ScatterND doesn't
add.)
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper
from onnx.defs import OpSchema

from onnx_mapper.errors import InvalidRequest
from onnx_mapper.language.arrays import Array, Converted, Numbers, pieces_of, read
from onnx_mapper.model.builder import CAST, GraphBuilder
from onnx_mapper.model.operator_facts import facts_of
from onnx_mapper.model.operators import formal, schema_of
from onnx_mapper.model.prune import read_by, rename, subgraphs
from onnx_mapper.model.weights import with_inputs_for

WHOLE = "float32"
LARGEST_KEPT = 16
"""Of so few numbers a constant stays float32: a cast takes more space than it saves."""

CODES = {"float16": TensorProto.FLOAT16, "bfloat16": TensorProto.BFLOAT16}
DTYPES = {name: np.dtype(helper.tensor_dtype_to_np_dtype(code)) for name, code in CODES.items()}
LIMITS = {"float16": (2.0**-14, 65504.0), "bfloat16": (2.0**-126, 255 * 2.0**120)}
"""The smallest number with all its digits, and the largest: of IEEE 754, and of float32 cut to 8 bits."""


@dataclass(frozen=True)
class Half:
    """What becomes of float32.

    Attributes:
        dtype: "float16", or "bfloat16", which NumPy doesn't have: inputs and outputs stay float32 then.
        kept: Inputs and outputs that stay float32 in any case: states, which add up, and random numbers.
    """

    dtype: str
    kept: frozenset[str]


@dataclass(frozen=True)
class Halved:
    """What became of a model's tensors.

    Attributes:
        arrays: Its initializers.
        wide_operators: The operators that compute in float32, in order of their names.
        wide_weights: The initializers whose numbers the half as wide dtype can't hold.
    """

    arrays: Mapping[str, Numbers]
    wide_operators: tuple[str, ...]
    wide_weights: tuple[str, ...]


def halve(
    model: ModelProto, arrays: Mapping[str, Numbers], half: Half, builder: GraphBuilder
) -> Halved:
    """Let a model hold, and move about, a dtype half as wide as float32.

    Args:
        model: The model without its initializers; its nodes and ports are changed.
        arrays: Its initializers.
        half: What becomes of float32.
        builder: What made the nodes: it knows the kernels that there are, and gives new names.

    Raises:
        InvalidRequest: When the runtime can't convert the dtype.
    """
    kernels, cast_since = builder.kernels, schema_of(CAST, builder.opset).since_version
    for one, other in ((half.dtype, WHOLE), (WHOLE, half.dtype)):
        if not kernels.runs(CAST, cast_since, {"T1": one, "T2": other}):
            raise InvalidRequest(
                f"{kernels.name} has no kernel that makes {other} of {one}, which dtype={half.dtype!r} needs"
            )
    return _Halving(model, arrays, half, builder).run()


class _Halving:
    """One walk along the nodes of a model."""

    def __init__(
        self, model: ModelProto, arrays: Mapping[str, Numbers], half: Half, builder: GraphBuilder
    ) -> None:
        self._model = model
        self._arrays = dict(arrays)
        self._half = half
        self._builder = builder
        self._dtypes = _dtypes_of(model, arrays)
        self._halves: set[str] = set()
        self._ports = {port.name for port in model.graph.input}
        self._casts: dict[str, str] = {}
        self._smaller: dict[str, str] = {}
        self._nodes: list[NodeProto] = []
        self._wide: set[str] = set()

    def run(self) -> Halved:
        too_wide = [
            name
            for name, numbers in list(self._arrays.items())
            if name not in self._ports and not self._take_weight(name, numbers)
        ]
        for port in self._model.graph.input:
            if self._is_halved_port(port.name):
                port.type.tensor_type.elem_type = CODES[self._half.dtype]
                self._halves.add(port.name)
        for node in self._model.graph.node:
            self._add(node)
        for port in self._model.graph.output:
            if self._is_halved_port(port.name):
                port.type.tensor_type.elem_type = CODES[self._half.dtype]
            self._give(port.name)
        del self._model.graph.node[:]
        self._model.graph.node.extend(self._nodes)
        read = {name for node in self._nodes for name in read_by(node)}
        arrays = {n: numbers for n, numbers in self._arrays.items() if n in read | self._ports}
        return Halved(arrays, tuple(sorted(self._wide)), tuple(too_wide))

    def _is_halved_port(self, name: str) -> bool:
        is_whole = self._dtypes.get(name) == WHOLE
        return is_whole and self._half.dtype == "float16" and name not in self._half.kept

    def _take_weight(self, name: str, numbers: Numbers) -> bool:
        """Keep an initializer half as wide; tell whether that can be done wherever it is wanted."""
        if numbers.dtype != np.dtype(WHOLE) or numbers.size <= LARGEST_KEPT:
            return True
        if not holds(numbers, self._half.dtype):
            return False
        held = numbers.array if isinstance(numbers, Converted) else numbers
        self._arrays[name] = Converted(held, DTYPES[self._half.dtype])
        self._halves.add(name)
        return True

    def _add(self, node: NodeProto) -> None:
        """Add a node: in the half as wide dtype where it can, behind casts elsewhere."""
        copy = NodeProto()
        copy.CopyFrom(node)
        if any(subgraphs(copy)):
            wanted = [name for name in read_by(copy) if name in self._halves]
            rename(copy, {name: self._whole(name, node) for name in dict.fromkeys(wanted)})
            self._wide.add(copy.op_type)
            self._nodes.append(copy)
            return
        schema = schema_of(copy.op_type, self._builder.opset)
        variables = [formal(schema, position)[0] for position in range(len(copy.input))]
        taken = self._variables_taken(schema, copy, variables)
        for position, (name, variable) in enumerate(zip(copy.input, variables, strict=True)):
            if name in self._halves and variable not in taken:
                copy.input[position] = self._whole(name, node)
            elif name and name not in self._halves and variable in taken:
                copy.input[position] = self._small(name)
        computes = any(self._dtypes.get(name) == WHOLE for name in (*node.input, *node.output))
        if computes and not taken and copy.op_type != CAST:
            self._wide.add(copy.op_type)
        for position, name in enumerate(copy.output):
            output = schema.outputs[min(position, len(schema.outputs) - 1)]
            if output.type_str in taken and self._dtypes.get(name) == WHOLE:
                self._halves.add(name)
        self._nodes.append(copy)

    def _variables_taken(
        self, schema: OpSchema, node: NodeProto, variables: Sequence[str]
    ) -> Collection[str]:
        """Return the type variables that a node takes in the half as wide dtype."""
        given = list(zip(node.input, variables, strict=True))
        wanted = {variable for name, variable in given if name in self._halves}
        whole = {v for name, v in given if self._is_whole(name) and not self._is_exact(name)}
        bindings = {v: self._dtypes[name] for name, v in given if name in self._dtypes}
        asked = wanted - whole
        halved = {**bindings, **dict.fromkeys(asked, self._half.dtype)}
        moves = facts_of(schema.name).moves
        runs = moves and self._builder.kernels.runs(schema.name, schema.since_version, halved)
        return asked if asked and runs else ()

    def _is_whole(self, name: str) -> bool:
        return self._dtypes.get(name) == WHOLE and name not in self._halves

    def _is_exact(self, name: str) -> bool:
        """Tell whether a tensor is a small constant that the half as wide dtype holds exactly."""
        numbers = self._arrays.get(name)
        if numbers is None or numbers.size > LARGEST_KEPT or name in self._ports:
            return False
        array = read(numbers)
        with np.errstate(over="ignore", under="ignore"):
            back = array.astype(DTYPES[self._half.dtype]).astype(array.dtype)
        return bool(((back == array) | np.isnan(array)).all())

    def _small(self, name: str) -> str:
        """Return the name of a small constant in the half as wide dtype."""
        if name not in self._smaller:
            self._smaller[name] = self._builder.fresh_name(f"{name}_{self._half.dtype}")
            numbers = Converted(read(self._arrays[name]), DTYPES[self._half.dtype])
            self._arrays[self._smaller[name]] = numbers
        return self._smaller[name]

    def _whole(self, name: str, reader: NodeProto) -> str:
        """Return a tensor's name in float32, by a cast that is made once."""
        if name not in self._casts:
            self._casts[name] = self._builder.fresh_name(f"{name}_{WHOLE}")
            self._cast(name, self._casts[name], TensorProto.FLOAT, reader)
        return self._casts[name]

    def _cast(self, name: str, result: str, code: int, reader: NodeProto) -> None:
        """Add a cast, which is told to be made for what the reader is."""
        to = helper.make_attribute("to", code)
        cast = NodeProto(op_type=CAST, name=result, input=[name], output=[result])
        cast.attribute.append(to)
        cast.metadata_props.extend(reader.metadata_props)
        cast.doc_string = reader.doc_string
        self._nodes.append(cast)

    def _give(self, name: str) -> None:
        """Let an output have the dtype that its port declares."""
        port = next(port for port in self._model.graph.output if port.name == name)
        code = port.type.tensor_type.elem_type
        is_half = name in self._halves
        if self._dtypes.get(name) != WHOLE or is_half == (code == CODES[self._half.dtype]):
            return
        inner = self._builder.fresh_name(f"{name}_{self._half.dtype if is_half else WHOLE}")
        for node in self._nodes:
            rename(node, {name: inner})
        maker = next(node for node in self._nodes if inner in node.output)
        self._cast(inner, name, code, maker)


def holds(numbers: Numbers, dtype: str) -> bool:
    """Tell whether a dtype holds numbers: none becomes infinite, nor do all lose their digits.

    Example:
        >>> holds(np.array([1e5]), "float16"), holds(np.array([1e-9]), "float16")
        (False, False)
        >>> holds(np.array([1e5]), "bfloat16"), holds(np.array([1.0, 1e-9]), "float16")
        (True, True)
    """
    least, most = LIMITS[dtype]
    largest = max((_largest(part) for part, _ in pieces_of(numbers)), default=0.0)
    return largest == 0 or least <= largest <= most


def _largest(array: Array) -> float:
    finite = np.abs(array[np.isfinite(array)])
    return float(finite.max()) if finite.size else 0.0


def _dtypes_of(model: ModelProto, arrays: Mapping[str, Numbers]) -> dict[str, str]:
    """Return NumPy's names of the dtypes of a model's tensors, of those of its outermost graph."""
    graph = onnx.shape_inference.infer_shapes(with_inputs_for(model, arrays)).graph
    return {
        info.name: helper.tensor_dtype_to_np_dtype(info.type.tensor_type.elem_type).name
        for info in (*graph.input, *graph.value_info, *graph.output)
        if info.type.tensor_type.elem_type
    }
