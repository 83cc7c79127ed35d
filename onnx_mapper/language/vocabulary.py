"""What a formula may call beside operators and definitions. None knows an op; each serves any row.

A function of the vocabulary takes and returns static values (numbers, dtype names, vectors) or asks
a tensor for what is known of it while exporting. It never adds a node: nodes are Capitalised calls.
Others are questions: those about the model are answered by `model.questions`, those about the graph
at hand by `mapping.answers`, under the same names. docs/vocabulary.md lists all of them from here.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from onnx_mapper.language.registry import (
    AnySize,
    Call,
    Dtype,
    Integer,
    Items,
    Number,
    Operator,
    Registry,
    Tensor,
    Text,
    Typed,
)
from onnx_mapper.language.tensors import Counter, OpenSize, TensorType, Value, dimensions
from onnx_mapper.language.values import (
    LONGEST_VECTOR,
    Unknown,
    Vector,
    arithmetic,
    as_static,
    leaves,
)

CONSTANTS: dict[str, Any] = {"inf": math.inf, "nan": math.nan, "pi": math.pi, "e": math.e}

_REGISTRY = Registry()
_call = _REGISTRY.call


@_call()
def dims(x: Typed) -> Any:
    """Sizes of a tensor's axes; an unknown size can be carried, but not become part of the model."""
    sizes = dimensions(x)
    if sizes is None:
        raise ValueError("the rank is not known here")
    return sizes


@_call()
def rank(x: Any) -> int:
    """Number of axes of a tensor."""
    return len(dims(x))


@_call()
def dtype(x: Typed) -> str:
    """Name of a tensor's dtype, as NumPy spells it."""
    name: str = x.dtype
    return name


@_call()
def known(x: Any) -> bool:
    """Whether a tensor's numbers, or a size, or every item of a vector, are known at export."""
    if isinstance(x, Vector):
        return all(known(item) for item in x)
    if isinstance(x, Value):
        return x.numbers is not None
    return not isinstance(x, Unknown)


@_call()
def value(x: Any) -> Any:
    """Numbers of a tensor that is known at export, as a number or (nested) vectors."""
    if isinstance(x, Value):
        if x.numbers is None:
            raise ValueError(f"{x.name!r} is known only when the model runs; it must be a constant")
        if x.numbers.size > LONGEST_VECTOR:
            raise ValueError(f"{x.name!r} has {x.numbers.size} numbers, too many for a formula")
        return as_static(x.known)
    return x


@_call()
def single(x: Any) -> Any:
    """Number of a tensor that holds just one and is a constant, whatever its rank; None for others."""
    if isinstance(x, Value):
        known = x.constant
        return None if known is None or known.size != 1 else as_static(known.reshape(-1)[0])
    return x


@_call()
def uniform(x: Any) -> Any:
    """Number that a constant consists of, once or many times; None for other tensors."""
    if not isinstance(x, Value):
        return x
    known = x.constant
    if known is None or known.size == 0:
        return None
    first = known.reshape(-1)[0]
    return as_static(first) if bool((known == first).all()) else None


@_call()
def is_finite(x: Tensor) -> bool:
    """Whether a tensor is known at export and holds neither infinities nor NaN."""
    known = x.known
    return known is not None and bool(np.isfinite(known).all())


@_call()
def holds_zero(x: Tensor) -> bool:
    """Whether a tensor is unknown at export, or holds a 0."""
    known = x.known
    return known is None or bool((known == 0).any())


@_call()
def is_size(x: Any) -> bool:
    """Whether this is an unknown size that a tensor has: n.tensor has it along n.axis."""
    return isinstance(x, OpenSize)


@_call()
def is_size_of(n: Any, x: Any) -> bool:
    """Whether an unknown size is first known from this tensor, so that no other one tells it."""
    return isinstance(n, OpenSize) and isinstance(x, Value) and n.tensor.name == x.name


@_call()
def stretches(v: Items) -> Vector:
    """Parts of a vector of sizes, as [first, end]: known ones, axes of one tensor in order, others."""
    ends = [place for place in range(1, len(v)) if not _continues(v[place - 1], v[place])]
    bounds = [0, *ends, len(v)] if v else []
    return Vector(Vector(pair) for pair in itertools.pairwise(bounds))


