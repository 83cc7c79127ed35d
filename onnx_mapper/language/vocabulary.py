"""The pure functions that a formula may call. None knows an op; each serves any row.

A function takes and returns static values (numbers, dtype names, vectors) or asks a tensor
for what is known of it while exporting. It never adds a node: nodes are Capitalised calls.
`docs/formulas.md` lists them for people who write rows; their docstrings are that list.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from onnx_mapper.language.tensors import OpenSize, TensorType, Value, dimensions
from onnx_mapper.language.values import (
    DTYPES,
    LONGEST_VECTOR,
    Unknown,
    Vector,
    arithmetic,
    as_static,
    describe,
    leaves,
)

CONSTANTS: dict[str, Any] = {"inf": math.inf, "nan": math.nan, "pi": math.pi, "e": math.e}

MANY = 10_000
ARGUMENTS_OF_QUESTIONS = {
    "runs": (1, MANY), "constant": (2, 2), "like": (2, 2), "made_by": (2, MANY),
    "inner": (1, MANY), "excess": (2, 2), "noise": (3, 3), "applied": (3, 3), "repeated": (3, 3),
    "takes_batches": (1, 1),
}  # fmt: skip
"""The fewest and the most arguments of what the model under construction, or the engine, answers."""

QUESTIONS = frozenset(ARGUMENTS_OF_QUESTIONS)


def _typed(value: Any) -> Value | TensorType:
    if not isinstance(value, Value | TensorType):
        raise TypeError(f"takes a tensor, not {describe(value)}")
    return value


def _vector(value: Any) -> Vector:
    if not isinstance(value, Vector):
        raise TypeError(f"takes a vector, not {describe(value)}")
    return value


def _dtype_name(value: Any) -> str:
    name = value if isinstance(value, str) else _typed(value).dtype
    if name not in DTYPES:
        raise ValueError(f"{name!r} is no dtype; there are: {', '.join(DTYPES)}")
    return name


def dims(x: Any) -> Any:
    """Sizes of a tensor's axes; an unknown size can be carried, but not become part of the model."""
    sizes = dimensions(_typed(x))
    if sizes is None:
        raise ValueError("the rank is not known here")
    return sizes


def rank(x: Any) -> int:
    """Number of axes of a tensor."""
    return len(dims(x))


def has_rank(x: Any) -> bool:
    """Whether the number of axes is known (inside an elementwise inner graph it isn't)."""
    return _typed(x).shape is not None


def dtype(x: Any) -> str:
    """Name of a tensor's dtype, as NumPy spells it."""
    return _typed(x).dtype


def known(x: Any) -> bool:
    """Whether a tensor's numbers, or a size, or every item of a vector, are known at export."""
    if isinstance(x, Vector):
        return all(known(item) for item in x)
    if isinstance(x, Value):
        return x.known is not None
    return not isinstance(x, Unknown)


def value(x: Any) -> Any:
    """Numbers of a tensor that is known at export, as a number or (nested) vectors."""
    if isinstance(x, Value):
        if x.known is None:
            raise ValueError(f"{x.name!r} is known only when the model runs; it must be a constant")
        if x.known.size > LONGEST_VECTOR:
            raise ValueError(f"{x.name!r} has {x.known.size} numbers, too many for a formula")
        return as_static(x.known)
    return x


def single(x: Any) -> Any:
    """Number of a tensor that holds just one and is a constant, whatever its rank; None for others."""
    if isinstance(x, Value):
        alone = x.known is not None and x.foldable and x.known.size == 1
        return as_static(x.known.reshape(-1)[0]) if alone and x.known is not None else None
    return x


def _is_single(x: Value) -> bool:
    return x.known is not None and x.foldable and x.known.size == 1


def from_sizes(x: Any) -> bool:
    """Whether a tensor's integers follow from the sizes of other tensors alone."""
    return isinstance(x, Value) and x.from_sizes


def is_size(x: Any) -> bool:
    """Whether this is an unknown size that a tensor has: n.tensor has it along n.axis."""
    return isinstance(x, OpenSize)


def is_size_of(n: Any, x: Any) -> bool:
    """Whether an unknown size is first known from this tensor, so that no other one tells it."""
    return isinstance(n, OpenSize) and isinstance(x, Value) and n.tensor.name == x.name


def stretches(v: Any) -> Vector:
    """Parts of a vector of sizes, as [first, end]: known ones, axes of one tensor in order, others."""
    sizes = _vector(v)
    ends = [
        place for place in range(1, len(sizes)) if not _continues(sizes[place - 1], sizes[place])
    ]
    bounds = [0, *ends, len(sizes)] if sizes else []
    return Vector(Vector(pair) for pair in itertools.pairwise(bounds))


