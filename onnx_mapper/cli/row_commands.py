"""The commands around rows: rows, lint, docs, new."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from onnx_mapper.checking.drift import find_drift
from onnx_mapper.cli.options import Commands, add_command, add_json, add_mappings
from onnx_mapper.cli.show import show_json, show_table
from onnx_mapper.conformance.subject import find_subject
from onnx_mapper.errors import CannotWrite, InvalidRequest, RowError
from onnx_mapper.model.file import check_target, save_text
from onnx_mapper.rows.fingerprints import releases_like
from onnx_mapper.rows.fit import installed_class, module_to_import, why_inactive
from onnx_mapper.rows.model import Row
from onnx_mapper.rows.op_classes import find_class
from onnx_mapper.rows.page import page_of
from onnx_mapper.rows.reader import read_mapping_file
from onnx_mapper.rows.stub import TODO, stub_of
from onnx_mapper.rows.table import load_table, mapping_files
from onnx_mapper.text_table import TextTable
from onnx_mapper.user_code import add_import_option, import_module, import_ops

MARK = "<!-- Written by onnx-mapper docs: edit the rows, not this page. -->\n\n"


def add_parsers(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add these commands to the command line."""
    parser = add_command(
        commands, "rows", "list the rows and patterns, and which are active here", _rows
    )
    parser.add_argument(
        "op", nargs="?", default="", help="only those whose class has this in its name, in full"
    )
    parser.add_argument(
        "--missing", action="store_true", help="the op classes of PyTensor that no row serves"
    )
    parser.add_argument(
        "--drift",
        action="store_true",
        help="tell where rows and the installed PyTensor disagree; the exit status is 1 if they do",
    )
    add_import_option(parser)
    add_json(parser)
    add_mappings(parser)
    parser = add_command(
        commands, "lint", "check mapping files without running anything of them", _lint
    )
    parser.add_argument("paths", nargs="+", metavar="FOLDER", help="folders or files of rows")
    add_import_option(parser)
    add_json(parser)
    parser = add_command(commands, "docs", "write a page for each mapping file, in Markdown", _docs)
    parser.add_argument("paths", nargs="+", metavar="FOLDER", help="folders or files of rows")
    parser.add_argument("-o", "--output", metavar="FOLDER", default="docs", help="default: docs")
    parser = add_command(commands, "new", "begin a row for an Op class", _new)
    parser.add_argument("op", help="the class, as module:Class or file.py:Class")
    parser.add_argument("-o", "--output", metavar="FILE", help="where to write it; it must be new")


def _rows(arguments: argparse.Namespace) -> int:
    import_ops(arguments.imports)
    if arguments.drift:
        return _drift(arguments)
    if arguments.missing:
        return _missing(arguments)
    loaded = load_table(arguments.mappings)
    wanted = arguments.op.lower()
    rows = [r for r in loaded.rows if any(wanted in path.lower() for path in r.ops)]
    patterns = [r for r in loaded.patterns if wanted in f"pattern {r.pattern}".lower()]
    if not rows and not patterns:
        raise InvalidRequest(
            f"no row is about {arguments.op!r}; onnx-mapper rows lists all, and "
            "onnx-mapper new module:Class begins one"
        )
    entries = [_entry(row) for row in (*rows, *patterns)]
    if arguments.json:
        show_json(entries)
        return 0
    cells = [
        (
            e["op"],
            e["row"],
            e["kind"] if e["active"] else "not loaded" if e["import"] else "not installed",
            ", ".join(e["tested"]) or "-",
            e["summary"],
        )
        for e in entries
    ]
    show_table(TextTable(("op", "row", "state", "tested with PyTensor", "summary"), cells))
    if wanted:
        _show_in_full([*rows, *patterns])
    for module in dict.fromkeys(e["import"] for e in entries if e["import"]):
        print(f"{module} is not loaded: add --import {module} for the state of its rows.")
    return 0


def _entry(row: Row) -> dict[str, Any]:
    if row.pattern:
        cls: type | None = None
        active, kind, module = True, "pattern", None
    else:
        cls = installed_class(row, import_modules=True)
        active, kind = cls is not None, "refused" if row.refuse else "mapped"
        module = None if active else module_to_import(row)
    return {
        "op": f"pattern {row.pattern}" if row.pattern else row.ops[0],
        "row": row.at,
        "active": active,
        "import": module,
        "kind": kind,
        "tested": list(releases_like(row.ops[0], cls)) if cls and row.shipped else [],
        "summary": row.refuse or row.summary,
    }


