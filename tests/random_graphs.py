"""Random small PyTensor graphs, as recipes that hypothesis can shrink."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytensor.tensor as pt
from hypothesis import strategies as st

DTYPES = ("float32", "float64", "int64", "int32", "int8", "uint8", "bool")
LARGEST_EXACT = 2.0**20


@dataclass(frozen=True)
class Input:
    """An input of a graph: its dtype, and the size of each axis."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Step:
    """One operation: what it is, which earlier tensors it takes, and a number that details it."""

    name: str
    first: int
    second: int
    detail: int


@dataclass(frozen=True)
class Recipe:
    """A graph: its inputs, its steps, whether shapes are known, and what the numbers come from."""

    inputs: tuple[Input, ...]
    steps: tuple[Step, ...]
    static: bool
    seed: int


@dataclass(frozen=True)
class Tensor:
    """A tensor of the graph under construction.

    Attributes:
        variable: The PyTensor variable.
        bound: No number in it is larger.
        exact: Whether every number in it is exact, so that it may be rounded or compared.
    """

    variable: Any
    bound: float
    exact: bool

    @property
    def dtype(self) -> str:
        """NumPy's name of the dtype."""
        return str(self.variable.dtype)

    @property
    def is_float(self) -> bool:
        """Whether it is floating point."""
        return self.dtype.startswith("float")


Build = Callable[[Tensor, Tensor, int], Tensor | None]


def _smooth(function: Callable[[Any], Any], bound: Callable[[float], float]) -> Build:
    """Make a step of an elementwise function with rounded results."""

    def build(x: Tensor, y: Tensor, detail: int) -> Tensor | None:
        if x.dtype == "bool" or x.bound > 30:
            return None
        return Tensor(function(x.variable), bound(x.bound), exact=False)

    return build


def _stepped(function: Callable[[Any], Any]) -> Build:
    """Make a step that jumps: it takes exact numbers only."""

    def build(x: Tensor, y: Tensor, detail: int) -> Tensor | None:
        if not (x.is_float and x.exact):
            return None
        return Tensor(function(x.variable), x.bound + 1, exact=True)

    return build


def _arithmetic(
    function: Callable[[Any, Any], Any], bound: Callable[[float, float], float]
) -> Build:
    """Make a step of numbers; integers may wrap around, as they do on both sides."""

    def build(x: Tensor, y: Tensor, detail: int) -> Tensor | None:
        if "bool" in (x.dtype, y.dtype):
            return None
        largest = bound(x.bound, y.bound)
        whole = not (x.is_float or y.is_float)
        if not whole and (largest > 1e6 or max(x.bound, y.bound) > 1e6):
            return None
        made = function(x.variable, y.variable)
        if whole:
            return Tensor(made, float(np.iinfo(made.dtype).max), exact=True)
        return Tensor(made, largest, x.exact and y.exact and largest < LARGEST_EXACT)

    return build


def _quotient(x: Tensor, y: Tensor, detail: int) -> Tensor | None:
    if not (x.is_float and y.is_float) or max(x.bound, y.bound) > 1e6:
        return None
    return Tensor(x.variable / (1 + abs(y.variable)), x.bound, exact=False)


def _compared(function: Callable[[Any, Any], Any]) -> Build:
    def build(x: Tensor, y: Tensor, detail: int) -> Tensor | None:
        if not (x.exact and y.exact):
            return None
        return Tensor(function(x.variable, y.variable), 1, exact=True)

    return build


def _chosen(x: Tensor, y: Tensor, detail: int) -> Tensor | None:
    if not x.exact:
        return None
    made = pt.switch(pt.gt(x.variable, detail), x.variable, y.variable)
    return Tensor(made, max(x.bound, y.bound), x.exact and y.exact)


def _axis(x: Tensor, detail: int) -> int | None:
    return detail % x.variable.ndim if x.variable.ndim else None


def _reduced(name: str) -> Build:
    def build(x: Tensor, y: Tensor, detail: int) -> Tensor | None:
        axis = None if detail % 3 == 0 else _axis(x, detail)
        if name in ("sum", "mean") and (x.bound > 1e5 or x.dtype == "bool"):
            return None
        made = getattr(x.variable, name)(axis=axis, keepdims=detail % 2 == 0)
        return Tensor(made, x.bound * 256, x.exact and name != "mean" and x.bound < 1e3)

    return build


