"""Write docs/conformance-<line>.md from what `onnx-mapper test --mutants --json FILE` found.

    python tools/conformance_page.py [--check] FILE

`make conformance` does both for each PyTensor line; tests/test_conformance_page.py holds the page
to the rows. With `--check` the page stays as it is, and the exit status is 1 where the run found
something else than the page tells, but for versions and worst errors, which depend on the machine,
for numbers of lies where not all of them were told, and for numbers of items of cases that were run
at one opset alone.
"""

from __future__ import annotations

import difflib
import json
import sys
from pathlib import Path
from typing import Any

import pytensor

DOCS = Path(__file__).parent.parent / "docs"

ROW_CELLS = 8
"""Cells of a line of the table of rows."""

DEFINITIONS = "## Definitions that rows share"
ITEMS_TOTAL = "| items that follow PyTensor"
LIES_TOTAL = ("| mutants noticed", "| of them by a crash", "| equivalent", "| survivors")

INTRODUCTION = """\
What `onnx-mapper test --mutants` found over all shipped rows. An item is one graph: a row's op with certain
attributes, dtypes, opset and known or open sizes, on many numbers. Its model must give PyTensor's dtype, shape
and numbers; the error is that of the worst number, in units of the last place of the result's dtype (of the
output's largest number where the row asks for that; 0 where an absolute tolerance covers it). "In float32"
counts items whose float64 ONNX Runtime computes in float32, with a warning; "deviations" counts known ones,
which are checked to be still there. A mutant is the row with one thing changed. Each should be noticed by an
item by a comparison or a refusal, never by an error of Python's or a dead process; those that can't make a
difference are equivalent, and the row says why; survivors are those that no item notices.
"""


UNLIKE = """\
Here only those rows were lied about whose class or cases are others than on PyTensor {release}, and
definitions that no other row uses: the same lies about the same classes are noticed by the same cases
[there](conformance-{release}.md). `make mutants` lies about all rows on all lines.
"""


def page(found: dict[str, Any]) -> str:
    """Return the page as Markdown."""
    rows, mutants = found["rows"], {entry["subject"]: entry for entry in found["mutants"]}
    titles = {row["row"] for row in rows}
    lines = [
        "<!-- Written by tools/conformance_page.py: run `make conformance`. -->\n",
        f"# Conformance on PyTensor {pytensor.__version__}\n",
        INTRODUCTION,
        *([UNLIKE.format(release=found["unlike"])] if found.get("unlike") else []),
        f"{found['versions']}.\n",
        "| | |\n|---|---|",
        f"| rows | {len(rows)} |",
        f"| items that follow PyTensor | {sum(row['passed'] for row in rows):,} |",
        f"| items that do not | {sum(row['failed'] for row in rows):,} |",
        f"| mutants noticed | {sum(entry['killed'] for entry in mutants.values()):,} |",
        f"| of them by a crash of onnx-mapper | {sum(len(entry['crashed']) for entry in mutants.values()):,} |",
        f"| equivalent | {sum(len(entry['equivalent']) for entry in mutants.values()):,} |",
        f"| survivors | {sum(len(entry['survived']) for entry in mutants.values()):,} |\n",
        "## Rows\n",
        "| row | items | worst error | in float32 | deviations | mutants | equivalent | survivors |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        entry = mutants.get(row["row"])
        counts = [row["passed"], f"{row['worst_ulps']:.3g}", row["narrowed"], row["deviations"]]
        lines.append(_line(row["row"], [*counts, *_mutants(entry)]))
    lines.append(f"\n{DEFINITIONS}\n")
    lines += ["| definition | mutants | equivalent | survivors |", "|---|---|---|---|"]
    for title in sorted(set(mutants) - titles):
        lines.append(_line(title, _mutants(mutants[title])))
    return "\n".join(lines) + "\n"


def _mutants(entry: dict[str, Any] | None) -> list[Any]:
    if entry is None:
        return ["", "", ""]
    equivalent, survived = len(entry["equivalent"]), len(entry["survived"])
    return [entry["killed"] + equivalent + survived, equivalent, survived]


def _line(title: str, cells: list[Any]) -> str:
    shown = [str(cell) if cell else "" for cell in cells]
    return f"| `{title}` | {' | '.join(shown)} |"


def differences(
    before: str, after: str, every_lie: bool = True, every_opset: bool = True
) -> list[str]:
    """Return the lines that tell something else, as a diff.

    Args:
        before: The page.
        after: The page that a run would write.
        every_lie: Whether numbers of lies are compared.
        every_opset: Whether numbers of items are.
    """
    ours, theirs = (_comparable(text, every_lie, every_opset) for text in (before, after))
    lines = difflib.unified_diff(ours, theirs, lineterm="", n=0)
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


def _comparable(text: str, every_lie: bool, every_opset: bool) -> list[str]:
    """Return the lines of a page without what depends on the machine, or on how much was run."""
    rows = []
    if not every_lie:
        text = text.partition(DEFINITIONS)[0]
    for line in text.splitlines():
        cells = line.split(" | ")
        if line.startswith("| `") and len(cells) == ROW_CELLS:
            cells[2] = ""
            cells[1:2], cells[3:5] = (cells[1:2], cells[3:5]) if every_opset else ([""], ["", ""])
            cells = cells if every_lie else cells[:5]
        if not every_lie and line.startswith(LIES_TOTAL):
            continue
        if not every_opset and line.startswith(ITEMS_TOTAL):
            continue
        rows.append("" if line.startswith("onnx-mapper ") else " | ".join(cells))
    return rows


def main(arguments: list[str]) -> int:
    """Write or check the page; return the exit status."""
    *flags, report = arguments
    found = json.loads(Path(report).read_text(encoding="utf-8"))
    path = DOCS / f"conformance-{pytensor.__version__}.md"
    if flags == ["--check"]:
        every_lie = found.get("one_in", 1) == 1
        before, every_opset = path.read_text(encoding="utf-8"), not found.get("one_opset")
        told = differences(before, page(found), every_lie, every_opset)
        print("\n".join([f"{path.name} is stale: run `make conformance`", *told]) if told else "")
        return int(bool(told))
    path.write_text(page(found), encoding="utf-8")
    print(f"wrote {path.relative_to(DOCS.parent)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
