"""`onnx-mapper test`: the rows of folders and files, tested by their own cases."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence

from onnx_mapper.cli.options import Commands, add_command
from onnx_mapper.conformance.mutants.runs import (
    SURVIVED,
    WRONG,
    Lies,
    Verdicts,
    mutant_jobs,
    run_mutants,
)
from onnx_mapper.conformance.mutants.unlike import rows_unlike
from onnx_mapper.conformance.reproduction import versions
from onnx_mapper.conformance.run.items import Item
from onnx_mapper.conformance.run.oracle import PASSED
from onnx_mapper.conformance.runner import RowResult, run_rows
from onnx_mapper.conformance.select import selector
from onnx_mapper.conformance.subject import Subject, find_subject
from onnx_mapper.model.file import check_target, save_text
from onnx_mapper.opsets import DEFAULT_OPSET
from onnx_mapper.progress import Progress
from onnx_mapper.rows.fit import why_inactive
from onnx_mapper.user_code import add_import_option, import_ops

MOST_REPRODUCTIONS = 5


def add_parser(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add `test` to the command line."""
    parser = add_command(
        commands, "test", "hold rows against PyTensor, on the cases that they carry", run
    )
    parser.add_argument(
        "paths", nargs="*", metavar="FOLDER", help="folders or files of rows; default: all shipped"
    )
    parser.add_argument("-k", metavar="EXPR", default="", help="only items whose id matches")
    add_import_option(parser)
    parser.add_argument(
        "--full",
        action="store_true",
        help="whole grids, and all items against lies that are declared equivalent; not samples",
    )
    parser.add_argument(
        "--one-opset",
        action="store_true",
        help=f"each case at one opset alone: {DEFAULT_OPSET}, or the first that it has; with --unlike "
        "those of such rows at all",
    )
    parser.add_argument("--mutants", action="store_true", help="also lie about the rows")
    parser.add_argument(
        "--unlike",
        metavar="RELEASE",
        help="lie only about rows whose class or cases are others than on this tested PyTensor",
    )
    parser.add_argument(
        "--one-in",
        type=_sample,
        default=1,
        metavar="N",
        help="tell one in N of the lies, always the same one",
    )
    parser.add_argument("--json", metavar="FILE", help="write the results as JSON")
    parser.add_argument(
        "-j",
        "--jobs",
        type=_jobs,
        default=os.cpu_count() or 1,
        metavar="N",
        help="processes to use",
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="show every failing item")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; return 0 when everything passed, and 1 otherwise."""
    target = check_target(arguments.json) if arguments.json else None
    import_ops(arguments.imports)
    subject = find_subject(arguments.paths)
    for error in subject.left_out:
        print(f"left out: {error}", file=sys.stderr)
    chosen = selector(arguments.k)
    titles = subject.titles()
    every_opset = _rows_at_every_opset(subject, arguments)
    selected = {
        titles[title]: kept
        for title, items in subject.items(arguments.full).items()
        if (
            kept := [
                item
                for item in items
                if chosen(item.id) and (title in every_opset or item.is_at_first_opset)
            ]
        )
    }
    for inactive in subject.inactive if arguments.paths else ():
        print(f"left out: {inactive.place}: {why_inactive(inactive)}", file=sys.stderr)
    if not selected:
        print("no item matches" if arguments.k else "there is nothing to test", file=sys.stderr)
        return 1
    progress = Progress(sum(map(len, selected.values())))
    rows = run_rows(
        selected,
        subject.table,
        arguments.jobs,
        lambda result: progress.step(result.id),
        lambda row: _show(row, progress, arguments.verbose),
        marking=arguments.mutants,
    )
    progress.clear()
    lies: list[Verdicts] = []
    if arguments.mutants:
        lies = _lie(subject, selected, rows, chosen, arguments)
    if target is not None:
        data = {
            "versions": versions(),
            "unlike": arguments.unlike,
            "one_in": arguments.one_in,
            "one_opset": arguments.one_opset,
            "rows": [row.data() for row in rows],
            "mutants": [verdicts.data() for verdicts in lies],
        }
        save_text(json.dumps(data, indent=1) + "\n", target)
    failed = [row for row in rows if row.failures]
    empty = [row for row in rows if not row.count(PASSED) and not row.failures and not arguments.k]
    for row in empty:
        print(f"{row.title}: PyTensor has none of the graphs of its cases")
    print(
        f"{len(rows)} rows, {sum(row.count(PASSED) for row in rows)} items passed, "
        f"{sum(len(row.failures) for row in rows)} failed in {len(failed)} rows"
    )
    for row in failed:
        print(f"  FAILED {row.title}")
    crashed = sum(len(verdicts.crashes) for verdicts in lies)
    unnoticed = sum(len(v.of(SURVIVED)) + len(v.of(WRONG)) for v in lies)
    if arguments.mutants:
        total = sum(len(verdicts.verdicts) for verdicts in lies)
        print(
            f"{total} mutants, {unnoticed} survived or wrongly declared equivalent, "
            f"{crashed} ended by a crash"
        )
        for headline in (line for verdicts in lies for line in verdicts.headlines()):
            print(f"  {headline}")
    return int(bool(failed or empty or unnoticed or crashed))


def _rows_at_every_opset(subject: Subject, arguments: argparse.Namespace) -> Collection[str]:
    """Return the rows whose cases are run at all their opsets."""
    if not arguments.one_opset:
        return {row.title for row in subject.rows}
    return rows_unlike(subject.rows, arguments.unlike) if arguments.unlike else ()


def _jobs(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} processes can't be; 0 stays in this one")
    return int(text)


def _sample(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"one in {text} is none; one in 1 is every lie")
    return int(text)


def _lie(
    subject: Subject,
    selected: Mapping[str, Sequence[Item]],
    rows: Sequence[RowResult],
    chosen: Callable[[str], bool],
    arguments: argparse.Namespace,
) -> list[Verdicts]:
    """Lie about the selected rows, and about the definitions that they use."""
    passed = {result.id: result.marks for row in rows for result in row.results if result.passed}
    noticing = {
        title: [(item, passed[item.id]) for item in items if item.id in passed]
        for title, items in selected.items()
    }
    lies = Lies(arguments.unlike, arguments.one_in, arguments.full)
    jobs = mutant_jobs(subject, noticing, chosen, lies)
    progress = Progress(sum(map(len, jobs)))

    def show(verdicts: Verdicts) -> None:
        progress.clear()
        for story in verdicts.stories():
            print(f"{story}\n")
        print(verdicts.line(), flush=True)

    found = run_mutants(jobs, arguments.jobs, progress.step, show)
    progress.clear()
    return found


def _show(row: RowResult, progress: Progress, verbose: bool) -> None:
    progress.clear()
    shown = row.failures if verbose else row.failures[:MOST_REPRODUCTIONS]
    for result in shown:
        print(f"{result.story}\n")
    if len(shown) < len(row.failures):
        print(f"… and {len(row.failures) - len(shown)} more; -v shows all\n")
    print(row.line(), flush=True)