def _extreme(name: str) -> Build:
    def build(x: Tensor, y: Tensor, detail: int) -> Tensor | None:
        if x.dtype == "bool" or (name == "argmax" and not x.exact):
            return None
        axis = None if detail % 3 == 0 else _axis(x, detail)
        made = getattr(x.variable, name)(axis=axis)
        return Tensor(made, max(x.bound, 256), x.exact)

    return build


def _truth(x: Tensor, y: Tensor, detail: int) -> Tensor | None:
    if not x.exact:
        return None
    made = pt.any(x.variable, axis=_axis(x, detail)) if detail % 2 else pt.all(x.variable)
    return Tensor(made, 1, exact=True)


def _moved(function: Callable[[Any, int], Any]) -> Build:
    """Make a step that moves numbers and leaves them as they are."""

    def build(x: Tensor, y: Tensor, detail: int) -> Tensor | None:
        made = function(x.variable, detail)
        return None if made is None else Tensor(made, x.bound, x.exact)

    return build


def _permuted(x: Any, detail: int) -> Any:
    order = list(range(x.ndim))
    turn = detail % max(1, x.ndim)
    order = order[turn:] + order[:turn]
    if detail % 2:
        order.reverse()
    return x.dimshuffle(*order)


def _unsqueezed(x: Any, detail: int) -> Any:
    order: list[Any] = list(range(x.ndim))
    order.insert(detail % (x.ndim + 1), "x")
    return x.dimshuffle(*order) if x.ndim < 4 else None


def _sliced(x: Any, detail: int) -> Any:
    if not x.ndim:
        return None
    cuts = [
        slice(1, None),
        slice(None, -1),
        slice(None, None, -1),
        slice(None, None, 2),
        slice(-2, 9),
    ]
    index = [slice(None)] * (detail % x.ndim)
    return x[(*index, cuts[detail % len(cuts)])]


def _taken(x: Any, detail: int) -> Any:
    if not x.ndim:
        return None
    return x[[0, -1, 0]] if detail % 2 else x[0]


def _together(x: Tensor, y: Tensor, detail: int) -> Tensor | None:
    if not x.variable.ndim:
        return None
    axis = _axis(x, detail) or 0
    made = pt.concatenate([x.variable, x.variable], axis=axis)
    return Tensor(made, x.bound, x.exact)


def _cast(x: Tensor, y: Tensor, detail: int) -> Tensor | None:
    target = DTYPES[detail % len(DTYPES)]
    if x.is_float and not target.startswith("float") and (not x.exact or x.bound > 100):
        return None
    if x.is_float and target == "uint8":
        return None
    bound = x.bound if target.startswith("float") or target == "bool" else max(x.bound, 2.0**8)
    return Tensor(x.variable.astype(target), bound, x.exact and x.bound < LARGEST_EXACT)


def _product(x: Tensor, y: Tensor, detail: int) -> Tensor | None:
    if not (x.is_float and y.is_float) or x.variable.ndim != 2 or x.bound * y.bound > 1e4:
        return None
    return Tensor(pt.dot(x.variable, x.variable.T), x.bound * x.bound * 8, exact=False)


def _along(function: Callable[..., Any]) -> Build:
    def build(x: Tensor, y: Tensor, detail: int) -> Tensor | None:
        if not x.is_float or not x.variable.ndim or x.bound > 1e3:
            return None
        return Tensor(function(x.variable, axis=_axis(x, detail)), x.bound * 8 + 10, exact=False)

    return build


def _masked(x: Tensor, y: Tensor, detail: int) -> Tensor | None:
    """Rows that a mask takes, of which there may be none."""
    if not x.variable.ndim:
        return None
    mask = pt.ge(x.variable.reshape((x.variable.shape[0], -1)).sum(axis=1), detail - 5)
    return Tensor(x.variable[mask], x.bound, x.exact)


