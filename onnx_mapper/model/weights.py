"""Weights that lie outside of a model: in arrays that are to be written, or in a file beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from onnx import ModelProto, StringStringEntryProto, TensorProto, helper
from onnx.numpy_helper import to_array

from onnx_mapper.language.arrays import Array, Numbers, pieces_of, read

LARGEST_INLINE_BYTES = 1 << 10
"""Of what is always in the model itself: sizes, axes, scalars."""

ALIGNMENT = 1 << 12
"""Weights begin at multiples of it, so that runtimes can map them into memory page by page."""


@dataclass(frozen=True)
class Weights:
    """The weights of a model that are not in the model itself.

    Attributes:
        arrays: Those that are not written yet, by the initializer's name, in order.
        folder: Where the file lies that holds the others.
    """

    arrays: Mapping[str, Numbers] = field(default_factory=dict)
    folder: Path | None = None

    def array_of(self, tensor: TensorProto) -> Array:
        """Return the numbers of an initializer, wherever they are."""
        if tensor.name in self.arrays:
            return read(self.arrays[tensor.name])
        return to_array(tensor, base_dir=str(self.folder or ""))


def put_in(model: ModelProto, arrays: Mapping[str, Numbers]) -> None:
    """Put weights into a model, each copied once."""
    for name, numbers in arrays.items():
        tensor = _declared(model, name, numbers)
        array = read(numbers)
        tensor.raw_data = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


def refer_to(model: ModelProto, arrays: Mapping[str, Numbers]) -> None:
    """Let a model refer to weights that are in a file whose name is yet to be found."""
    for (name, array), offset in zip(
        arrays.items(), offsets_of(list(arrays.values())), strict=True
    ):
        tensor = _declared(model, name, array)
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", ""), ("offset", offset), ("length", array.nbytes)):
            tensor.external_data.add(key=key, value=str(value))


def _declared(model: ModelProto, name: str, array: Numbers) -> TensorProto:
    """Add an initializer that has no numbers yet, and return it."""
    tensor: TensorProto = model.graph.initializer.add(
        name=name, dims=array.shape, data_type=helper.np_dtype_to_tensor_dtype(array.dtype)
    )
    return tensor


def with_inputs_for(model: ModelProto, arrays: Mapping[str, Numbers]) -> ModelProto:
    """Return a copy of a model that takes its weights as inputs: all but their numbers can be checked in it."""
    bare = ModelProto()
    bare.CopyFrom(model)
    declared = {port.name for port in bare.graph.input}
    bare.graph.input.extend(
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
        )
        for name, array in arrays.items()
        if name not in declared
    )
    return bare


def name_file(model: ModelProto, file: str) -> None:
    """Tell in which file the weights are that a model refers to."""
    for entry in _locations(model):
        entry.value = file


def files_beside(model: ModelProto) -> dict[str, int]:
    """Return the files beside a model that it refers to, and how many bytes each must have."""
    sizes: dict[str, int] = {}
    for tensor in model.graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL:
            told = {entry.key: entry.value for entry in tensor.external_data}
            end = int(told.get("offset") or 0) + int(told.get("length") or 0)
            sizes[told["location"]] = max(end, sizes.get(told["location"], 0))
    return sizes


def _locations(model: ModelProto) -> Iterator[StringStringEntryProto]:
    for tensor in model.graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL:
            yield from (entry for entry in tensor.external_data if entry.key == "location")


def offsets_of(arrays: Sequence[Numbers]) -> list[int]:
    """Return where each of some arrays begins in their file.

    Example:
        >>> offsets_of([np.zeros(3), np.zeros(600), np.zeros(1)])
        [0, 4096, 12288]
    """
    offsets, end = [], 0
    for array in arrays:
        offsets.append(-(-end // ALIGNMENT) * ALIGNMENT)
        end = offsets[-1] + array.nbytes
    return offsets


def chunks_of(arrays: Sequence[Numbers]) -> Iterator[memoryview | bytes]:
    """Yield the bytes of the file of some arrays, of which few are copied at once."""
    end = 0
    for array, offset in zip(arrays, offsets_of(arrays), strict=True):
        yield bytes(offset - end)
        for _, part in pieces_of(array):
            ordered = np.ascontiguousarray(part, part.dtype.newbyteorder("<"))
            yield ordered.reshape(-1).view("uint8").data
        end = offset + array.nbytes
