"""Two arrays, element by element: the worst one, and how many ulps lie between."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from onnx_mapper.language.arrays import Array

RTOL = {"float16": 1e-2, "float32": 1e-4, "float64": 1e-9}
RTOL_NARROWED = {"": 0.0, "float32": 1e-3, "float16": 1e-2, "bfloat16": 5e-2}
"""Of models that compute in a dtype, or hold their weights in it, where the function has more digits."""


@dataclass(frozen=True)
class Difference:
    """How far an output of ONNX Runtime is from PyTensor's.

    Attributes:
        name: The output's name.
        ok: Whether dtype and shape are equal and every element is close.
        problem: What is wrong, in words; empty where nothing is.
        where: Index of the worst element, or what differs as a whole.
        found: ONNX Runtime's value there.
        expected: PyTensor's value there.
        ulps: Distance of the two, in units in the last place of the expected value.
        count: How many elements there are.
        finite: How many of the expected ones are finite numbers.
        range: The least and the largest of these; empty where there are none.
    """

    name: str
    ok: bool
    problem: str
    where: str = ""
    found: str = ""
    expected: str = ""
    ulps: float = 0.0
    count: int = 0
    finite: int = 0
    range: tuple[float, ...] = ()

    @property
    def ulps_text(self) -> str:
        """The distance for people: whole ulps, few digits."""
        return f"{self.ulps:.3g}"


def tolerance_of(
    array: Array, rtol: float | None, atol: float | None, narrowed: str
) -> tuple[float, float | None]:
    """Return relative and absolute tolerance for an array; exact where it is no float.

    Args:
        array: A model's.
        rtol: The user's.
        atol: The user's.
        narrowed: The dtype with fewer digits that the model computes in; empty for none.
    """
    if array.dtype.kind != "f":
        return 0.0, 0.0
    default = max(RTOL_NARROWED[narrowed], RTOL[array.dtype.name])
    return (default if rtol is None else rtol), atol


def compare_arrays(
    name: str, found: Array, expected: Array, rtol: float, atol: float | None = None
) -> Difference:
    """Compare an output of ONNX Runtime with PyTensor's.

    Args:
        name: What the arrays are called.
        found: ONNX Runtime's, any shape.
        expected: PyTensor's.
        rtol: Largest difference relative to the expected element.
        atol: Largest absolute difference; `rtol` times the largest finite element if None.

    Returns:
        The worst element. NaN equals NaN, an infinity equals itself.

    Example:
        >>> import numpy as np
        >>> compare_arrays("y", np.float32([1, 2]), np.float32([1, 3]), 1e-4).where
        '[1]'
    """
    expected = np.asarray(expected)
    if found.dtype != expected.dtype:
        return Difference(
            name, False, "another dtype", "dtype", found.dtype.name, expected.dtype.name, np.inf
        )
    if found.shape != expected.shape:
        return Difference(
            name, False, "another shape", "shape", str(found.shape), str(expected.shape), np.inf
        )
    if found.size == 0:
        return Difference(name, True, "", "none: empty")
    ulps = distance_in_ulps(found, expected)
    worst = np.unravel_index(int(np.argmax(ulps)), ulps.shape)
    close = _close(found, expected, rtol, atol)
    if not close.all():
        apart = np.where(close, -1.0, ulps)
        worst = np.unravel_index(int(np.argmax(apart)), ulps.shape)
    ok = bool(close.all())
    finite = expected[np.isfinite(expected)]
    return Difference(
        name,
        ok,
        "" if ok else f"{int((~close).sum())} of {close.size} elements differ",
        str([int(i) for i in worst]) if worst else "the number",
        str(found[worst]),
        str(expected[worst]),
        float(ulps[worst]),
        expected.size,
        finite.size,
        (float(finite.min()), float(finite.max())) if finite.size else (),
    )


def distance_in_ulps(found: Array, expected: Array) -> Array:
    """Return the distance of each element in units in the last place of the expected one.

    Equal elements, NaN against NaN included, are 0 apart; a number against NaN or infinity is
    infinitely far. Integers and bools are their difference apart.
    """
    if found.dtype.kind != "f":
        equal = found == expected
        apart = np.abs(found.astype("float64") - expected.astype("float64"))
        return np.where(equal, 0.0, np.maximum(apart, 1.0))
    with np.errstate(all="ignore"):
        equal = (found == expected) | (np.isnan(found) & np.isnan(expected))
        wide = np.longdouble
        apart = np.abs(found.astype(wide) - expected.astype(wide))
        ulps = apart / np.spacing(np.abs(expected)).astype(wide)
        finite = np.isfinite(found) & np.isfinite(expected)
        return np.where(equal, 0.0, np.where(finite, ulps, np.inf)).astype("float64")


def _close(found: Array, expected: Array, rtol: float, atol: float | None) -> Array:
    if found.dtype.kind != "f":
        return np.asarray(found == expected)
    if atol is None:
        finite = np.abs(expected[np.isfinite(expected)])
        atol = rtol * float(finite.max()) if finite.size else 0.0
    return np.asarray(np.isclose(found, expected, rtol=rtol, atol=atol, equal_nan=True))
