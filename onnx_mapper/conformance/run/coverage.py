"""Which formulas an export evaluates: a lie about one that is never evaluated changes nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

from onnx_mapper.language.scope import Definition, Formula, Scope, Statement
from onnx_mapper.rows import model
from onnx_mapper.rows.table import Table

Mark = int


def mark_of(owner: str, text: str) -> Mark:
    """Return what stands for a formula: whose it is, and what it says."""
    return int.from_bytes(blake2b(f"{owner}\n{text}".encode(), digest_size=8).digest(), "big")


def traced(table: Table, seen: set[Mark]) -> Table:
    """Return a table whose formulas leave their mark when they are evaluated.

    Args:
        table: The table.
        seen: Receives the marks.
    """
    rows = {id(row): _marking(row, row.title, seen) for row in table.rows}
    definitions = {
        name: _marking(definition, name, seen)
        for name, definition in table.language.definitions.items()
    }
    return dataclasses.replace(
        table,
        rows=tuple(rows.values()),
        patterns=tuple(_marking(row, row.title, seen) for row in table.patterns),
        by_class={
            path: tuple(rows.get(id(row), row) for row in same)
            for path, same in table.by_class.items()
        },
        language=dataclasses.replace(table.language, definitions=definitions),
    )


def _marking(part: Any, owner: str, seen: set[Mark]) -> Any:
    """Return a part of a row with every formula in it replaced by one that leaves a mark."""
    if isinstance(part, Formula):
        compute = _leaving_mark(part.compute, mark_of(owner, part.text), seen)
        return dataclasses.replace(part, compute=compute)
    if type(part) is tuple:
        return tuple(_marking(item, owner, seen) for item in part)
    if isinstance(part, Definition | Statement) or type(part).__module__ == model.__name__:
        changed = {
            field.name: _marking(getattr(part, field.name), owner, seen)
            for field in dataclasses.fields(part)
            if field.name not in ("source", "origin", "cases", "deviations", "equivalent")
        }
        return dataclasses.replace(part, **changed)
    return part


def _leaving_mark(
    compute: Callable[[Scope], Any], mark: Mark, seen: set[Mark]
) -> Callable[[Scope], Any]:
    def marking(scope: Scope) -> Any:
        seen.add(mark)
        return compute(scope)

    return marking