def _continues(before: Any, after: Any) -> bool:
    if isinstance(before, OpenSize) and isinstance(after, OpenSize):
        return before.tensor.name == after.tensor.name and before.axis + 1 == after.axis
    return isinstance(before, int) and isinstance(after, int)


@_call()
def is_tensor(x: Any) -> bool:
    """Whether this is a tensor of the model (and not a number, None or a slice)."""
    return isinstance(x, Value)


@_call()
def is_one(x: Any, y: Any) -> bool:
    """Whether two names stand for the same tensor."""
    return isinstance(x, Value) and isinstance(y, Value) and x.name == y.name


@_call(sibling="is_int")
def is_float(x: Dtype) -> bool:
    """Whether a tensor or dtype is floating point."""
    return x.startswith("float")


@_call(sibling="is_float")
def is_int(x: Dtype) -> bool:
    """Whether a tensor or dtype is an integer, signed or not; bool is none."""
    return "int" in x


@_call(sibling="is_bool")
def is_unsigned(x: Dtype) -> bool:
    """Whether a tensor or dtype is an unsigned integer."""
    return x.startswith("uint")


@_call(sibling="is_unsigned")
def is_bool(x: Dtype) -> bool:
    """Whether a tensor or dtype is bool."""
    return x == "bool"


@_call(commutative=True)
def common(*xs: Dtype) -> str:
    """Dtype that NumPy computes in when these tensors or dtypes meet."""
    return np.result_type(*[np.dtype(x) for x in xs]).name


@_call(sibling="lowest")
def highest(x: Dtype) -> Any:
    """Largest number of a tensor's dtype: infinity for floats."""
    if x == "bool":
        return True
    return math.inf if is_float(x) else int(np.iinfo(x).max)


@_call(sibling="highest")
def lowest(x: Dtype) -> Any:
    """Smallest number of a tensor's dtype: minus infinity for floats."""
    if x == "bool":
        return False
    return -math.inf if is_float(x) else int(np.iinfo(x).min)


@_call()
def bits(x: Dtype) -> int:
    """Width of a dtype in bits."""
    return np.dtype(x).itemsize * 8


@_call()
def both_sides(v: Items) -> Vector:
    """Amounts per axis, laid out as ONNX pads: all begins, then all ends."""
    return Vector(v + v)


@_call()
def flat(v: Any) -> Vector:
    """Items of vectors that are nested as they like, in order; a single thing is one item."""
    return Vector(leaves(v))


@_call("full")
def filled(n: Integer, item: Any) -> Vector:
    """Vector of n equal items."""
    if not 0 <= n <= LONGEST_VECTOR:
        raise ValueError(f"can't make a vector of {n} items")
    return Vector([item] * n)


@_call("range")
def span(*bounds: Integer) -> Vector:
    """Integers from a start (0) up to a stop, which is left out, in steps (of 1)."""
    numbers = range(*bounds)
    if len(numbers) > LONGEST_VECTOR:
        raise ValueError(f"can't make a vector of {len(numbers)} items")
    return Vector(numbers)


@_call("len")
def count(v: Items) -> int:
    """Number of items of a vector."""
    return len(v)


@_call("prod", sibling="sum")
def product(v: Items) -> Any:
    """Product of a vector's items; 1 for none."""
    result: Any = 1
    for item in v:
        result = arithmetic("*", result, item)
    return result


@_call("sum", sibling="prod")
def total(v: Items) -> Any:
    """Sum of a vector's items; 0 for none."""
    result: Any = 0
    for item in v:
        result = arithmetic("+", result, item)
    return result


@_call("min", sibling="max")
def least(v: Items) -> Any:
    """Smallest item of a vector."""
    return min(v)


@_call("max", sibling="min")
def greatest(v: Items) -> Any:
    """Largest item of a vector."""
    return max(v)


@_call("all", sibling="any")
def all_of(v: Items) -> bool:
    """Whether every item of a vector is true."""
    return all(v)


@_call("any", sibling="all")
def any_of(v: Items) -> bool:
    """Whether some item of a vector is true."""
    return any(v)


