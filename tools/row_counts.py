"""Count what makes rows long or hard to read, in the shipped mapping files.

    python tools/row_counts.py

Own lines of a row are those of its entry without its cases, deviations and equivalent mutants.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from onnx_mapper.language.formula import node_calls
from onnx_mapper.language.scope import Formula
from onnx_mapper.rows.model import Row, formulas_of
from onnx_mapper.rows.table import Table, load_table

MAPPINGS = Path(__file__).parent.parent / "mappings"
LONG_FORMULA = 160
LONGEST_LINE = 120
SHORT_ROW = 10
DECIMAL = re.compile(r"-?\d+\.\d+(e-?\d+)?(, )?")
CONFORMANCE_KEYS = ("every_case", "cases", "deviations", "equivalent")


def formulas(table: Table) -> Iterator[Formula]:
    """Yield every formula of the rows and definitions, each once."""
    found: dict[tuple[str, int, str, str], Formula] = {}
    for row in table.rows:
        for formula in (*formulas_of(row), *(f for s in row.body for f in s.formulas)):
            found[*_spot(formula), formula.text] = formula
    for definition in table.language.definitions.values():
        for statement in definition.body:
            for formula in statement.formulas:
                if not formula.place.path.startswith("numbers/"):
                    found[*_spot(formula), formula.text] = formula
    yield from found.values()


def _spot(formula: Formula) -> tuple[str, int, str]:
    return formula.place.file, formula.place.line, formula.place.path


def has_nested_conditional(tree: ast.expr) -> bool:
    """Tell whether a condition chooses between expressions of which one chooses again."""
    return any(
        isinstance(inner, ast.IfExp)
        for outer in ast.walk(tree)
        if isinstance(outer, ast.IfExp)
        for part in (outer.body, outer.orelse)
        for inner in [part]
    )


def lines_of(key_prefixes: tuple[str, ...]) -> int:
    """Count the lines of the mapping files that belong to entries under some keys."""
    count = 0
    for path in sorted(MAPPINGS.glob("*.yaml")):
        depth: int | None = None
        for line in path.read_text(encoding="utf-8").splitlines():
            indent = len(line) - len(line.lstrip())
            if depth is not None and line.strip() and indent <= depth:
                depth = None
            if depth is None and line.strip().rstrip(":").partition(":")[0] in key_prefixes:
                depth = indent
            count += depth is not None
    return count


def own_lines(row: Row) -> int:
    """Count the lines of a row's own entry without what tests it."""
    text = (MAPPINGS / row.place.file).read_text(encoding="utf-8").splitlines()
    start = row.place.line - 1
    indent = len(text[start]) - len(text[start].lstrip())
    count, hidden = 0, None
    for number, line in enumerate(text[start:]):
        own = len(line) - len(line.lstrip())
        ends = line.strip() and (
            own <= indent if not line.lstrip().startswith("- ") or number else False
        )
        if number and ends:
            break
        if hidden is not None and line.strip() and own <= hidden:
            hidden = None
        if hidden is None and line.strip().partition(":")[0] in CONFORMANCE_KEYS:
            hidden = own
        count += bool(line.strip()) and hidden is None and not line.strip().startswith("#")
    return count


def main() -> int:
    """Print the counts; return the exit status."""
    table = load_table()
    every = list(formulas(table))
    lines = [
        line
        for path in MAPPINGS.glob("*.yaml")
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    mapped = [row for row in table.rows if not row.refuse]
    short = sum(own_lines(row) <= SHORT_ROW for row in mapped)
    loops = sum(call.func.id == "Loop" for f in every for call in node_calls(f.tree))  # type: ignore[attr-defined]
    for what, number in (
        ("formulas", len(every)),
        ("formulas with nested conditionals", sum(has_nested_conditional(f.tree) for f in every)),
        (
            f"formulas over {LONG_FORMULA} characters",
            sum(len(f.text) > LONG_FORMULA for f in every),
        ),
        (
            f"formulas over {LONG_FORMULA} characters, decimal numbers not counted",
            sum(len(DECIMAL.sub("", f.text)) > LONG_FORMULA for f in every),
        ),
        ("loops written by hand", loops),
        (f"lines over {LONGEST_LINE} characters", sum(len(line) > LONGEST_LINE for line in lines)),
        ("lines", len(lines)),
        ("lines of cases, deviations and equivalent mutants", lines_of(CONFORMANCE_KEYS)),
        ("mapping rows", len(mapped)),
        (
            f"mapping rows of at most {SHORT_ROW} own lines, in %",
            round(100 * short / len(mapped), 1),
        ),
    ):
        print(f"{number:>7}  {what}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
