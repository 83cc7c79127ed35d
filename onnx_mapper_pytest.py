"""A pytest plugin: mapping files given to pytest become tests, one for each case of each row.

    pytest my_rows/ops.yaml
    pytest --onnx-mapper-rows my_rows/

It lies beside the package so that pytest can load it without loading PyTensor.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from onnx_mapper.conformance.run.items import Item
    from onnx_mapper.rows.table import Table

_ENTRY = re.compile(r"^- (op|family|define):", re.MULTILINE)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("onnx-mapper", "rows of onnx-mapper")
    group.addoption(
        "--onnx-mapper-rows",
        action="append",
        default=[],
        metavar="PATH",
        help="test the rows of this mapping file, or of all that are in this folder",
    )
    group.addoption(
        "--onnx-mapper-import",
        action="append",
        default=[],
        metavar="MODULE",
        help="import this module (or file.py) first: it defines Ops that the rows are about",
    )
    group.addoption(
        "--onnx-mapper-full", action="store_true", help="whole grids, not samples of them"
    )


_asked = pytest.StashKey[set[Path]]()


def pytest_configure(config: pytest.Config) -> None:
    """Add the mapping files to what pytest collects."""
    config.stash[_asked] = set()
    for path in map(Path, config.getoption("--onnx-mapper-rows")):
        files = [path] if path.is_file() else sorted([*path.glob("*.yaml"), *path.glob("*.yml")])
        if not files:
            raise pytest.UsageError(f"--onnx-mapper-rows: {path} holds no .yaml file")
        config.args.extend(map(str, files))
        config.stash[_asked].update(file.resolve() for file in files)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> RowsFile | None:
    """Collect a mapping file that was asked for by name."""
    if file_path.suffix not in (".yaml", ".yml"):
        return None
    asked = file_path.resolve() in parent.config.stash[_asked]
    if not asked and not parent.session.isinitpath(file_path):
        return None
    if not _ENTRY.search(file_path.read_text(encoding="utf-8", errors="replace")):
        return None
    rows_file: RowsFile = RowsFile.from_parent(parent, path=file_path)
    return rows_file


class RowsFile(pytest.File):
    """A mapping file."""

    def collect(self) -> Iterator[RowItem]:
        """Yield a test for each item of each row."""
        from onnx_mapper.conformance.subject import find_subject
        from onnx_mapper.errors import MapperError
        from onnx_mapper.rows.fit import why_inactive
        from onnx_mapper.user_code import import_ops

        try:
            import_ops(self.config.getoption("--onnx-mapper-import"))
            subject = find_subject([self.path])
        except MapperError as error:
            raise self.CollectError(str(error)) from None
        for row in subject.inactive:
            why = why_inactive(row).replace("--import", "--onnx-mapper-import")
            self.warn(pytest.PytestCollectionWarning(f"left out: {row.place}: {why}"))
        for items in subject.items(self.config.getoption("--onnx-mapper-full")).values():
            for item in items:
                name = item.id.partition("::")[2]
                yield RowItem.from_parent(self, name=name, item=item, table=subject.table)


class RowItem(pytest.Item):
    """One model of one row, held against PyTensor."""

    def __init__(self, *, item: Item, table: Table, **rest: Any) -> None:
        super().__init__(**rest)
        self.item = item
        self.table = table

    def runtest(self) -> None:
        """Run it."""
        from onnx_mapper.conformance.run.oracle import SKIPPED
        from onnx_mapper.conformance.runner import result_of

        result = result_of(self.item, self.table)
        if result.status == SKIPPED:
            pytest.skip("PyTensor has no such graph")
        if result.story:
            raise RowFailure(result.story)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show a failure as what is needed to see it again."""
        if isinstance(excinfo.value, RowFailure):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Say where the row stands."""
        return self.path, self.item.row.place.line - 1, self.name


class RowFailure(Exception):
    """A row that does not follow PyTensor."""
