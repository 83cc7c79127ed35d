"""Which rows a run is about, and the table that they are tested in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from onnx_mapper.conformance.cases.reader import read_cases
from onnx_mapper.conformance.run.items import Item, broken_item, items_of
from onnx_mapper.errors import RowError
from onnx_mapper.rows.checks import check_class
from onnx_mapper.rows.fit import installed_class
from onnx_mapper.rows.model import MappingFile, Row
from onnx_mapper.rows.reader import read_mapping_file
from onnx_mapper.rows.resources import folder
from onnx_mapper.rows.table import Table, build_table, mapping_files


@dataclass(frozen=True)
class Subject:
    """Rows under test.

    Attributes:
        table: The table that exports use.
        rows: The rows under test whose class the installed PyTensor has.
        inactive: The rows under test whose class it lacks.
        left_out: Mistakes in the package's files that are not under test.
    """

    table: Table
    rows: tuple[Row, ...]
    inactive: tuple[Row, ...]
    left_out: tuple[RowError, ...]

    def titles(self) -> dict[str, str]:
        """Return what the ids of each row's items begin with, by the row's title."""
        plain = [f"{row.place.file}::{row.name}" for row in self.rows]
        return {
            row.title: name if plain.count(name) == 1 else f"{name}@{row.place.line}"
            for row, name in zip(self.rows, plain, strict=True)
        }

    def items(self, full: bool = False) -> dict[str, list[Item]]:
        """Return every row's items, by the row's title; wrong cases are an item that fails."""
        titles = self.titles()
        return {row.title: _items(row, full, titles[row.title]) for row in self.rows}


def find_subject(paths: Sequence[str | Path] = ()) -> Subject:
    """Read the files under test, and the package's rows around them.

    A mistake in one of the package's files that is not under test does not stop a run: that
    file is left out.

    Args:
        paths: Folders or files of rows; the package's own where there are none.

    Raises:
        RowError: When a file under test is wrong.
        InvalidRequest: When a path does not exist or holds no YAML.
    """
    packaged = sorted(folder("mappings").glob("*.yaml"))
    asked = [file for path in paths for file in mapping_files(Path(path))] or packaged
    wanted = {file.resolve() for file in asked}
    own = [file for file in asked if file.resolve() not in {p.resolve() for p in packaged}]
    left_out: list[RowError] = []
    files: dict[Path, MappingFile] = {}
    for path in packaged:
        try:
            files[path] = _read(path, shipped=True)
        except RowError as error:
            if path.resolve() in wanted:
                raise
            left_out.append(error)
    mine = [_read(path) for path in own]
    while True:
        try:
            table = build_table([tuple(files.values()), tuple(mine)])
            break
        except RowError as error:
            wrong = [p for p in files if p.name == error.place.file and p.resolve() not in wanted]
            if not wrong:
                raise
            left_out.append(error)
            del files[wrong[0]]
    tested = [f for path, f in files.items() if path.resolve() in wanted] + mine
    used = {id(row) for row in (*table.rows, *table.patterns)}
    rows = [row for file in tested for row in file.rows if id(row) in used]
    active = [row for row in rows if row.pattern or installed_class(row, import_modules=True)]
    inactive = [row for row in rows if row not in active]
    for row in active:
        if not row.shipped and not row.pattern:
            check_class(row)  # whose module may not have been loaded when the table was
    return Subject(table, tuple(active), tuple(inactive), tuple(left_out))


def _read(path: Path, shipped: bool = False) -> MappingFile:
    return _read_once(path, shipped, path.stat().st_mtime_ns)


@cache
def _read_once(path: Path, shipped: bool, changed: int) -> MappingFile:  # noqa: ARG001 - a changed file is read anew
    return read_mapping_file(path, shipped)


def _items(row: Row, full: bool, title: str) -> list[Item]:
    try:
        return items_of(row, read_cases(row), full, title)
    except RowError as error:
        return [broken_item(row, str(error), title)]