def _show_in_full(rows: Sequence[Row]) -> None:
    for row in rows:
        shown = {k: v for k, v in (row.source or {}).items() if k not in ("cases", "equivalent")}
        print(f"\n# {row.at}")
        print(yaml.safe_dump(shown, sort_keys=False, width=110, allow_unicode=True).rstrip())


def _drift(arguments: argparse.Namespace) -> int:
    drift = find_drift(arguments.mappings)
    if arguments.json:
        show_json({"ok": drift.ok, **asdict(drift)})
    else:
        print(drift)
    return 0 if drift.ok else 1


def _missing(arguments: argparse.Namespace) -> int:
    drift = find_drift(arguments.mappings)
    if arguments.json:
        show_json(list(drift.unknown))
    elif drift.unknown:
        print("\n".join(drift.unknown))
    else:
        print(f"Every op class of PyTensor {drift.release} has a row.")
    return 1 if drift.unknown else 0


def _lint(arguments: argparse.Namespace) -> int:
    import_ops(arguments.imports)
    files = [file for path in arguments.paths for file in mapping_files(Path(path))]
    problems = [problem for file in files for problem in _left_to_say(file)]
    notes: list[str] = []
    count = 0
    finished = [file for file in files if not any(_left_to_say(file))]
    wrong: dict[str, str] = {}
    while finished:
        try:
            subject = find_subject(finished)
        except RowError as error:  # the others are told of, too
            name = Path(error.place.file).name
            wrong[name] = str(error)
            others = [file for file in finished if file.name != name]
            finished = others if len(others) < len(finished) else []
            continue
        count = len(subject.rows) + len(subject.inactive)
        broken = [i for items in subject.items().values() for i in items if i.problem]
        problems += dict.fromkeys(item.problem for item in broken)
        notes = [f"{row.place}: {why_inactive(row)}" for row in subject.inactive]
        break
    problems += [wrong[name] for name in sorted(wrong)]
    if arguments.json:
        show_json({"files": len(files), "rows": count, "problems": problems, "notes": notes})
        return 1 if problems else 0
    for note in notes:
        print(f"note: {note}")
    for problem in problems:
        print(problem, file=sys.stderr)
    counted = {"file": len(files), "row": count, "problem": len(problems)}
    print(", ".join(f"{n} {what if n == 1 else f'{what}s'}" for what, n in counted.items()))
    return 1 if problems else 0


def _docs(arguments: argparse.Namespace) -> int:
    files = [file for path in arguments.paths for file in mapping_files(Path(path))]
    pages = {f"{file.stem}.md": page_of(file.name, read_mapping_file(file).rows) for file in files}
    folder = Path(arguments.output)
    for name in pages:
        if (folder / name).exists() and not _is_a_page(folder / name):
            raise InvalidRequest(f"{folder / name} is not such a page: choose another --output")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotWrite(f"the folder {folder} can't be made: {error.strerror or error}") from None
    for name, text in pages.items():
        save_text(MARK + text, folder / name)
        print(folder / name)
    return 0


def _is_a_page(path: Path) -> bool:
    return path.read_text(encoding="utf-8").startswith(MARK)


def _left_to_say(file: Path) -> Iterator[str]:
    """Yield the lines of a file that `new` left open."""
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if TODO in line and not line.lstrip().startswith("#"):
            yield f"{file.name}:{number}: {TODO} is left to say: {line.strip()}"


def _new(arguments: argparse.Namespace) -> int:
    module, _, name = arguments.op.rpartition(":")
    if not module or not name:
        raise InvalidRequest(f"{arguments.op!r} names no class: write module:Class")
    loaded = import_module(module)
    cls = getattr(loaded, name, None) or find_class(arguments.op)
    if cls is None:
        raise InvalidRequest(f"{module} has no class {name!r}")
    text = stub_of(cls)
    if arguments.output is None:
        print(text, end="")
        return 0
    target = check_target(arguments.output)
    if target.exists():
        raise InvalidRequest(f"{target} is there already: give the name of a new file")
    save_text(text, target)
    print(f"{target}: a row for {name}; what is left to say is marked TODO")
    return 0
