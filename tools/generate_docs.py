"""Write docs/vocabulary.md, docs/ops/*.md, and coverage and drift pages of the running PyTensor.

Everything comes from the rows, the vocabulary's docstrings and PyTensor's own classes. `--check`
fails where a committed page is stale.
"""

from __future__ import annotations

import csv
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytensor
from first_steps import first_steps_page
from transcripts import command_line_page

from onnx_mapper.checking.drift import Drift, find_drift
from onnx_mapper.language.vocabulary import CALLS, CONSTANTS
from onnx_mapper.rows.model import Row
from onnx_mapper.rows.op_classes import class_path, concrete_op_classes
from onnx_mapper.rows.page import page_of
from onnx_mapper.rows.table import Table, load_table

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
CONSTRAINTS = ROOT / "constraints"
BACKENDS = Path(__file__).with_name("other_backends.csv")
GENERATED = "<!-- Written by tools/generate_docs.py: edit the rows, not this page. -->\n\n"


def pages() -> Iterator[tuple[Path, str]]:
    """Yield every generated page of the running PyTensor line."""
    table = load_table()
    yield DOCS / "vocabulary.md", vocabulary_page()
    for file, rows in sorted(rows_by_file(table).items()):
        yield DOCS / "ops" / f"{Path(file).stem}.md", GENERATED + page_of(file, rows)
    yield DOCS / f"coverage-{pytensor.__version__}.md", coverage_page(table)
    yield DOCS / f"drift-{pytensor.__version__}.md", drift_page(find_drift())
    if pytensor.__version__ == newest():
        yield DOCS / "command_line.md", GENERATED + command_line_page()
        yield DOCS / "first_steps.md", GENERATED + first_steps_page()


def rows_by_file(table: Table) -> dict[str, list[Row]]:
    """Return the rows of each mapping file, patterns among them, in the order of its page."""
    files: dict[str, list[Row]] = {}
    for row in (*table.rows, *table.patterns):
        files.setdefault(row.place.file, []).append(row)
    return files


def newest() -> str:
    """Return the newest PyTensor that the tests run on."""
    lines = [path.stem.removeprefix("pytensor-") for path in CONSTRAINTS.glob("pytensor-*.txt")]
    return max(lines, key=lambda line: [int(part) for part in line.split(".")])


ANSWERERS = {
    "vocabulary": ("Functions", "Computed while exporting, from what is known."),
    "model": ("Questions about the model", "Answered by the model under construction."),
    "graph": ("Questions about the graph", "Answered where the op stands."),
    "language": ("Forms", "Their keywords are names that the first arguments see."),
}


def vocabulary_page() -> str:
    """Return the list of what formulas can call."""
    lines = [GENERATED + "# Vocabulary\n"]
    lines.append(
        "What a [formula](formulas.md) can call beside ONNX's operators and the definitions of"
    )
    lines.append(
        "mapping files. All of it is decided while exporting; functions that Python has go by"
    )
    lines.append("Python's names.\n")
    for answerer, (title, what) in ANSWERERS.items():
        lines.append(f"## {title}\n\n{what}\n\n| call | meaning |\n|---|---|")
        lines.extend(
            f"| `{call.shown}` | {_first_line(call.summary)} |"
            for call in CALLS.values()
            if call.answerer == answerer
        )
        lines.append("")
    names = ", ".join(f"`{name}`" for name in CONSTANTS)
    return "\n".join(lines) + f"\nConstants: {names}.\n"


def _first_line(text: str | None) -> str:
    return " ".join((text or "").strip().split("\n\n")[0].split()).replace("|", "\\|")


@dataclass(frozen=True)
class Covered:
    """What the table says of one Op class."""

    path: str
    state: str
    row: str
    reason: str


def coverage_page(table: Table) -> str:
    """Return the page of every Op class of the running PyTensor."""
    version = pytensor.__version__
    entries = [_covered(table, cls) for cls in concrete_op_classes()]
    counts = Counter(entry.state for entry in entries)
    lines = [GENERATED + f"# PyTensor {version}: every Op class\n"]
    lines.append("| | classes |\n|---|---|")
    lines.extend(f"| {state} | {counts[state]} |" for state in ("converts", "refused", "unknown"))
    lines.append(f"| all | {len(entries)} |\n")
    lines.append("PyTensor's own backends, for comparison: classes that they convert (Numba's")
    lines.append("object-mode fallback not counted).\n")
    lines.append("| backend | classes | of |\n|---|---|---|")
    with BACKENDS.open(encoding="utf-8", newline="") as file:
        lines.extend(
            f"| {entry['backend']} | {entry['converts']} | {entry['classes']} |"
            for entry in csv.DictReader(file)
            if entry["line"] == version
        )
    lines.append("\n| Op | state | row | reason |\n|---|---|---|---|")
    lines.extend(f"| `{e.path}` | {e.state} | {e.row} | {e.reason} |" for e in entries)
    return "\n".join(lines) + "\n"


def _covered(table: Table, cls: type) -> Covered:
    rows = table.rows_for_class(cls)
    path = class_path(cls)
    if not rows:
        return Covered(path, "unknown", "", "")
    refusing = [row for row in rows if row.refuse]
    place = f"{rows[0].place.file}"
    if len(refusing) == len(rows):
        return Covered(path, "refused", place, (rows[0].refuse or "").replace("|", "\\|"))
    return Covered(path, "converts", place, "")


def drift_page(drift: Drift) -> str:
    """Return the page of what does not agree between the rows and the running PyTensor."""
    lines = [GENERATED + f"# PyTensor {drift.release}: rows and classes\n"]
    lines.append("What `onnx-mapper rows --drift` finds here.\n")
    lines.append("| | |\n|---|---|")
    lines.append(f"| rows of a class that is as tested | {drift.as_tested} |")
    lines.extend(f"| {_lowered(title)} | {len(rows)} |" for title, rows in drift.sections())
    lines.append(f"| op classes without a row | {len(drift.unknown)} |")
    for title, rows in drift.sections():
        if rows:
            lines.append(f"\n## {title}\n\n| op | row | |\n|---|---|---|")
            lines.extend(f"| `{r.op}` | {r.row.split(':')[0]} | {r.problem} |" for r in rows)
    if drift.unknown:
        lines.append("\n## Op classes without a row\n")
        lines.extend(f"- `{path}`" for path in drift.unknown)
    return "\n".join(lines) + "\n"


def _lowered(title: str) -> str:
    return title[0].lower() + title[1:]


def main(arguments: list[str]) -> int:
    """Write the pages, or check the committed ones; return the exit status."""
    stale = []
    written = dict(pages())
    for path, text in written.items():
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(path)
        if "--check" not in arguments:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    for path in (DOCS / "ops").glob("*.md"):
        if path not in written:
            stale.append(path)
            if "--check" not in arguments:
                path.unlink()
    if stale and "--check" in arguments:
        names = ", ".join(str(path.relative_to(ROOT)) for path in stale)
        print(f"stale: {names}; run `python tools/generate_docs.py`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