def _continues(before: Any, after: Any) -> bool:
    if isinstance(before, OpenSize) and isinstance(after, OpenSize):
        return before.tensor.name == after.tensor.name and before.axis + 1 == after.axis
    return isinstance(before, int) and isinstance(after, int)


def is_tensor(x: Any) -> bool:
    """Whether this is a tensor of the model (and not a number, None or a slice)."""
    return isinstance(x, Value)


def is_one(x: Any, y: Any) -> bool:
    """Whether two names stand for the same tensor."""
    return isinstance(x, Value) and isinstance(y, Value) and x.name == y.name


def is_float(x: Any) -> bool:
    """Whether a tensor or dtype is floating point."""
    return _dtype_name(x).startswith("float")


def is_int(x: Any) -> bool:
    """Whether a tensor or dtype is an integer, signed or not; bool is none."""
    return "int" in _dtype_name(x)


def is_unsigned(x: Any) -> bool:
    """Whether a tensor or dtype is an unsigned integer."""
    return _dtype_name(x).startswith("uint")


def is_bool(x: Any) -> bool:
    """Whether a tensor or dtype is bool."""
    return _dtype_name(x) == "bool"


def common(*xs: Any) -> str:
    """Dtype that NumPy computes in when these tensors or dtypes meet."""
    return np.result_type(*[np.dtype(_dtype_name(x)) for x in xs]).name


def highest(x: Any) -> Any:
    """Largest number of a tensor's dtype: infinity for floats."""
    name = _dtype_name(x)
    if name == "bool":
        return True
    return math.inf if is_float(name) else int(np.iinfo(name).max)


def lowest(x: Any) -> Any:
    """Smallest number of a tensor's dtype: minus infinity for floats."""
    name = _dtype_name(x)
    if name == "bool":
        return False
    return -math.inf if is_float(name) else int(np.iinfo(name).min)


def largest_finite(x: Any) -> float:
    """Largest finite number of a floating dtype."""
    return float(np.finfo(_dtype_name(x)).max)


def bits(x: Any) -> int:
    """Width of a dtype in bits."""
    return np.dtype(_dtype_name(x)).itemsize * 8


def both_sides(v: Any) -> Vector:
    """Amounts per axis, laid out as ONNX pads: all begins, then all ends."""
    return Vector(_vector(v) + _vector(v))


def join(*vs: Any) -> Vector:
    """Vectors put one after the other."""
    return Vector(item for v in vs for item in _vector(v))


def flat(v: Any) -> Vector:
    """Items of vectors that are nested as they like, in order; a single thing is one item."""
    return Vector(leaves(v))


def filled(n: int, item: Any) -> Vector:
    """Vector of n equal items."""
    if not 0 <= n <= LONGEST_VECTOR:
        raise ValueError(f"can't make a vector of {n} items")
    return Vector([item] * n)


def span(*bounds: int) -> Vector:
    """Integers from a start (0) up to a stop, which is left out, in steps (of 1)."""
    numbers = range(*bounds)
    if len(numbers) > LONGEST_VECTOR:
        raise ValueError(f"can't make a vector of {len(numbers)} items")
    return Vector(numbers)


def count(v: Any) -> int:
    """Number of items of a vector."""
    return len(_vector(v))


def product(v: Any) -> Any:
    """Product of a vector's items; 1 for none."""
    result: Any = 1
    for item in _vector(v):
        result = arithmetic("*", result, item)
    return result


def total(v: Any) -> Any:
    """Sum of a vector's items; 0 for none."""
    result: Any = 0
    for item in _vector(v):
        result = arithmetic("+", result, item)
    return result


def least(v: Any) -> Any:
    """Smallest item of a vector."""
    return min(_vector(v))


def greatest(v: Any) -> Any:
    """Largest item of a vector."""
    return max(_vector(v))


def all_of(v: Any) -> bool:
    """Whether every item of a vector is true."""
    return all(_vector(v))


def any_of(v: Any) -> bool:
    """Whether some item of a vector is true."""
    return any(_vector(v))


def covers(sizes: Any, wanted: Any) -> bool:
    """Whether sizes surely are the wanted ones: none of them is 1 where another size may be wanted.

    Sizes that are not known are taken not to broadcast, which holds for what is elementwise alone.
    """
    ours, theirs = _vector(sizes), _vector(wanted)
    return len(ours) == len(theirs) and all(
        a != 1 or b == 1 for a, b in zip(ours, theirs, strict=True)
    )


def surely_covers(sizes: Any, wanted: Any) -> bool:
    """Whether sizes surely are the wanted ones, also where one that is open turns out to be 1.

    They broadcast with the wanted ones: where ours is known and not 1, theirs is ours or 1.
    """
    ours, theirs = _vector(sizes), _vector(wanted)
    return len(ours) == len(theirs) and all(
        a == b or b == 1 or (isinstance(a, int) and a != 1)
        for a, b in zip(ours, theirs, strict=True)
    )


