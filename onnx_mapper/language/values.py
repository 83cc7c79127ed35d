"""The values that a formula knows while exporting: numbers, names, and vectors of them."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

DTYPES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "float32", "float64",
)  # fmt: skip

LARGEST_INT = 2**64
LONGEST_VECTOR = 100_000
LONGEST_UNKNOWN = 10_000

_WITHOUT_EFFECT = {("+", 0), ("-", 0), ("*", 1), ("//", 1)}


class StaticError(Exception):
    """A static computation has no answer; the formula that asked says where."""


@dataclass(frozen=True)
class Unknown:
    """An integer that the graph does not tell before it runs: the size of a dimension.

    It may be carried through arithmetic, but not become part of the model.
    Zero times an unknown size is zero. Two that compare equal surely are the same number.
    """

    what: str

    def __str__(self) -> str:
        return self.what


class Vector(tuple[Any, ...]):
    """A sequence whose arithmetic is elementwise, as in NumPy, and whose slices are vectors."""

    __slots__ = ()

    def __getitem__(self, index: Any) -> Any:
        item = tuple.__getitem__(self, index)
        return Vector(item) if isinstance(index, slice) else item

    def __repr__(self) -> str:
        return f"[{', '.join(map(repr, self))}]"


def leaves(items: Any) -> list[Any]:
    """Return the items of vectors in vectors, in order; what is no vector is one item.

    Example:
        >>> leaves(Vector((Vector((1, 2)), 3)))
        [1, 2, 3]
    """
    if isinstance(items, Vector):
        return [leaf for item in items for leaf in leaves(item)]
    return [items]


def bounded(items: Any) -> Any:
    """Return a value that has not become too long, as a formula's vectors could without end.

    Raises:
        StaticError: When there are more than `LONGEST_VECTOR` items in it, and in its items.
    """
    count, left = 0, [items]
    while left:
        vector = left.pop()
        if isinstance(vector, Vector):
            count += len(vector)
            left.extend(item for item in vector if type(item) is Vector)
        if count > LONGEST_VECTOR:
            raise StaticError(f"a vector of more than {LONGEST_VECTOR} items is too long")
    return items


def as_static(value: Any) -> Any:
    """Turn a Python or NumPy value of a PyTensor attribute into a static value.

    Tuples, lists and small arrays become vectors, NumPy scalars Python ones, and
    constants of PyTensor their data. Anything else stays as it is: formulas can
    compare it or hand it on, nothing more.
    """
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, np.ndarray):
        return as_static(value.tolist())
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return Vector(as_static(item) for item in value)
    data = getattr(value, "data", None)
    if isinstance(data, np.ndarray | np.generic):
        return as_static(data)
    return value


def is_number(value: Any) -> bool:
    """Tell whether a static value is a number (booleans count, as in Python)."""
    return isinstance(value, bool | int | float)


def _bounded(value: Any) -> Any:
    if isinstance(value, int) and abs(value) > LARGEST_INT:
        raise StaticError("an integer left the range of 64 bits")
    return value


def _power(base: Any, exponent: Any) -> Any:
    if abs(exponent) > 1024:
        raise StaticError(f"the exponent {exponent} is too large")
    return base**exponent


_OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": _power,
}


def arithmetic(symbol: str, left: Any, right: Any) -> Any:
    """Compute `left symbol right` on static numbers, unknowns and vectors of them.

    Raises:
        StaticError: On operands that are no numbers, unequal lengths, a division by zero
            or a result that leaves 64 bits.

    Example:
        >>> arithmetic("*", Vector((2, 3)), 4)
        [8, 12]
    """
    if isinstance(left, Vector) or isinstance(right, Vector):
        return Vector(arithmetic(symbol, a, b) for a, b in _pairs(left, right))
    if isinstance(left, Unknown) or isinstance(right, Unknown):
        return _with_unknown(symbol, left, right)
    if not (is_number(left) and is_number(right)):
        wrong = right if is_number(left) else left
        raise StaticError(f"{describe(wrong)} can't be used with {symbol!r}, which takes numbers")
    if symbol == "/" and right and isinstance(left, int) and isinstance(right, int):
        return left / right
    try:
        return _bounded(_OPERATIONS[symbol](left, right))
    except (ArithmeticError, ValueError) as error:
        raise StaticError(f"{left} {symbol} {right}: {error}") from None


def _pairs(left: Any, right: Any) -> Iterator[tuple[Any, Any]]:
    if not isinstance(left, Vector):
        return ((left, item) for item in right)
    if not isinstance(right, Vector):
        return ((item, right) for item in left)
    if len(left) != len(right):
        raise StaticError(f"vectors of {len(left)} and {len(right)} items don't pair up")
    return zip(left, right, strict=True)


def _with_unknown(symbol: str, left: Any, right: Any) -> Any:
    if symbol == "*" and 0 in (left, right):
        return 0
    for side in (left, right):
        if not (is_number(side) or isinstance(side, Unknown)):
            raise StaticError(f"{describe(side)} can't be used with {symbol!r}")
    if (symbol, right) in _WITHOUT_EFFECT:
        return left
    if symbol in "+*" and (symbol, left) in _WITHOUT_EFFECT:
        return right
    text = f"({left} {symbol} {right})"
    if len(text) > LONGEST_UNKNOWN:
        raise StaticError("an unknown size goes through too much arithmetic")
    return Unknown(text)


def describe(value: Any) -> str:
    """Say in a few words what a value is, for an error message."""
    if isinstance(value, Unknown):
        return f"{value.what} (unknown at export)"
    if hasattr(value, "dtype") and hasattr(value, "name"):
        return f"the tensor {value.name!r}"
    if isinstance(value, Vector):
        items = [describe(item) for item in value[:5]]
        return f"[{', '.join([*items, '…'] if len(value) > 5 else items)}]"
    if value is None or isinstance(value, bool | int | float | str):
        text = repr(value)
        return text if len(text) <= 60 else text[:57] + "..."
    return f"a {type(value).__name__}"
