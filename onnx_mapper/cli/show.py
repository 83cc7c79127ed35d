"""What commands print: tables that fit the terminal, plain text elsewhere, and JSON."""

from __future__ import annotations

import json
import sys
from typing import Any

from onnx_mapper.text_table import TextTable

try:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text
except ImportError:  # an extra
    Console = None  # type: ignore[assignment, misc]

GOOD = {"ok", "mapped", "pattern"}
BAD = {"refused", "not installed", "not loaded", "says little"}


def show_table(table: TextTable) -> None:
    """Print a table: with wrapped cells and colours on a terminal that rich knows, else plain."""
    if Console is None or not sys.stdout.isatty():
        print(table)
        return
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for name in table.header:
        drawn.add_column(name, overflow="fold")
    for row in table.rows:
        drawn.add_row(*(_coloured(str(cell)) for cell in row))
    Console().print(drawn)


def show_json(data: Any) -> None:
    """Print JSON."""
    print(json.dumps(data, indent=1))


def _coloured(cell: str) -> Any:
    return Text(cell, style="green" if cell in GOOD else "red" if cell in BAD else "")