def ranks(v: Any) -> Vector:
    """Position that each item of a vector has when they are sorted: [7, 2] gives [1, 0]."""
    ordered = sorted(_vector(v))
    return Vector(ordered.index(item) for item in v)


def inverse(v: Any) -> Vector:
    """Permutation that undoes a permutation."""
    order = _vector(v)
    return Vector(order.index(position) for position in range(len(order)))


def ascending(v: Any) -> Vector:
    """Items of a vector in ascending order."""
    return Vector(sorted(_vector(v)))


def backwards(v: Any) -> Vector:
    """Items of a vector in reverse order."""
    return Vector(reversed(_vector(v)))


def pairs(*vs: Any) -> Vector:
    """Items of vectors of one length, side by side: pairs, triples and so on."""
    return Vector(Vector(items) for items in zip(*map(_vector, vs), strict=True))


def numbered(v: Any) -> Vector:
    """Items of a vector with their positions: [position, item] each."""
    return Vector(Vector(pair) for pair in enumerate(_vector(v)))


def is_vector(x: Any) -> bool:
    """Whether this is a vector (and not a number, a tensor, a text or None)."""
    return isinstance(x, Vector)


def is_number(x: Any) -> bool:
    """Whether this is a number."""
    return isinstance(x, int | float) and not isinstance(x, bool)


def is_slice(x: Any) -> bool:
    """Whether this is a slice, with start, stop and step."""
    return isinstance(x, slice)


def make_slice(start: Any, stop: Any, step: Any) -> slice:
    """Slice with these bounds, which may be None, numbers or tensors."""
    return slice(start, stop, step)


def filled_in(template: Any, items: Any) -> Vector:
    """Index template whose placeholders, bounds of slices too, are replaced by the items in order.

    A placeholder is whatever isn't None; what stands in its place doesn't matter. Without a
    template (None) the items are the indices.
    """
    if template is None:
        return _vector(items)
    left = list(_vector(items))

    def fill(entry: Any) -> Any:
        if isinstance(entry, slice):
            return slice(fill(entry.start), fill(entry.stop), fill(entry.step))
        return None if entry is None else left.pop(0)

    filled = Vector(fill(entry) for entry in _vector(template))
    if left:
        raise ValueError(f"{len(left)} items are left over")
    return filled


def settled(x: Any) -> Any:
    """Number of a scalar tensor known at export, also in vectors and slices; else x itself."""
    if isinstance(x, Vector):
        return Vector(settled(item) for item in x)
    if isinstance(x, slice):
        return slice(settled(x.start), settled(x.stop), settled(x.step))
    if isinstance(x, Value) and x.shape == () and x.known is not None:
        return as_static(x.known)
    return x


def kind(x: Any) -> str:
    """Name of the class of an attribute's value, such as 'Add' for a scalar op."""
    return type(x).__name__


def scalar(x: Any) -> TensorType:
    """Type of a tensor of one number: of a dtype, or of another tensor's dtype."""
    return TensorType(_dtype_name(x), ())


def resizable(x: Any) -> TensorType:
    """Type of tensors of x's dtype and rank, but of any sizes."""
    return TensorType(_typed(x).dtype, (None,) * rank(x))


def cut(v: Any, lengths: Any) -> Vector:
    """Vector cut into vectors of these lengths, which must add up to its own."""
    rest, parts = _vector(v), []
    for length in _vector(lengths):
        parts.append(rest[:length])
        rest = rest[length:]
    if rest or any(len(part) != length for part, length in zip(parts, lengths, strict=True)):
        raise ValueError(f"a vector of {len(v)} items can't be cut into {lengths!r}")
    return Vector(parts)


def integer(x: Any) -> int:
    """Whole number of a number, cut towards zero."""
    return int(x)


def log(x: float) -> float:
    """Natural logarithm of a number."""
    return math.log(x)


def sqrt(x: float) -> float:
    """Square root of a number."""
    return math.sqrt(x)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        dims, rank, has_rank, dtype, known, value, single, from_sizes, is_size, is_size_of,
        stretches, is_tensor, is_one, is_float, is_int, is_unsigned,
        is_bool, common, highest, lowest, largest_finite, bits, both_sides, join, flat, filled, span,
        count, product, total, least, greatest, all_of, any_of, covers, surely_covers, ranks, inverse,
        ascending, backwards, pairs, numbered, is_vector, is_number, is_slice, make_slice, filled_in, settled,
        kind, scalar, resizable, cut, integer, log, sqrt,
    )
}  # fmt: skip
