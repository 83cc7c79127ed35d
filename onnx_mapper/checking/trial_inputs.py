"""Random inputs for a comparison that reach what a function does: finite, varied results.

What an input may hold is worked out by trying: kinds of numbers (any, positive, probabilities,
large ones, positive definite matrices, indices up to some number) are given to PyTensor's own
function, and those stay for which most of its results are finite numbers unlike each other.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnx_mapper.errors import InvalidRequest
from onnx_mapper.language.arrays import Array

MOST_SIZES_TRIED = 200
MOST_SIZES_USED = 3
MOST_ATTEMPTS = 60
MOST_ELEMENTS_OF_FURTHER_SIZES = 20_000
SEED = 20260103

Sizes = Mapping[tuple[int, int], int]
Domain = Mapping[str, tuple[float, float]]
Evaluate = Callable[[Sequence[Array]], list[Array]]


@dataclass(frozen=True)
class Trial:
    """Inputs, and what PyTensor makes of them.

    Attributes:
        inputs: One array per input.
        expected: One array per output.
    """

    inputs: list[Array]
    expected: list[Array]


@dataclass(frozen=True)
class Wanted:
    """What inputs must be like, beside what the function says.

    Attributes:
        dims: For each input, in order, the size or the name of each axis, as the model declares it: axes
            of one name have one size.
        domain: The least and the largest number of some inputs, by the name of the function's input.
        dtypes: The dtype in which the model takes each input, for numbers that it has exactly.
    """

    dims: Sequence[Sequence[int | str]]
    domain: Domain
    dtypes: Sequence[np.dtype[Any]]


def trials(captured: Any, wanted: Wanted, evaluate: Evaluate) -> list[Trial]:
    """Choose inputs that fit a function, in up to three sets of sizes where sizes are open.

    Args:
        captured: The function's graph, which tells dtypes, ranks and static sizes.
        wanted: What else is asked of inputs.
        evaluate: What PyTensor makes of inputs.

    Raises:
        InvalidRequest: When PyTensor raises an error for all of them.
    """
    failure: Exception | None = None
    found: list[Trial] = []
    kinds: list[int] = []
    for sizes in itertools.islice(_sizes(captured, wanted.dims), MOST_SIZES_TRIED):
        maker = _Maker(captured, sizes, wanted)
        if found and maker.elements > MOST_ELEMENTS_OF_FURTHER_SIZES:
            continue
        try:
            trial, kinds = _best(maker, evaluate, kinds)
        except _NoneFits as error:
            failure = failure or error.first
        else:
            found.append(trial)
        if len(found) == MOST_SIZES_USED or (found and not sizes):
            break
    if not found:
        told = str(failure).splitlines()[0] if str(failure) else ""
        raise InvalidRequest(
            f"no random inputs fit the function ({type(failure).__name__}: {told}): pass inputs=[…]"
        )
    return found


class _NoneFits(Exception):
    def __init__(self, first: Exception | None) -> None:
        super().__init__()
        self.first = first


def _best(maker: _Maker, evaluate: Evaluate, known: Sequence[int]) -> tuple[Trial, list[int]]:
    """Choose a kind of numbers for each input: one for all first, then one by one.

    Args:
        maker: Makes the inputs.
        evaluate: What PyTensor makes of them.
        known: The kinds that were best for other sizes: these are kept where they fit.
    """
    failure: Exception | None = None
    best: Trial | None = None
    best_score = -1.0
    best_kinds = [0] * maker.count
    attempts = 0

    def attempt(kinds: Sequence[int]) -> None:
        nonlocal failure, best, best_score, best_kinds, attempts
        attempts += 1
        if attempts > MOST_ATTEMPTS:
            return
        inputs = maker.inputs(kinds)
        try:
            trial = Trial(inputs, evaluate(inputs))
        except Exception as error:
            failure = failure or error
            return
        score = telling(trial.expected)
        if score > best_score:
            best, best_score, best_kinds = trial, score, list(kinds)

    if known:
        attempt([min(kind, len(kinds) - 1) for kind, kinds in zip(known, maker.kinds, strict=True)])
        if best is not None:
            return best, best_kinds
    for kind in range(maker.most_kinds):
        attempt([min(kind, len(kinds) - 1) for kinds in maker.kinds])
        if best_score >= 1:
            break
    for _ in range(2):
        before = best_score
        for position, kinds in enumerate(maker.kinds):
            if best_score >= 1:
                break
            for kind in range(len(kinds)):
                attempt([*best_kinds[:position], kind, *best_kinds[position + 1 :]])
        if best_score == before:
            break
    if best is None:
        raise _NoneFits(failure)
    return best, best_kinds


def telling(outputs: Sequence[Array]) -> float:
    """Tell how much a comparison with these results says, from 0 for nothing to 1.

    Of each output the finite numbers count, half if they are all alike; the least of an output
    counts as much as their mean.

    Example:
        >>> telling([np.array([1.0, 2.0]), np.array([1.0, np.nan, np.nan, np.nan])])
        0.34375
    """
    shares = []
    for output in outputs:
        numbers = np.asarray(output).ravel()
        if not numbers.size:
            shares.append(1.0)
            continue
        finite = numbers[np.isfinite(numbers)] if numbers.dtype.kind == "f" else numbers
        alike = numbers.size > 1 and len(np.unique(finite)) < 2
        shares.append(len(finite) / numbers.size / (2 if alike else 1))
    return (min(shares) + sum(shares) / len(shares)) / 2 if shares else 1.0


class _Maker:
    """Makes inputs of given sizes, each of a kind of numbers."""

    def __init__(self, captured: Any, sizes: Sizes, wanted: Wanted) -> None:
        domain = wanted.domain
        self._taken = wanted.dtypes
        self._types = [input_.variable.type for input_ in captured.inputs]
        self._shapes = [
            [sizes[position, axis] if size is None else size for axis, size in enumerate(t.shape)]
            for position, t in enumerate(self._types)
        ]
        known = [parameter.shape for parameter in captured.parameters]
        ranges = sorted({size for shape in [*known, *self._shapes] for size in shape}, reverse=True)
        names = [input_.name for input_ in captured.inputs]
        self.kinds = [
            [_between(*domain[name], np.dtype(t.dtype), shape)]
            if name in domain
            else _kinds(np.dtype(t.dtype), shape, ranges)
            for name, t, shape in zip(names, self._types, self._shapes, strict=True)
        ]
        self.count = len(self.kinds)
        self.elements = sum(int(np.prod(shape)) for shape in self._shapes)
        self.most_kinds = max((len(kinds) for kinds in self.kinds), default=1)

    def inputs(self, chosen: Sequence[int]) -> list[Array]:
        """Return the arrays of the chosen kinds; the same ones each time."""
        random = np.random.default_rng(SEED)
        return [
            np.asarray(kinds[kind](random)).astype(taken).astype(type_.dtype)
            for kinds, kind, type_, taken in zip(
                self.kinds, chosen, self._types, self._taken, strict=True
            )
        ]


_Kind = Callable[[np.random.Generator], Any]


def _kinds(dtype: np.dtype[Any], shape: Sequence[int], ranges: Sequence[int]) -> list[_Kind]:
    if dtype.kind == "b":
        return [lambda random: random.integers(0, 2, size=shape)]
    if dtype.kind in "iu":
        least = 0 if dtype.kind == "u" else -2
        largest = [size for size in ranges if size > 3 and size - 1 <= np.iinfo(dtype).max]
        return [
            *(_indices(-size, size, shape) for size in largest if least),
            *(_indices(0, size, shape) for size in largest),
            lambda random: random.integers(least, 3, size=shape),
            lambda random: random.integers(0, 3, size=shape),
            lambda random: random.integers(1, 4, size=shape),
            lambda random: random.integers(0, 2, size=shape),
            lambda random: np.zeros(shape),
        ]
    kinds: list[_Kind] = [
        lambda random: _with_halves(random.normal(size=shape), random),
        lambda random: 0.1 + np.abs(random.normal(size=shape)),
        lambda random: random.uniform(0.05, 0.95, size=shape),
        lambda random: 1.1 + np.abs(random.normal(size=shape)),
        lambda random: random.uniform(2, 20, size=shape),
        lambda random: random.uniform(150, 1500, size=shape),
        lambda random: -0.1 - np.abs(random.normal(size=shape)),
        lambda random: 0.01 * random.normal(size=shape),
    ]
    if len(shape) >= 2 and shape[-1] == shape[-2]:
        kinds.append(lambda random: _positive_definite(random, shape))
    return kinds


def _between(low: float, high: float, dtype: np.dtype[Any], shape: Sequence[int]) -> _Kind:
    """Numbers of a range, both ends included, as a user gives it."""
    if dtype.kind == "f":
        return lambda random: random.uniform(low, high, size=shape)
    return lambda random: random.integers(int(low), int(high) + 1, size=shape)


def _indices(start: int, stop: int, shape: Sequence[int]) -> _Kind:
    """Whole numbers of a range: all of them, in disorder, as far as there is room."""

    def make(random: np.random.Generator) -> Any:
        count = int(np.prod(shape))
        every = np.arange(start, stop)
        rounds = -(-count // every.size)
        numbers = np.concatenate([random.permutation(every) for _ in range(rounds or 1)])
        numbers[0] = stop - 1  # the largest must be there
        return numbers[:count].reshape(shape)

    return make


def _with_halves(numbers: Any, random: np.random.Generator) -> Array:
    """Put halves, of both signs, in the place of a quarter of the numbers: for what rounds."""
    array = np.array(numbers)
    flat = array.reshape(-1)
    places = random.permutation(flat.size)[: flat.size // 4]
    flat[places] = random.permutation(np.resize([0.5, -1.5, 2.5, -0.5, 1.5], places.size))
    return array


def _positive_definite(random: np.random.Generator, shape: Sequence[int]) -> Any:
    factor = random.normal(size=shape)
    return factor @ np.swapaxes(factor, -1, -2) + shape[-1] * np.eye(shape[-1])


def _sizes(captured: Any, dims: Sequence[Sequence[int | str]]) -> Iterator[Sizes]:
    """Yield sizes to try for the open axes: one for all, then those that parameters and constants have."""
    fixed: dict[tuple[int, int], int] = {}
    alike: dict[object, list[tuple[int, int]]] = {}
    for position, input_ in enumerate(captured.inputs):
        for axis, size in enumerate(input_.variable.type.shape):
            declared = dims[position][axis] if axis < len(dims[position]) else ""
            if size is None and isinstance(declared, int):
                fixed[position, axis] = declared
            elif size is None:
                alike.setdefault(declared or (position, axis), []).append((position, axis))
    open_axes = list(alike.values())
    found = [size for parameter in captured.parameters for size in parameter.shape]
    found += [s for i in captured.inputs for s in i.variable.type.shape if s is not None]
    found += [*fixed.values(), *captured.sizes_of_constants()]
    candidates = list(dict.fromkeys([5, *sorted(set(found) - {1}), 12, 3, 1]))
    seen: list[Sizes] = []
    for size in candidates:
        seen.append({**fixed, **{axis: size for group in open_axes for axis in group}})
        yield seen[-1]
        if not open_axes:
            return
    for chosen in itertools.product(candidates, repeat=len(open_axes)):
        groups = zip(open_axes, chosen, strict=True)
        sizes = {**fixed, **{axis: size for group, size in groups for axis in group}}
        if sizes not in seen:
            yield sizes
