"""What all cases of a row, a family or a file share, unless they say otherwise."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

NAMED_BY_INPUT = ("domain", "special")


def with_shared(case: Mapping[str, Any], *shared: Mapping[str, Any]) -> dict[str, Any]:
    """Return a case with what its row, its family and its file say of every case.

    A key that the case has itself goes before all of them, whole. What is shared of inputs and of
    free axes holds for those that the case has.

    Args:
        case: The case, as written.
        shared: Keys of cases; earlier ones go before later ones.
    """
    every = merged(*shared).items()
    concerning = [_that_concerns(case, key, value) for key, value in every if key not in case]
    return dict(case) | {key: value for found in concerning for key, value in found.items()}


def merged(*shared: Mapping[str, Any]) -> dict[str, Any]:
    """Return what several levels share: earlier ones go before later ones, name by name."""
    whole: dict[str, Any] = {}
    for keys in reversed(shared):
        for key, value in keys.items():
            named = key in NAMED_BY_INPUT or key == "sizes"
            whole[key] = {**whole.get(key, {}), **value} if named else value
    return whole


def unused_names(shared: Mapping[str, Any], cases: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the inputs and free axes, as `domain/x`, that something shared names and no case has."""
    written = [case["inputs"] for case in cases if case.get("inputs") is not None]
    whole = len(written) < len(cases)
    for key in (*NAMED_BY_INPUT, "sizes"):
        known = {name for inputs in written for name in _known(inputs, key)}
        yield from (
            f"{key}/{name}" for name in shared.get(key, {}) if not whole and name not in known
        )


def _that_concerns(case: Mapping[str, Any], key: str, value: Any) -> dict[str, Any]:
    inputs = case.get("inputs")
    if inputs is None or (key not in NAMED_BY_INPUT and key != "sizes"):
        return {key: value}
    kept = {name: found for name, found in value.items() if name in _known(inputs, key)}
    return {key: kept} if kept else {}


def _known(inputs: Mapping[str, str], key: str) -> set[str]:
    """Return the inputs, or for `sizes` the names in their axes."""
    if key in NAMED_BY_INPUT:
        return set(inputs)
    axes = (text.partition("[")[2] for text in inputs.values())
    return {name for text in axes for name in re.findall(r"[A-Za-z_]\w*", text)}