def _written_where(x: Tensor, y: Tensor, detail: int) -> Tensor | None:
    """Values written, or added, in the rows that a mask takes; theirs may be one row for all."""
    if not x.variable.ndim or y.variable.ndim > x.variable.ndim or x.dtype != y.dtype:
        return None
    if x.dtype == "bool" or x.bound + y.bound > LARGEST_EXACT:
        return None
    mask = pt.ge(x.variable.reshape((x.variable.shape[0], -1)).sum(axis=1), detail - 5)
    write = pt.set_subtensor if detail % 2 else pt.inc_subtensor
    return Tensor(write(x.variable[mask], y.variable), x.bound + y.bound, x.exact and y.exact)


def _written_in(x: Tensor, y: Tensor, detail: int) -> Tensor | None:
    """Values written, or added, in a slice; they may broadcast to it."""
    if not x.variable.ndim or y.variable.ndim > x.variable.ndim or x.dtype != y.dtype:
        return None
    if x.dtype == "bool" or x.bound + y.bound > LARGEST_EXACT:
        return None
    part = x.variable[1:] if detail % 3 else x.variable[::2]
    write = pt.set_subtensor if detail % 2 else pt.inc_subtensor
    return Tensor(write(part, y.variable), x.bound + y.bound, x.exact and y.exact)


def _paired(x: Tensor, y: Tensor, detail: int) -> Tensor | None:
    """Elements at pairs of indices, which may broadcast against each other."""
    if x.variable.ndim < 2 or y.variable.ndim != 1 or y.dtype == "bool":
        return None
    if not y.exact or (y.is_float and y.bound > LARGEST_EXACT):
        return None
    numbers = abs(pt.floor(y.variable) if y.is_float else y.variable).astype("int64")
    rows = numbers % pt.maximum(x.variable.shape[0], 1)
    columns = pt.arange(x.variable.shape[1]) if detail % 2 else numbers[:1] % x.variable.shape[1]
    return Tensor(x.variable[rows, columns], x.bound, x.exact)


def _many(x: Tensor, y: Tensor, detail: int) -> Tensor | None:
    """A sum of more than forty terms; PyTensor's own Python takes 32, so it is one of sums."""
    if x.dtype == "bool":
        return None
    largest = LARGEST_EXACT if x.is_float else np.iinfo(x.dtype).max  # PyTensor's rewrites widen
    if x.bound * 60 > largest:
        return None
    terms = [x.variable * (i % 3) for i in range(45 + detail)]
    alike = [term.astype(x.dtype) for term in terms]
    return Tensor(pt.add(pt.add(*alike[:30]), pt.add(*alike[30:])), x.bound * 60, x.exact)


def _counted(x: Tensor, y: Tensor, detail: int) -> Tensor | None:
    """A running sum of whole numbers, in 64 bits: PyTensor mislabels those of small ones."""
    if x.is_float or not x.variable.ndim:
        return None
    numbers = x.variable.astype("int64")
    return Tensor(pt.cumsum(numbers, axis=_axis(x, detail)), x.bound * 64, x.exact)


STEPS: dict[str, Build] = {
    "exp": _smooth(pt.exp, lambda b: float(np.exp(min(b, 30)))),
    "tanh": _smooth(pt.tanh, lambda b: 1),
    "sigmoid": _smooth(pt.sigmoid, lambda b: 1),
    "softplus": _smooth(pt.softplus, lambda b: b + 1),
    "log1p": _smooth(lambda x: pt.log1p(abs(x)), lambda b: b),
    "sqrt": _smooth(lambda x: pt.sqrt(abs(x)), lambda b: b + 1),
    "sqr": _arithmetic(lambda x, y: pt.sqr(x), lambda a, b: a * a),
    "floor": _stepped(pt.floor),
    "ceil": _stepped(pt.ceil),
    "round": _stepped(lambda x: pt.round(x, mode="half_to_even")),
    "sign": _stepped(getattr(pt, "sign", None) or pt.sgn),
    "add": _arithmetic(pt.add, lambda a, b: a + b),
    "sub": _arithmetic(pt.sub, lambda a, b: a + b),
    "mul": _arithmetic(pt.mul, lambda a, b: a * b),
    "maximum": _arithmetic(pt.maximum, max),
    "minimum": _arithmetic(pt.minimum, max),
    "quotient": _quotient,
    "equal": _compared(pt.eq),
    "less": _compared(pt.lt),
    "at_least": _compared(pt.ge),
    "switch": _chosen,
    "sum": _reduced("sum"),
    "mean": _reduced("mean"),
    "max": _extreme("max"),
    "argmax": _extreme("argmax"),
    "truth": _truth,
    "permute": _moved(_permuted),
    "unsqueeze": _moved(_unsqueezed),
    "flatten": _moved(lambda x, detail: x.flatten()),
    "slice": _moved(_sliced),
    "take": _moved(_taken),
    "concatenate": _together,
    "cast": _cast,
    "dot": _product,
    "softmax": _along(pt.special.softmax),
    "cumsum": _along(pt.cumsum),
    "masked": _masked,
    "written_where": _written_where,
    "written_in": _written_in,
    "paired": _paired,
    "many": _many,
    "counted": _counted,
}

