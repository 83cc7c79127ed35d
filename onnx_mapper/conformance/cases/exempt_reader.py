"""`deviations:` and `avoid:`, as written, to frozen dataclasses or a RowError."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from onnx_mapper.conformance.cases.model import Case, Exempt, InputSpec
from onnx_mapper.conformance.graphs.conditions import FUNCTIONS
from onnx_mapper.conformance.graphs.language import GraphFormula, parse_graph
from onnx_mapper.errors import RowError
from onnx_mapper.language.formula import parse_formula
from onnx_mapper.rows.model import Row

ALWAYS_NAMED = frozenset({"opset", "shapes", "pytensor", "inf", "nan", "pi", "e"})


def is_about_installed(source: Mapping[str, Any]) -> bool:
    """Tell whether an entry is about the installed PyTensor."""
    import pytensor

    return is_about(source, pytensor.__version__)


def is_about(source: Mapping[str, Any], release: str) -> bool:
    """Tell whether an entry is about a PyTensor release.

    `pytensor: 2` stands for all of 2.x, `<3.1` and `>=3.1` for the releases before and from 3.1 on.
    """
    asked = source.get("pytensor")
    if asked is None:
        return True
    if asked.startswith("<"):
        return not _is_from(release, asked[1:])
    if asked.startswith(">="):
        return _is_from(release, asked[2:])
    return f"{release}.".startswith(f"{asked}.")


def _is_from(version: str, first: str) -> bool:
    wanted = [int(part) for part in first.split(".")]
    numbers = [int(part) for part in re.findall(r"\d+", version)[: len(wanted)]]
    return numbers >= wanted


def read_deviation(
    row: Row, source: Mapping[str, Any], keys: tuple[str | int, ...], cases: Sequence[Case]
) -> Exempt:
    """Read an entry of `deviations:`.

    Raises:
        RowError: When it is about a case or a name that does not exist.
    """
    name = source.get("case")
    about = [case for case in cases if name in (None, case.name)]
    if not about:
        listed = ", ".join(case.name for case in cases if case.name) or "none has a name"
        raise RowError(row.locate(*keys, "case"), f"no case is named {name!r}; there are: {listed}")
    names = {key for case in about for key, _ in (*case.grid, *case.dtypes, *case.sizes)}
    specs = {spec.name: spec for case in about for spec in case.inputs}
    exempt = read_exempt(row, source, keys, tuple(specs.values()), frozenset(names))
    return replace(exempt, case=name)


def read_exempt(
    row: Row,
    source: Mapping[str, Any],
    keys: tuple[str | int, ...],
    specs: Sequence[InputSpec],
    names: frozenset[str],
) -> Exempt:
    """Read `when` and `where`.

    Raises:
        RowError: When they read a name that does not exist.
    """
    when = where = None
    static = names | ALWAYS_NAMED
    known = static | {spec.name for spec in specs}
    if "when" in source:
        when = parse_formula(source["when"], row.locate(*keys, "when"))
        for name in sorted(when.names - static):
            listed = ", ".join(sorted(static))
            raise RowError(when.place, f"{name!r} is not defined; there are: {listed}")
    if "where" in source:
        where = parse_graph(source["where"], row.locate(*keys, "where"))
        where = with_known_names(where, known | frozenset(FUNCTIONS))
    return Exempt(when, where, source["because"], row.locate(*keys))


def with_known_names(graph: GraphFormula, known: frozenset[str]) -> GraphFormula:
    """Return an expression that reads known names only.

    Raises:
        RowError: When it reads another one.
    """
    for name in sorted(graph.names - known):
        listed = ", ".join(sorted(known))
        raise RowError(graph.place, f"{name!r} is not defined; there are: pt, scalar, op, {listed}")
    return graph
