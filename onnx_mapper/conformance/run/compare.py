"""Two arrays, PyTensor's and ONNX Runtime's: how far apart, in units of the last place."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from onnx_mapper.conformance.cases.model import Tolerance
from onnx_mapper.language.arrays import Array

DEFAULT_ULPS = 4.0


@dataclass(frozen=True)
class Comparison:
    """How a result compares with PyTensor's.

    Attributes:
        problem: What is wrong; empty when nothing is.
        ulps: The largest distance, in units of the last place of the result's dtype; where no
            number is farther off than an absolute tolerance, 0.
        index: Where the worst element is.
    """

    problem: str = ""
    ulps: float = 0.0
    index: tuple[int, ...] | None = None


def compare(found: Array, expected: Array, tolerance: Tolerance, as_float32: bool) -> Comparison:
    """Compare a result with PyTensor's.

    Args:
        found: ONNX Runtime's.
        expected: PyTensor's.
        tolerance: How far apart numbers may be; integers and booleans never.
        as_float32: Whether float64 is only held to float32's digits.

    Example:
        >>> one = np.float32([1])
        >>> compare(one, np.nextafter(one, 2), Tolerance(ulps=0), False).ulps
        1.0
    """
    if found.dtype != expected.dtype:
        return Comparison(f"dtype is {found.dtype}, PyTensor's {expected.dtype}")
    if found.shape != expected.shape:
        return Comparison(f"shape is {found.shape}, PyTensor's {expected.shape}")
    if expected.dtype.kind != "f":
        return _exact(found, expected)
    if as_float32 and expected.dtype == np.float64:
        with np.errstate(over="ignore"):
            found, expected = found.astype(np.float32), expected.astype(np.float32)
    return _close(found, expected, tolerance)


def _exact(found: Array, expected: Array) -> Comparison:
    wrong = found != expected
    return _worst(wrong, wrong.astype(float), found, expected) if wrong.any() else Comparison()


def _close(found: Array, expected: Array, tolerance: Tolerance) -> Comparison:
    if not expected.size:
        return Comparison()
    info = np.finfo(expected.dtype)
    finite = np.isfinite(expected) & np.isfinite(found)
    same = (found == expected) | (np.isnan(found) & np.isnan(expected))
    with np.errstate(all="ignore"):
        distance = np.abs(found.astype(np.float64) - expected.astype(np.float64))
        size = np.maximum(np.abs(np.where(finite, expected, 0)), info.tiny)
        place = np.spacing(size.max() if tolerance.of_largest else size).astype(np.float64)
        ulps = np.where(same, 0.0, np.where(finite, distance / place, math.inf))
        allowed = _allowed(np.abs(expected.astype(np.float64)), place, tolerance)
        fine = same | (finite & (distance <= np.maximum(allowed, float(info.tiny))))
    if tolerance.signed_zeros:
        flipped = (expected == 0) & (found == 0) & (np.signbit(expected) != np.signbit(found))
        fine &= ~flipped
    if not fine.all():
        return _worst(~fine, ulps, found, expected)
    small = distance <= max(float(info.tiny), tolerance.atol or 0.0)
    return Comparison(ulps=float(np.where(small, 0.0, ulps).max()))


def _allowed(size: Array, place: Array, tolerance: Tolerance) -> Array:
    stated = tolerance.rtol is not None or tolerance.atol is not None
    ulps = tolerance.ulps if tolerance.ulps is not None else 0.0 if stated else DEFAULT_ULPS
    allowed: Array = ulps * place + (tolerance.atol or 0.0) + (tolerance.rtol or 0.0) * size
    return allowed


def _worst(wrong: Array, ulps: Array, found: Array, expected: Array) -> Comparison:
    scores = np.where(wrong, np.where(np.isnan(ulps), math.inf, ulps + 1), -1.0)
    index = tuple(int(i) for i in np.unravel_index(int(scores.argmax()), scores.shape))
    ours, theirs = found[index], expected[index]
    far = f", {ulps[index]:.3g} ulps away" if expected.dtype.kind == "f" else ""
    problem = (
        f"element {list(index)} is {ours!s}, PyTensor's {theirs!s}{far}; "
        f"{int(wrong.sum())} of {wrong.size} differ"
    )
    return Comparison(problem, float(ulps[index]), index)