SHAPES = st.lists(st.integers(0, 4), max_size=3).map(tuple)
INPUTS = st.builds(Input, st.sampled_from(DTYPES), SHAPES)
NUMBERS = st.integers(0, 11)
RECIPES = st.builds(
    Recipe,
    st.lists(INPUTS, min_size=2, max_size=3).map(tuple),
    st.lists(
        st.builds(Step, st.sampled_from(sorted(STEPS)), NUMBERS, NUMBERS, NUMBERS),
        min_size=3,
        max_size=8,
    ).map(tuple),
    st.booleans(),
    st.integers(0, 99),
)


def build(recipe: Recipe) -> tuple[list[Any], list[Any], list[list[np.ndarray]]]:
    """Build a recipe's graph.

    Returns:
        The inputs, the outputs (every tensor that nothing reads), and arrays for the inputs: of
        the recipe's sizes, and where these stay open in the graph of two other sets of sizes.
    """
    random = np.random.default_rng(recipe.seed)
    tensors: list[Tensor] = []
    for position, wanted in enumerate(recipe.inputs):
        known = [size if recipe.static or size == 1 else None for size in wanted.shape]
        variable = pt.tensor(f"x{position}", dtype=wanted.dtype, shape=tuple(known))
        tensors.append(Tensor(variable, 8 if wanted.dtype != "uint8" else 16, exact=True))
    inputs = [tensor.variable for tensor in tensors]
    read: set[Any] = set()
    for step in recipe.steps:
        made = _made(step, tensors)
        if made is not None:
            read |= set(made.variable.owner.inputs) if made.variable.owner else set()
            tensors.append(made)
    outputs = [t.variable for t in tensors[len(inputs) :] if t.variable not in read]
    arrays = [[_numbers(wanted, random) for wanted in recipe.inputs]]
    if not recipe.static:
        arrays += [
            [_numbers(_resized(wanted, others), random) for wanted in recipe.inputs]
            for others in OTHER_SIZES
        ]
    return inputs, outputs, arrays


def _made(step: Step, tensors: list[Tensor]) -> Tensor | None:
    """Apply a step to the tensors that it names, or else to the next that it can take."""
    for further in range(len(tensors)):
        x, y = (tensors[(i + further) % len(tensors)] for i in (step.first, step.second))
        try:
            made = STEPS[step.name](x, y, step.detail)
        except (TypeError, ValueError, NotImplementedError):
            continue
        if made is not None:
            return made
    return None


OTHER_SIZES: tuple[dict[int, int], ...] = ({0: 3, 2: 5, 3: 2, 4: 1}, {0: 1, 2: 0, 3: 3, 4: 6})
"""What sizes that stay open become in further runs of a model: a size of 1 is known in the graph."""


def _resized(wanted: Input, others: dict[int, int]) -> Input:
    return Input(wanted.dtype, tuple(others.get(size, size) for size in wanted.shape))


def _numbers(wanted: Input, random: np.random.Generator) -> np.ndarray:
    if wanted.dtype == "bool":
        return random.integers(0, 2, wanted.shape).astype(bool)
    low = 0 if wanted.dtype == "uint8" else -16
    halves = random.integers(low, 17, wanted.shape)
    return np.asarray(halves / 2 if wanted.dtype.startswith("float") else halves // 2, wanted.dtype)
