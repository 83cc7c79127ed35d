"""The numbers that cases run on: ordinary ones, and the edges of their dtype."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnx_mapper.language.arrays import Array

LONGEST_PRODUCT = 2600
EDGE_SETS = 5


@dataclass(frozen=True)
class Source:
    """Where an input's numbers come from.

    Attributes:
        dtype: NumPy's name of its dtype.
        domain: The interval that they lie in; None for all numbers.
        special: Numbers that must occur.
    """

    dtype: str
    domain: tuple[float, float] | None
    special: tuple[float, ...]


def edges(dtype: str) -> list[float | int | bool]:
    """Return the numbers of a dtype that implementations differ on.

    Example:
        >>> edges("uint8")
        [0, 1, 2, 3, 254, 255, 127, 128]
    """
    kind = np.dtype(dtype)
    if kind.kind == "b":
        return [False, True]
    if kind.kind in "iu":
        limits = np.iinfo(kind)
        low, high = int(limits.min), int(limits.max)
        ends = [high // 2, high // 2 + 1] if kind.kind == "u" else [-1, -2, -3, low, low + 1]
        return [0, 1, 2, 3, high - 1, high, *ends]
    info = np.finfo(kind)
    large, tiny, eps = float(info.max), float(info.tiny), float(info.eps)
    positive = [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 1 - eps / 2, 1 + eps, 0.5 - eps / 4, tiny, large]
    positive += [eps / 4, 3.7, 20.3, 1 / eps + 1, math.sqrt(large) * 1.7, math.inf]
    return [*positive, *(-x for x in positive), math.nan]


def inside(numbers: Sequence[float], source: Source) -> list[float]:
    """Return those of some numbers that lie in the domain."""
    if source.domain is None:
        return list(numbers)
    low, high = source.domain
    return [x for x in numbers if low <= x <= high]


def ordinary(source: Source, count: int, random: np.random.Generator) -> Array:
    """Return random numbers of a domain; some come twice, and there is no symmetry."""
    dtype = np.dtype(source.dtype)
    if dtype.kind == "b":
        return random.integers(0, 2, count).astype(bool)
    if dtype.kind in "iu":
        low, high = source.domain or ((-9, 9) if dtype.kind == "i" else (0, 13))
        limits = np.iinfo(dtype)
        first, last = max(math.ceil(low), int(limits.min)), min(math.floor(high), int(limits.max))
        return random.integers(first, last, count, dtype=dtype, endpoint=True)
    low, high = source.domain or (-4.0, 6.0)
    info = np.finfo(dtype)
    low, high = max(low, float(info.min)), min(high, float(info.max))
    with np.errstate(over="ignore"):
        spread = high - low if math.isfinite(high - low) else float(info.max)
        numbers = low + random.random(count) * spread
    twice = random.random(count) < 0.2
    if count > 1:
        numbers[twice] = numbers[random.integers(0, count, int(twice.sum()))]
    return np.clip(numbers, low, high).astype(dtype)


def pool(source: Source, count: int, random: np.random.Generator) -> Array:
    """Return special numbers, edges and `count` ordinary numbers, for elementwise ops."""
    dtype = np.dtype(source.dtype)
    chosen = [*source.special, *inside(edges(source.dtype), source)]
    if source.domain is not None:
        chosen += [x for x in source.domain if fits(x, dtype)]
    fixed = np.array([x for x in chosen if fits(x, dtype)], dtype=dtype)
    wide = [fixed, ordinary(source, count, random)]
    if dtype.kind == "f" and source.domain is None:
        magnitudes = 10.0 ** random.uniform(-6, 6, count // 2)
        wide.append((magnitudes * random.choice([-1.0, 1.0], count // 2)).astype(dtype))
    return np.concatenate(wide)


def fits(number: float, dtype: np.dtype[Any]) -> bool:
    """Tell whether a dtype holds a number."""
    if dtype.kind == "f":
        return True
    if dtype.kind == "b":
        return number in (0, 1)
    if not math.isfinite(number) or number != int(number):
        return False
    limits = np.iinfo(dtype)
    return int(limits.min) <= number <= int(limits.max)


def combined(sources: Mapping[str, Source], random: np.random.Generator) -> dict[str, Array]:
    """Return vectors of one length that hold every pair of edges, for elementwise ops."""
    counts = {1: 60, 2: 12, 3: 3}
    pools = [pool(source, counts.get(len(sources), 3), random) for source in sources.values()]
    total = math.prod(len(p) for p in pools)
    if total <= LONGEST_PRODUCT:
        rows = np.array(list(itertools.product(*(range(len(p)) for p in pools))))
    else:
        rows = np.stack([random.integers(0, len(p), LONGEST_PRODUCT) for p in pools], axis=1)
    order = random.permutation(len(rows))
    return {
        name: p[rows[order, position]]
        for position, (name, p) in enumerate(zip(sources, pools, strict=True))
    }


def filled(source: Source, shape: tuple[int, ...], random: np.random.Generator) -> list[Array]:
    """Return arrays of a shape: the first ordinary, the others with special numbers and edges."""
    count = math.prod(shape)
    dtype = np.dtype(source.dtype)
    arrays = [ordinary(source, count, random)]
    finite = [x for x in inside(edges(source.dtype), source) if math.isfinite(x)]
    strange = [x for x in inside(edges(source.dtype), source) if not math.isfinite(x)]
    special = [x for x in source.special if fits(x, dtype)]
    for numbers in (special, finite if source.domain is None else [], strange):
        arrays += _sprinkled(source, numbers, count, random) if count else []
    return [array.reshape(shape) for array in arrays]


def _sprinkled(
    source: Source, numbers: Sequence[float], count: int, random: np.random.Generator
) -> list[Array]:
    """Return arrays that hold these numbers between ordinary ones, half and half."""
    size = max(1, count // 2)
    arrays = []
    for start in range(0, len(numbers), size):
        array = ordinary(source, count, random)
        some = numbers[start : start + size]
        places = random.permutation(count)[: len(some)]
        array[places] = np.array(some, dtype=source.dtype)
        arrays.append(array)
    return arrays[:EDGE_SETS]
