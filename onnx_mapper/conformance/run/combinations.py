"""Which combinations of a grid are tested: all of them, or every pair and a sample."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

WHOLE_UP_TO = 72
SAMPLE = 40
CANDIDATES = 12

Combination = tuple[int, ...]


def combinations(sizes: Sequence[int], seed: int, whole: bool = False) -> list[Combination]:
    """Choose combinations of positions, one for each axis.

    Args:
        sizes: How many values each axis has.
        seed: Makes the sample repeatable.
        whole: Whether to return the whole product, however large.

    Returns:
        The first is all zeros. Every pair of values of two axes occurs in some combination.

    Example:
        >>> combinations([2, 2], 0)
        [(0, 0), (0, 1), (1, 0), (1, 1)]
    """
    total = math.prod(sizes)
    if whole or total <= WHOLE_UP_TO:
        return list(itertools.product(*map(range, sizes)))
    random = np.random.default_rng(seed)
    first = (0,) * len(sizes)
    chosen = {first, *_pairwise(sizes, first, random)}
    for _ in range(SAMPLE):
        chosen.add(tuple(int(random.integers(size)) for size in sizes))
    return sorted(chosen)


def _pairwise(
    sizes: Sequence[int], first: Combination, random: np.random.Generator
) -> list[Combination]:
    """Cover all pairs greedily: of a few random candidates, take the one that adds most."""
    axes = list(itertools.combinations(range(len(sizes)), 2))
    missing = {(a, i, b, j) for a, b in axes for i in range(sizes[a]) for j in range(sizes[b])}
    missing -= _pairs(first)
    queue = sorted(missing)
    random.shuffle(queue)
    found = []
    for seed_pair in queue:
        if seed_pair not in missing:
            continue
        best: tuple[int, Combination] = (-1, first)
        for _ in range(CANDIDATES):
            candidate = [int(random.integers(size)) for size in sizes]
            candidate[seed_pair[0]], candidate[seed_pair[2]] = seed_pair[1], seed_pair[3]
            gain = len(_pairs(tuple(candidate)) & missing)
            best = max(best, (gain, tuple(candidate)))
        found.append(best[1])
        missing -= _pairs(best[1])
    return found


def _pairs(combination: Combination) -> set[tuple[int, int, int, int]]:
    positions = list(enumerate(combination))
    return {(a, i, b, j) for (a, i), (b, j) in itertools.combinations(positions, 2)}