@_call()
def covers(sizes: Items, wanted: Items) -> bool:
    """Whether sizes surely are the wanted ones: none of them is 1 where another size may be wanted.

    Sizes that are not known are taken not to broadcast, which holds for what is elementwise alone.
    """
    return len(sizes) == len(wanted) and all(
        a != 1 or b == 1 for a, b in zip(sizes, wanted, strict=True)
    )


@_call()
def surely_covers(sizes: Items, wanted: Items) -> bool:
    """Whether sizes surely are the wanted ones, also where one that is open turns out to be 1.

    They broadcast with the wanted ones: where ours is known and not 1, theirs is ours or 1.
    """
    return len(sizes) == len(wanted) and all(
        a == b or b == 1 or (isinstance(a, int) and a != 1)
        for a, b in zip(sizes, wanted, strict=True)
    )


@_call(sibling="inverse")
def ranks(v: Items) -> Vector:
    """Position that each item of a vector has when they are sorted: [7, 2] gives [1, 0]."""
    ordered = sorted(v)
    return Vector(ordered.index(item) for item in v)


@_call(sibling="ranks")
def inverse(v: Items) -> Vector:
    """Permutation that undoes a permutation."""
    return Vector(v.index(position) for position in range(len(v)))


@_call("reversed")
def backwards(v: Items) -> Vector:
    """Items of a vector in reverse order."""
    return Vector(reversed(v))


@_call("zip")
def pairs(*vs: Items) -> Vector:
    """Items of vectors of one length, side by side: pairs, triples and so on."""
    return Vector(Vector(items) for items in zip(*vs, strict=True))


@_call("enumerate")
def numbered(v: Items) -> Vector:
    """Items of a vector with their positions: [position, item] each."""
    return Vector(Vector(pair) for pair in enumerate(v))


@_call()
def is_vector(x: Any) -> bool:
    """Whether this is a vector (and not a number, a tensor, a text or None)."""
    return isinstance(x, Vector)


@_call(sibling="is_vector")
def is_number(x: Any) -> bool:
    """Whether this is a number."""
    return isinstance(x, int | float) and not isinstance(x, bool)


@_call()
def is_slice(x: Any) -> bool:
    """Whether this is a slice, with start, stop and step."""
    return isinstance(x, slice)


@_call()
def make_slice(start: Any, stop: Any, step: Any) -> slice:
    """Slice with these bounds, which may be None, numbers or tensors."""
    return slice(start, stop, step)


@_call()
def filled_in(template: Any, items: Items) -> Vector:
    """Index template whose placeholders, bounds of slices too, are replaced by the items in order.

    A placeholder is whatever isn't None; what stands in its place doesn't matter. Without a
    template (None) the items are the indices.
    """
    if template is None:
        return items
    left = list(items)

    def fill(entry: Any) -> Any:
        if isinstance(entry, slice):
            return slice(fill(entry.start), fill(entry.stop), fill(entry.step))
        return None if entry is None else left.pop(0)

    filled = Vector(fill(entry) for entry in template)
    if left:
        raise ValueError(f"{len(left)} items are left over")
    return filled


@_call()
def settled(x: Any) -> Any:
    """Number of a scalar tensor known at export, also in vectors and slices; else x itself."""
    if isinstance(x, Vector):
        return Vector(settled(item) for item in x)
    if isinstance(x, slice):
        return slice(settled(x.start), settled(x.stop), settled(x.step))
    if isinstance(x, Value) and x.shape == () and x.known is not None:
        return as_static(x.known)
    return x


@_call()
def type_name(x: Any) -> str:
    """Name of the class of an attribute's value, such as 'Add' for a scalar op."""
    return type(x).__name__


@_call()
def scalar(x: Dtype) -> TensorType:
    """Type of a tensor of one number: of a dtype, or of another tensor's dtype."""
    return TensorType(x, ())


@_call()
def counter(n: AnySize) -> TensorType:
    """Type of the number of a loop's step, of n at most or None: draws in the body have noise for each."""
    return Counter("int64", (), n)


@_call()
def resizable(x: Typed) -> TensorType:
    """Type of tensors of x's dtype and rank, but of any sizes."""
    return TensorType(x.dtype, (None,) * rank(x))


