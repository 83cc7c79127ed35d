"""The constants of one model: equal ones are one initializer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from onnx_mapper.language.arrays import Array
from onnx_mapper.language.tensors import Value
from onnx_mapper.language.values import DTYPES, StaticError, describe
from onnx_mapper.model.operators import plain, refuse_unknown

LARGEST_KEY_BYTES = 1 << 10

NUMBERS_IN_KEY = 64
"""So many numbers of a larger tensor tell it apart from nearly all others at first sight."""


class Constants:
    """Tensors whose numbers are known while exporting.

    Args:
        fresh_name: Gives names that nothing in the model has.
    """

    def __init__(self, fresh_name: Callable[[str], str]) -> None:
        self._fresh_name = fresh_name
        self._values: list[Value] = []
        self._alike: dict[tuple[str, tuple[int, ...], bytes], list[tuple[Array, Value]]] = {}

    def __iter__(self) -> Iterator[Value]:
        """Iterate over all constants, in the order in which they came."""
        return iter(self._values)

    def of(self, array: Array, hint: str = "constant") -> Value:
        """Return a tensor with these numbers; equal constants share one initializer."""
        array = np.asarray(array)
        dtype = array.dtype.name
        if dtype not in DTYPES:
            raise StaticError(f"ONNX Runtime has no tensors of dtype {dtype}")
        if not array.flags.c_contiguous or array.dtype.byteorder == ">":
            array = array.astype(array.dtype.newbyteorder("="), order="C")
        alike = self._alike.setdefault((dtype, array.shape, _first_sight(array)), [])
        for other, value in alike:
            if _same_bytes(array, other):
                return value
        value = Value(self._fresh_name(hint), dtype, array.shape, array)
        alike.append((array, value))
        self._values.append(value)
        return value

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
        with np.errstate(over="ignore"):  # what float32 doesn't hold is infinite there
            return self.of(array.astype(target))


def _first_sight(array: Array) -> bytes:
    """Return the bytes of a small array, and of some numbers of a large one."""
    if array.nbytes <= LARGEST_KEY_BYTES:
        return array.tobytes()
    step = max(1, array.size // NUMBERS_IN_KEY)
    return array.reshape(-1)[::step].tobytes()


def _same_bytes(one: Array, other: Array) -> bool:
    """Tell whether two arrays of one dtype and shape hold the same, NaN and the sign of 0 too."""
    if one is other or one.nbytes <= LARGEST_KEY_BYTES:
        return True  # all of a small one is in its key
    return bool(np.array_equal(one.reshape(-1).view("uint8"), other.reshape(-1).view("uint8")))


def _as_integers(numbers: Any, array: Array) -> Array:
    """Undo what NumPy does to whole numbers of which some need int64 and others uint64."""
    exact = np.asarray(numbers, dtype=object)
    whole = all(isinstance(number, int) for number in exact.flat)
    return exact.astype("uint64") if whole else array
