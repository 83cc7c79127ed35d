"""From a graph under construction to a checked model with its story in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count

import numpy as np
import onnx
from onnx import ModelProto, TypeProto, ValueInfoProto, helper

from onnx_mapper.errors import InvalidRequest, MapperError
from onnx_mapper.language.arrays import Numbers
from onnx_mapper.model.builder import GraphBuilder
from onnx_mapper.model.content import content_digest
from onnx_mapper.model.half_floats import Half, halve
from onnx_mapper.model.metadata import CONTENT_KEY, WIDER_KEY, WIDER_WEIGHTS_KEY
from onnx_mapper.model.weights import (
    LARGEST_INLINE_BYTES,
    Weights,
    put_in,
    refer_to,
    with_inputs_for,
)
from onnx_mapper.options import Dimension
from onnx_mapper.version import VERSION

PRODUCER = "onnx-mapper"
LARGEST_MODEL_BYTES = 2**31 - 1
LARGEST_HEADER_BYTES = 1 << 10
"""Of an initializer's name, shape and dtype."""


@dataclass(frozen=True)
class Port:
    """An input or output of the model, as it is declared.

    Attributes:
        name: Its name.
        dtype: NumPy's name of its dtype.
        dims: One entry per axis: a size, a name, or None where neither is known.
        doc: What people should know of it.
    """

    name: str
    dtype: str
    dims: tuple[Dimension, ...]
    doc: str = ""

    def value_info(self) -> ValueInfoProto:
        """Return the declaration."""
        code = helper.np_dtype_to_tensor_dtype(np.dtype(self.dtype))
        return helper.make_tensor_value_info(self.name, code, self.dims, self.doc)


def with_named_sizes(ports: Sequence[Port]) -> list[Port]:
    """Name what has no size and no name `<tensor>_<axis>`, or by a number more if that is taken.

    A size's name tells runtimes that it is another one's equal, so none is given twice.

    Example:
        >>> ports = [Port("x", "float32", (None, 3)), Port("y", "float32", ("x_0",))]
        >>> [port.dims for port in with_named_sizes(ports)]
        [('x_0_1', 3), ('x_0',)]
    """
    taken = {dim for port in ports for dim in port.dims if isinstance(dim, str)}
    named = []
    for port in ports:
        dims: list[Dimension] = []
        for axis, dim in enumerate(port.dims):
            name = f"{port.name}_{axis}"
            choices = chain([name], (f"{name}_{number}" for number in count(1)))
            dims.append(next(c for c in choices if c not in taken) if dim is None else dim)
            taken.add(str(dims[-1]))
        named.append(replace(port, dims=tuple(dims)))
    return named


def finish(
    builder: GraphBuilder,
    inputs: Sequence[Port],
    outputs: Sequence[Port],
    name: str,
    metadata: Mapping[str, str],
    external_data: str,
    half: Half | None = None,
) -> tuple[ModelProto, Weights]:
    """Put a model together and check it.

    Args:
        builder: Holds nodes and constants.
        inputs: The model's inputs.
        outputs: Its outputs.
        name: The graph's name.
        metadata: Texts that the model carries along.
        external_data: Whether weights go to a file of their own: "always", "never", or with "auto"
            where one file can't hold them.
        half: What becomes of float32, if it is not to stay.

    Returns:
        A model that `onnx.checker.check_model(full_check=True)` accepts, and the weights that are
        to be written to a file beside it.

    Raises:
        MapperError: When the checker doesn't accept it, or it passes 2 GB.
        InvalidRequest: When the runtime can't convert the dtype that float32 becomes.
    """
    model = builder.empty_model()
    model.producer_name = PRODUCER
    model.producer_version = VERSION
    names = [port.name for port in inputs]
    graph, arrays = builder.graph(name, [port.name for port in outputs], names)
    model.graph.CopyFrom(graph)
    model.graph.input.extend(port.value_info() for port in inputs)
    model.graph.output.extend(port.value_info() for port in outputs)
    told = dict(metadata)
    if half is not None:
        halved = halve(model, arrays, half, builder)
        arrays = dict(halved.arrays)
        told[WIDER_KEY] = ", ".join(halved.wide_operators)
        told[WIDER_WEIGHTS_KEY] = ", ".join(halved.wide_weights)
    small = {n: array for n, array in arrays.items() if array.nbytes <= LARGEST_INLINE_BYTES}
    large = {n: array for n, array in arrays.items() if n not in small}
    put_in(model, small)
    _share_dimension_names(model, large)
    told[CONTENT_KEY] = content_digest(model, large)
    for key in sorted(filter(told.get, told)):
        model.metadata_props.add(key=key, value=told[key])
    try:
        onnx.checker.check_model(with_inputs_for(model, large), full_check=True)
    except Exception as error:
        raise MapperError(
            f"ONNX's checker does not accept the exported model: {error}\n"
            "A row is wrong, or onnx-mapper is: please report it with the function."
        ) from error
    if _belongs_outside(model, large, external_data):
        refer_to(model, large)
        return model, Weights(large)
    put_in(model, large)
    return model, Weights()


def _belongs_outside(model: ModelProto, weights: Mapping[str, Numbers], external_data: str) -> bool:
    """Tell whether weights go to a file beside the model."""
    size = model.ByteSize() + sum(array.nbytes + LARGEST_HEADER_BYTES for array in weights.values())
    if external_data == "never" and size > LARGEST_MODEL_BYTES:
        raise InvalidRequest(
            f"the model has {size / 2**30:.1f} GiB, and a single ONNX file holds less than 2: "
            "leave out external_data=False, and its weights go to a file beside it; or export with "
            "dtype='float32'"
        )
    return bool(weights) and (external_data == "always" or size > LARGEST_MODEL_BYTES)


def _share_dimension_names(model: ModelProto, weights: Mapping[str, Numbers]) -> None:
    """Give an output's axis the name of the input's axis that it follows, where ONNX knows it."""
    bare = with_inputs_for(model, weights)
    for output in bare.graph.output:
        for dim in output.type.tensor_type.shape.dim:
            if dim.HasField("dim_param"):
                dim.Clear()
    inferred = onnx.shape_inference.infer_shapes(bare, data_prop=True)
    names = {dim.dim_param for port in model.graph.input for dim in _dims(port.type)}
    for output, known in zip(model.graph.output, inferred.graph.output, strict=True):
        for dim, found in zip(_dims(output.type), _dims(known.type), strict=False):
            if dim.HasField("dim_param") and found.dim_param in names:
                dim.dim_param = found.dim_param


def _dims(type_: TypeProto) -> Sequence[onnx.TensorShapeProto.Dimension]:
    dims: Sequence[onnx.TensorShapeProto.Dimension] = type_.tensor_type.shape.dim
    return dims
