"""Which row serves an op: of its class, or of the nearest base; and whether it fits the class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from onnx_mapper.errors import RefusedHere, RowError
from onnx_mapper.language.scope import Scope
from onnx_mapper.language.values import as_static, describe
from onnx_mapper.mapping.site import Site
from onnx_mapper.rows.fit import (
    NoDefault,
    default_of,
    is_same,
    unread_problem,
    versions,
)
from onnx_mapper.rows.model import Row
from onnx_mapper.rows.op_classes import class_path
from onnx_mapper.rows.table import Table


class Choice:
    """Finds the row for each op, and remembers what of its class is new.

    Args:
        table: The rows.
        strict: Whether to refuse an op whose class has an attribute that its row doesn't know,
            also where the attribute stands at its default.
    """

    def __init__(self, table: Table, strict: bool) -> None:
        self._table = table
        self._strict = strict
        self._drifts: dict[str, None] = {}

    @property
    def drifts(self) -> tuple[str, ...]:
        """What is new in the classes that were met, and was taken as before."""
        return tuple(self._drifts)

    def row_for(self, site: Site, scope_of: Callable[[Row, Site], Scope]) -> Row:
        """Return the row for an op: of its class, or of the nearest base that serves it.

        Where the class's own row doesn't fit the class, its inner graph says as much.

        Args:
            site: The op.
            scope_of: Makes the scope in which a row's `choose` is evaluated.

        Raises:
            RefusedHere: When no row serves it, or none that fits its class.
            RowError: When a user's row doesn't fit, or two rows hold together.
        """
        path = class_path(type(site.op))
        unfit: list[str] = []
        for rows in self._table.candidates(type(site.op)):
            problems = {row.title: self._misfit(row, site.op) for row in rows}
            usable = [row for row in rows if not problems[row.title] and (row.inline or not unfit)]
            chosen = [
                row for row in usable if row.choose is None or row.choose.holds(scope_of(row, site))
            ]
            if len(chosen) == 1:
                self._note_drift(chosen[0], site.op)
                return chosen[0]
            if chosen:
                raise RowError(
                    chosen[1].locate("choose"),
                    f"holds together with the row at {chosen[0].place}: they must exclude each "
                    "other",
                )
            unfit += [problem for problem in problems.values() if problem]
            if not unfit:
                tried = [f"{row.at} needs {row.choose.text}" for row in rows if row.choose]
                raise RefusedHere(f"no row of {path} fits: {'; '.join(tried)}")
        if unfit:
            raise RefusedHere("; ".join(dict.fromkeys(unfit)))
        raise RefusedHere(
            f"no row maps {path}; add one to a folder and pass mappings=[folder], "
            "or rewrite the graph without it",
            always=True,
        )

    def _misfit(self, row: Row, op: Any) -> str:
        """Return why a shipped row does not hold for an op of this PyTensor; nothing if it does.

        Raises:
            RowError: When it is the user's row, and its class came or changed since it was read.
        """
        fit = self._table.fit(row, type(op))
        for misfit in fit.misfits:
            if not row.shipped:
                raise RowError(misfit.place, f"{row.name} {misfit.problem}")
            return f"{row.name} {misfit.problem} ({misfit.place}); {versions()}"
        for name in fit.unread:
            if not row.shipped:
                raise RowError(row.place, unread_problem(row, name))
            value = getattr(op, name, None)
            default = default_of(type(op), name)
            usual = default is not NoDefault and is_same(value, default)
            if self._strict or not usual:
                return (
                    f"{row.name}.{name} is {describe(as_static(value))}"
                    f"{', as by default' if usual else ''}, and the row at {row.at} does "
                    f"not know this attribute; {versions()}"
                )
        return ""

    def _note_drift(self, row: Row, op: Any) -> None:
        """Remember attributes that came after the row was written, and stand at their defaults."""
        for name in self._table.fit(row, type(op)).unread:
            value = describe(as_static(getattr(op, name, None)))
            self._drifts[
                f"{row.name}.{name} is new. It is {value}, as by default, so the op is taken as "
                f"before ({row.at}); {versions()}"
            ] = None
