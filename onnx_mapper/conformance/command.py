"""`onnx-mapper test`: the rows of folders and files, tested by their own cases."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from onnx_mapper.conformance.items import Item
from onnx_mapper.conformance.oracle import FAILED, run_item
from onnx_mapper.conformance.report import RowReport, reproduction, versions
from onnx_mapper.conformance.select import selector
from onnx_mapper.conformance.tables import Subject, find_subject

MOST_REPRODUCTIONS = 5


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `test` to the command line."""
    parser = commands.add_parser(
        "test",
        help="test rows by the cases that they carry",
        description="Hold every row against PyTensor, on the cases that it carries.",
    )
    parser.add_argument(
        "paths", nargs="*", metavar="FOLDER", help="folders or files of rows; default: all shipped"
    )
    parser.add_argument("-k", metavar="EXPR", default="", help="only items whose id matches")
    parser.add_argument("--full", action="store_true", help="whole grids, not samples of them")
    parser.add_argument("--mutants", action="store_true", help="also lie about the rows")
    parser.add_argument("--json", metavar="FILE", help="write the results as JSON")
    parser.add_argument("-v", "--verbose", action="store_true", help="show every failing item")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; return 0 when everything passed, and 1 otherwise."""
    subject = find_subject(arguments.paths)
    for error in subject.left_out:
        print(f"left out: {error}", file=sys.stderr)
    chosen = selector(arguments.k) if arguments.k else lambda name: True
    selected = {
        title: kept
        for title, items in subject.items(arguments.full).items()
        if (kept := [item for item in items if chosen(item.id)])
    }
    if not selected:
        print("no item matches", file=sys.stderr)
        return 1
    reports = _run_items(subject, selected, arguments.verbose)
    if arguments.json:
        data = {"versions": versions(), "rows": [report.data() for report in reports]}
        Path(arguments.json).write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    return int(any(report.count(FAILED) for report in reports))


def _run_items(
    subject: Subject, selected: dict[str, list[Item]], verbose: bool
) -> list[RowReport]:
    reports = []
    total, done = sum(map(len, selected.values())), 0
    titles = subject.titles()
    for title, items in selected.items():
        outcomes = []
        for item in items:
            outcomes.append((item, run_item(item, subject.table)))
            done += 1
            _progress(done, total, item.id)
        report = RowReport(titles[title], tuple(outcomes))
        _clear()
        failed = [pair for pair in outcomes if pair[1].status == FAILED]
        for item, outcome in failed if verbose else failed[:MOST_REPRODUCTIONS]:
            print(reproduction(item, outcome) + "\n")
        if len(failed) > MOST_REPRODUCTIONS and not verbose:
            print(f"… and {len(failed) - MOST_REPRODUCTIONS} more; -v shows all\n")
        print(report.line())
        reports.append(report)
    return reports


def _progress(done: int, total: int, name: str) -> None:
    if sys.stderr.isatty():
        filled = 20 * done // total
        bar = "█" * filled + "·" * (20 - filled)
        print(f"\r{bar} {done}/{total} {name[:70]:70}", end="", file=sys.stderr, flush=True)


def _clear() -> None:
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
