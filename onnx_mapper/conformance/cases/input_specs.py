"""`T[n,4]`: an input's dtype and shape, as a case writes them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from onnx_mapper.conformance.cases.dtypes import SHORT
from onnx_mapper.conformance.cases.model import InputSpec
from onnx_mapper.errors import Place, RowError
from onnx_mapper.language.formula import parse_formula
from onnx_mapper.language.values import DTYPES

LETTER = re.compile(r"^[A-Z]\w*$")
_INPUT = re.compile(r"^\s*(\w+)\s*(?:\[(.*)\])?\s*$", re.DOTALL)


def parse_input(
    name: str, text: str, grid: frozenset[str], axes: frozenset[str], fixed: bool, place: Place
) -> InputSpec:
    """Read an input's dtype and shape.

    Args:
        name: The input's name.
        text: Such as `T[n,4//groups]`, `f32[2,3]` or `int64`.
        grid: The names of the grid.
        axes: The free axis names, which stand alone in some input.
        fixed: Whether its shape stays known where shapes are symbolic.
        place: Where it stands.

    Raises:
        RowError: When it is no such text.

    Example:
        >>> spec = parse_input("x", "f32[2,3]", frozenset(), frozenset(), False, Place("a.yaml"))
        >>> spec.dtype, [dim.text for dim in spec.dims]
        ('float32', ['2', '3'])
    """
    match = _INPUT.match(text)
    if not match:
        raise RowError(place, f"{text!r} must look like float32[2,3], T[n,4] or T")
    dtype = SHORT.get(match.group(1), match.group(1))
    if dtype not in DTYPES and not LETTER.match(dtype):
        listed = ", ".join((*DTYPES, *SHORT))
        raise RowError(place, f"{dtype!r} is no dtype and no letter like T; dtypes are: {listed}")
    dims = tuple(parse_formula(part, place) for part in _dims(text))
    for dim in dims:
        for free in dim.names - grid:
            if dim.text != free and free not in axes:
                raise RowError(
                    place, f"{free!r} is no grid name; a free axis name stands alone in one input"
                )
    return InputSpec(name, dtype, dims, fixed)


def axis_names(inputs: Mapping[str, str]) -> frozenset[str]:
    """Return the names that stand alone as an axis of some input."""
    parts = [part for text in inputs.values() for part in _dims(text)]
    return frozenset(part for part in parts if re.fullmatch(r"[a-z]\w*", part))


def free_names(specs: Sequence[InputSpec], grid: frozenset[str]) -> list[str]:
    """Return the names in shapes that are no names of the grid, in order."""
    found: dict[str, None] = {}
    for spec in specs:
        for dim in spec.dims:
            found |= dict.fromkeys(sorted(dim.names - grid))
    return list(found)


def same_free_axis(specs: Sequence[InputSpec], free: Sequence[str]) -> bool:
    """Tell whether all inputs are vectors of one free length."""
    return len(free) == 1 and all([d.text for d in spec.dims] == list(free) for spec in specs)


def _dims(text: str) -> list[str]:
    """Return the sizes that are written between the brackets, split at commas outside of calls."""
    match = _INPUT.match(text)
    parts, depth = [""], 0
    for letter in (match.group(2) or "") if match else "":
        depth += (letter in "([") - (letter in ")]")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]