@_call()
def cut(v: Items, lengths: Items) -> Vector:
    """Vector cut into vectors of these lengths, which must add up to its own."""
    rest, parts = v, []
    for length in lengths:
        parts.append(rest[:length])
        rest = rest[length:]
    if rest or any(len(part) != length for part, length in zip(parts, lengths, strict=True)):
        raise ValueError(f"a vector of {len(v)} items can't be cut into {lengths!r}")
    return Vector(parts)


@_call("int")
def integer(x: Number) -> int:
    """Whole number of a number, cut towards zero."""
    return int(x)


@_call()
def log(x: Number) -> float:
    """Natural logarithm of a number."""
    return math.log(x)


@_call(by="model", shown="runs('Op', x, …)")
def runs(operator: Operator, *xs: Any) -> bool:
    """Whether ONNX Runtime has a kernel for these tensors or dtypes."""
    raise NotImplementedError


@_call(by="model")
def constant(numbers: Any, dtype: Dtype) -> Value:
    """A tensor with these numbers."""
    raise NotImplementedError


@_call(by="model")
def like(x: Tensor, y: Tensor) -> Value:
    """The tensor x, known to have the shape of y."""
    raise NotImplementedError


@_call(by="model", shown="made_by(x, 'Op', 'attribute', …)")
def made_by(x: Any, operator: Operator, *attributes: Text) -> Vector | None:
    """The inputs and these attributes of the node that made x, or None where another operator did."""
    raise NotImplementedError


@_call(by="model")
def never_negative(x: Tensor) -> bool:
    """Whether it is clear from how floats are made that they are no less than 0, or NaN."""
    raise NotImplementedError


@_call(by="model")
def frozen(x: Tensor) -> Value:
    """The tensor x, with which nodes are computed at export also where it is a shared variable's."""
    raise NotImplementedError


@_call(by="model", shown="remade(x, a, b, …)")
def remade(x: Tensor, *inputs: Any) -> Value:
    """What the node that made x gives for other inputs, with the same attributes."""
    raise NotImplementedError


@_call(by="graph")
def takes_batches(op: Any) -> bool:
    """Whether an op's rows hold for leading batch axes."""
    raise NotImplementedError


@_call(by="graph")
def repeated(op: Any, inputs: Items, n: Integer) -> Vector:
    """What an op gives over n leading axes."""
    raise NotImplementedError


@_call(by="graph")
def applied(op: Any, inputs: Items, n: Integer) -> Vector:
    """What an op gives without this op's n leading axes."""
    raise NotImplementedError


@_call(by="graph", shown="inner(graph, x, …)")
def inner(graph: Any, *inputs: Any) -> Vector:
    """What an op's inner graph gives for these inputs."""
    raise NotImplementedError


@_call(by="graph")
def excess(x: Any, n: Any) -> Any:
    """By how much the first size of input x exceeds the number n; None where that varies."""
    raise NotImplementedError


@_call(by="graph")
def noise(distribution: Text, dtype: Dtype, sizes: Items) -> Vector:
    """A model input for random numbers, and the numbers of the loops' steps that go before its axes."""
    raise NotImplementedError


@_call(by="graph")
def drawn(numbers: Any) -> Any:
    """Random numbers that a node draws, in place of those of the op's generator."""
    raise NotImplementedError


@_call(by="language", shown="graph(outputs, i=…, x=…)")
def graph(outputs: Any) -> Any:
    """A graph for a node's attribute, with inputs."""
    raise NotImplementedError


@_call(by="language", shown="branch(outputs)")
def branch(outputs: Any) -> Any:
    """A graph that runs at most once, without inputs."""
    raise NotImplementedError


@_call(by="language", shown="fold(next, running=first, x=xs, …)")
def fold(next_: Any) -> Any:
    """What a running value becomes along vectors."""
    raise NotImplementedError


@_call(by="language", shown="loop(n, next, going, x=first, …)")
def loop(n: Any, next_: Any) -> Any:
    """What a state becomes in n steps, step i among them, and what more a step gives, collected."""
    raise NotImplementedError


CALLS: dict[str, Call] = _REGISTRY.calls
