"""Numbers that are known while exporting: arrays, and those that are read in another dtype."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

PIECE_BYTES = 1 << 24
"""Of what is held of a weight at once while it is converted or written."""


@dataclass(frozen=True, eq=False)
class Converted:
    """An array that is read in another dtype: a weight of any size takes no memory in it.

    Attributes:
        array: The numbers.
        dtype: What they are read in.
    """

    array: Array
    dtype: np.dtype[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return self.array.shape

    @property
    def size(self) -> int:
        """How many numbers there are."""
        return self.array.size

    @property
    def nbytes(self) -> int:
        """How many bytes they take in the dtype that they are read in."""
        return self.array.size * self.dtype.itemsize


Numbers = Array | Converted


def read(numbers: Numbers) -> Array:
    """Return numbers as an array; what is too large or too small for its dtype is infinite or 0.

    Example:
        >>> read(Converted(np.array([1.5, 1e300]), np.dtype("float32")))
        array([1.5, inf], dtype=float32)
    """
    if isinstance(numbers, Converted):
        with np.errstate(over="ignore", under="ignore"):
            return numbers.array.astype(numbers.dtype)
    return numbers


def pieces_of(numbers: Numbers) -> Iterator[tuple[Array, Array]]:
    """Yield numbers in C order, a few megabytes at a time: as they are held, and as they are read.

    Example:
        >>> [part.shape for _, part in pieces_of(np.zeros((3, 1 << 21)).T)]
        [(699050, 3), (699050, 3), (699050, 3), (2, 3)]
    """
    held = numbers.array if isinstance(numbers, Converted) else numbers
    if held.flags.c_contiguous:
        held = held.reshape(-1)
    row_bytes = prod(held.shape[1:]) * held.itemsize
    rows = max(PIECE_BYTES // max(row_bytes, 1), 1)
    for start in range(0, len(held), rows):
        part = held[start : start + rows]
        yield part, read(Converted(part, numbers.dtype)) if isinstance(numbers, Converted) else part
