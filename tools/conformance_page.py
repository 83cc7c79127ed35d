"""Write docs/conformance-<line>.md from what `onnx-mapper test --mutants --json FILE` found.

    python tools/conformance_page.py FILE

`make conformance` does both for each PyTensor line; tests/test_conformance_page.py holds the page
to the rows.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytensor

DOCS = Path(__file__).parent.parent / "docs"

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
    lines.append("\n## Definitions that rows share\n")
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


def main(arguments: list[str]) -> int:
    """Write the page; return the exit status."""
    (report,) = arguments
    found = json.loads(Path(report).read_text(encoding="utf-8"))
    path = DOCS / f"conformance-{pytensor.__version__}.md"
    path.write_text(page(found), encoding="utf-8")
    print(f"wrote {path.relative_to(DOCS.parent)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
