"""All rows, found by PyTensor Op."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

from onnx_mapper.errors import InvalidRequest, RowError, told_with_folder
from onnx_mapper.language import vocabulary
from onnx_mapper.language.scope import Definition, Language
from onnx_mapper.rows.checks import check_definition, check_no_recursion, check_pattern, check_row
from onnx_mapper.rows.fit import Fit, fit_of
from onnx_mapper.rows.installed import installed_folders
from onnx_mapper.rows.model import MappingFile, Row
from onnx_mapper.rows.op_classes import class_path, find_class, props_of
from onnx_mapper.rows.reader import read_mapping_file
from onnx_mapper.rows.resources import folder


@dataclass(frozen=True)
class Table:
    """Rows by the class that they map, and the language that their formulas speak.

    Attributes:
        rows: Every row, in the order of the files.
        by_class: The rows of each `module:Class`.
        language: Vocabulary and definitions.
        patterns: What several nodes together are, the user's before the package's.
    """

    rows: tuple[Row, ...]
    by_class: dict[str, tuple[Row, ...]]
    language: Language
    patterns: tuple[Row, ...] = ()
    _fits: dict[tuple[object, ...], Fit] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def fit(self, row: Row, cls: type) -> Fit:
        """Return how one of the rows fits a class, found once for each state of the class."""
        key = id(row), cls, props_of(cls), getattr(cls, "make_node", None)
        if key not in self._fits:
            self._fits[key] = fit_of(row, cls)
        return self._fits[key]

    def rows_for(self, op: Any) -> tuple[Row, ...]:
        """Return the rows of an Op's class, or of the nearest base class that serves it.

        Args:
            op: A PyTensor Op.

        Returns:
            One row, several with a `choose`, or none.
        """
        return self.rows_for_class(type(op))

    def rows_for_class(self, cls: type) -> tuple[Row, ...]:
        """Return the rows of an Op class; see `rows_for`."""
        return next(self.candidates(cls), ())

    def candidates(self, cls: type) -> Iterator[tuple[Row, ...]]:
        """Yield the rows of an Op class, then those of each base class that serve it."""
        own, *bases = cls.__mro__
        if rows := self._rows_of(own):
            yield rows
        for base in bases:
            if rows := tuple(row for row in self._rows_of(base) if row.subclasses):
                yield rows

    def _rows_of(self, cls: type) -> tuple[Row, ...]:
        """Return the rows of one class: of its path, or of an old home that still exports it."""
        path = class_path(cls)
        return self.by_class[path] if path in self.by_class else self._moved.rows_of(cls)

    @cached_property
    def _moved(self) -> _Moved:
        return _Moved(self.by_class)


class _Moved:
    """Rows of classes that are defined elsewhere than the rows say.

    Args:
        by_class: The rows by the paths that they name.
    """

    def __init__(self, by_class: Mapping[str, tuple[Row, ...]]) -> None:
        self._by_class = by_class
        self._paths: dict[type, str] = {}
        self._without: set[type] = set()
        self._modules = 0

    def rows_of(self, cls: type) -> tuple[Row, ...]:
        """Return the rows that name a home which exports a class; the user's before the package's."""
        if self._modules != len(sys.modules):
            self._modules = len(sys.modules)
            self._without.clear()
        if cls in self._without:
            return ()
        if cls not in self._paths or find_class(self._paths[cls]) is not cls:
            homes = [path for path in self._by_class if find_class(path) is cls]
            own = [path for path in homes if not self._by_class[path][0].shipped]
            if not homes:
                self._without.add(cls)
                return ()
            self._paths[cls] = (own or homes)[-1]
        return self._by_class[self._paths[cls]]


def load_table(mappings: Sequence[str | Path] = ()) -> Table:
    """Read the package's rows, those of installed packages (see `rows.installed`) and the user's.

    Args:
        mappings: Folders of YAML files, or single files. A class that they map is taken from
            them alone; else from an installed package that maps it, else from this one.

    Raises:
        RowError: When a file is wrong, or two of the user's files, or two installed packages, map
            one class; it names both places.
        InvalidRequest: When a folder or file does not exist, or holds no YAML.
    """
    if isinstance(mappings, str | Path):
        raise InvalidRequest(
            f"mappings is a list of folders or files: write mappings=[{str(mappings)!r}]"
        )
    given = tuple(_state(Path(path).resolve()) for path in mappings)
    return _load(given, tuple(map(_state, installed_folders())))


@cache
def _packaged() -> tuple[MappingFile, ...]:
    return tuple(
        read_mapping_file(path, shipped=True) for path in sorted(folder("mappings").glob("*.yaml"))
    )


@dataclass(frozen=True)
class _State:
    """The files of a folder and when each was changed, so that an edited row is read again."""

    files: tuple[Path, ...]
    changed: tuple[int, ...]


def _state(path: Path) -> _State:
    files = mapping_files(path)
    return _State(tuple(files), tuple(file.stat().st_mtime_ns for file in files))


@lru_cache(maxsize=32)
def _load(mappings: tuple[_State, ...], installed: tuple[_State, ...]) -> Table:
    return build_table([_packaged(), _read(installed), _read(mappings)])


def _read(states: Iterable[_State]) -> tuple[MappingFile, ...]:
    files = dict.fromkeys(file for state in states for file in state.files)
    return tuple(map(read_mapping_file, files))


def build_table(layers: Iterable[Sequence[MappingFile]]) -> Table:
    """Put files together, a later layer before an earlier one, and check every row.

    Raises:
        RowError: When a row is wrong, two rows of one layer map the same class without a
            `choose` that tells them apart, or two different definitions have one name.
    """
    by_class: dict[str, tuple[Row, ...]] = {}
    definitions: dict[str, Definition] = {}
    fresh: list[Row] = []
    patterns: list[Row] = []
    for files in layers:
        layer: dict[str, tuple[Row, ...]] = {}
        patterns[:0] = [row for file in files for row in file.rows if row.pattern]
        for file in files:
            for definition in file.definitions:
                if definition.name in vocabulary.CALLS:
                    raise RowError(
                        definition.place,
                        f"{definition.name} is a function of the language (docs/vocabulary.md): "
                        "name the definition otherwise",
                    )
                known = definitions.setdefault(definition.name, definition)
                if known is not definition and _meaning(known) != _meaning(definition):
                    raise RowError(
                        definition.place,
                        f"{definition.name} is defined at {known.place} too: rename one",
                    )
            for row in file.rows:
                if not row.pattern:
                    fresh.append(row)
                for path in row.ops:
                    layer[path] = (*layer.get(path, ()), row)
        for path, rows in layer.items():
            unchosen = [row for row in rows if row.choose is None]
            if len(rows) > 1 and unchosen:
                others = ", ".join(str(row.place) for row in rows if row is not unchosen[0])
                raise RowError(
                    unchosen[0].place,
                    f"{path} is mapped at {others} too: give each row a `choose`, or remove one",
                )
        for path, rows in layer.items():
            for home in {path}.union(*(row.ops for row in by_class.get(path, ()))):
                by_class[home] = rows
    language = Language(vocabulary.CALLS, vocabulary.CONSTANTS, definitions)
    check_no_recursion(language)
    for definition in definitions.values():
        check_definition(definition, language)
    for row in fresh:
        with told_with_folder(None if row.shipped else row.file):
            check_row(row, language)
    classes = {row.name for row in fresh}
    for row in patterns:
        with told_with_folder(None if row.shipped else row.file):
            check_pattern(row, language, classes)
    used = {id(row) for rows in by_class.values() for row in rows}
    kept = tuple(row for row in fresh if id(row) in used)
    return Table(kept, by_class, language, tuple(patterns))


def _meaning(definition: Definition) -> object:
    statements = [(part.targets, *(f.text for f in part.formulas)) for part in definition.body]
    return definition.parameters, statements


def mapping_files(path: Path) -> list[Path]:
    """Return a mapping file itself, or those of a folder.

    Raises:
        InvalidRequest: When it does not exist, or holds none.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise InvalidRequest(
            f"mappings: {path} does not exist; give a folder of .yaml files, or such a file"
        )
    files = sorted([*path.glob("*.yaml"), *path.glob("*.yml")])
    if not files:
        raise InvalidRequest(f"mappings: {path} holds no .yaml file")
    return files
