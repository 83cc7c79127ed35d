"""Tables for people, aligned as plain text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class TextTable:
    """Rows under a header; print it.

    Attributes:
        header: The columns' names.
        rows: The cells, as many in each row as there are columns.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[object]]

    def __str__(self) -> str:
        return table(self.header, self.rows)


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Lay out rows under a header, columns aligned, the last one free.

    Example:
        >>> print(table(("op", "count"), [("Conv", 2)]))
        op    count
        Conv  2
    """
    lines = [list(map(str, row)) for row in (header, *rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
