"""From a row's cases to the items that are tested: one model each, with a readable id."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytensor

from onnx_mapper.conformance.cases.model import Case, Choice, Exempt, RefuseCase, RowCases
from onnx_mapper.conformance.run.combinations import combinations
from onnx_mapper.opsets import DEFAULT_OPSET
from onnx_mapper.rows.model import Row


@dataclass(frozen=True)
class Setting:
    """What one item chooses from each axis of its case.

    Attributes:
        grid: A value for each grid name.
        dtypes: A dtype for each letter.
        given: How each input is given.
        opset: The model's opset.
        shapes: `static` or `dynamic`.
    """

    grid: tuple[tuple[str, Any], ...]
    dtypes: tuple[tuple[str, str], ...]
    given: tuple[tuple[str, str], ...]
    opset: int
    shapes: str

    def agrees(self, choice: Choice) -> bool:
        """Tell whether this is one of the items that a choice is about."""
        grid, dtypes, given = dict(self.grid), dict(self.dtypes), dict(self.given)
        return (
            all(_same(grid.get(name), value) for name, value in choice.grid)
            and all(dtypes.get(letter) in names for letter, names in choice.dtypes)
            and all(given.get(name) == way for name, way in choice.given)
            and (choice.opsets is None or self.opset in choice.opsets)
            and choice.shapes in (None, self.shapes)
        )


@dataclass(frozen=True)
class Item:
    """One model of one row, to be held against PyTensor.

    Attributes:
        id: Its name, `conv.yaml::AbstractConv2d[half-float32-opset21-static]`.
        row: The row under test.
        case: The case that it comes from; None when the row has none.
        setting: What it chooses from the case's axes.
        deviations: The row's known deviations.
        refuse: What must be said where the graph must be refused.
        must_build: Whether PyTensor must be able to build this graph.
        problem: Why there is nothing to run.
    """

    id: str
    row: Row
    case: Case | None
    setting: Setting
    deviations: tuple[Exempt, ...] = ()
    refuse: RefuseCase | None = None
    must_build: bool = False
    problem: str = ""

    @property
    def is_at_first_opset(self) -> bool:
        """Whether its opset is the one that cases have first: the default one, where they have it."""
        if self.case is None or self.refuse is not None:
            return True
        return self.setting.opset == _default_first(self.case.opsets)[0]

    @property
    def seed(self) -> int:
        """Seeds the numbers: the same for all opsets, shapes and PyTensor lines."""
        case = self.case.name if self.case else ""
        return zlib.crc32(repr((self.row.name, case, self.setting.grid)).encode())


def items_of(row: Row, cases: RowCases, full: bool = False, title: str | None = None) -> list[Item]:
    """Generate the items of a row.

    Args:
        row: The row.
        cases: Its cases.
        full: Whether to run the whole product of every grid.
        title: What the ids begin with; file and class by default.
    """
    title = title or f"{row.place.file}::{row.name}"
    items: list[Item] = []
    for case in cases.cases:
        items += _of_case(row, case, cases.deviations, full, title)
    if row.cases and not cases.cases:
        return []  # all of them are about other versions of PyTensor
    if not items and row.refuse is not None:
        return [_refused_item(row, title)]
    if not items:
        return [broken_item(row, "the row has no cases: write `cases:`, see docs/rows.md", title)]
    return _with_unique_ids(items)


def broken_item(row: Row, problem: str, title: str) -> Item:
    """Return an item that fails: the row has no cases, or wrong ones."""
    nothing = Setting((), (), (), DEFAULT_OPSET, "static")
    return Item(f"{title}[cases]", row, None, nothing, problem=problem)


def _refused_item(row: Row, title: str) -> Item:
    """Return the item of a row that refuses its op, whatever the op's attributes and inputs."""
    nothing = Setting((), (), (), DEFAULT_OPSET, "static")
    refuse = RefuseCase(Choice(), None, row.refuse or "", row.place)
    return Item(f"{title}[refused]", row, None, nothing, refuse=refuse, must_build=True)


def _of_case(
    row: Row, case: Case, deviations: tuple[Exempt, ...], full: bool, title: str
) -> Iterator[Item]:
    opsets = _default_first(case.opsets)
    axes: list[Sequence[Any]] = [
        case.shapes,
        *(values for _, values in case.grid),
        *(names for _, names in case.dtypes),
        *(ways for _, ways in case.given),
        opsets,
    ]
    seed = zlib.crc32(f"{row.name} {case.name}".encode())
    settings = [
        _setting(case, [axis[i] for axis, i in zip(axes, chosen, strict=True)])
        for chosen in combinations([len(axis) for axis in axes], seed, full)
    ]
    if row.refuse is not None:
        refuse = RefuseCase(Choice(), None, row.refuse, case.place)
        first = settings[0]
        yield Item(_id(title, case, first), row, case, first, deviations, refuse, True)
        return
    for setting in settings:
        required = case.dtypes_are_stated and all(
            setting.dtypes[i][1] == names[0] for i, (_, names) in enumerate(case.dtypes)
        )
        yield Item(_id(title, case, setting), row, case, setting, deviations, must_build=required)
    for refuse in case.refuse:
        for setting in _refusing(settings[0], refuse.choice):
            name = _id(title, case, setting, "refuse")
            yield Item(name, row, case, setting, deviations, refuse, True)


def _default_first(opsets: Sequence[int]) -> list[int]:
    return sorted(opsets, key=lambda opset: (opset != DEFAULT_OPSET, opset))


def _setting(case: Case, values: Sequence[Any]) -> Setting:
    shapes, *rest, opset = values
    grid = [name for name, _ in case.grid]
    letters = [letter for letter, _ in case.dtypes]
    inputs = [name for name, _ in case.given]
    first, second = len(grid), len(grid) + len(letters)
    return Setting(
        tuple(zip(grid, rest[:first], strict=True)),
        tuple(zip(letters, rest[first:second], strict=True)),
        tuple(zip(inputs, rest[second:], strict=True)),
        opset,
        shapes,
    )


def _refusing(first: Setting, choice: Choice) -> Iterator[Setting]:
    """Yield the settings that a refusal is about: the first one, changed as it says."""
    dtypes = dict(choice.dtypes)
    letters = {letter for letter, _ in first.dtypes}
    for position in range(max([len(names) for names in dtypes.values()] or [1])):
        chosen = {letter: dtypes[letter][position % len(dtypes[letter])] for letter in dtypes}
        for opset in choice.opsets or (first.opset,):
            yield replace(
                first,
                grid=tuple((dict(first.grid) | dict(choice.grid)).items()),
                dtypes=tuple((k, chosen.get(k, v)) for k, v in first.dtypes if k in letters),
                given=tuple((dict(first.given) | dict(choice.given)).items()),
                opset=opset,
                shapes=choice.shapes or first.shapes,
            )


def _id(title: str, case: Case, setting: Setting, mark: str = "") -> str:
    several = len(setting.dtypes) > 1
    parts = [mark, case.name]
    parts += [_label(name, value) for name, value in setting.grid]
    parts += [f"{letter}={name}" if several else name for letter, name in setting.dtypes]
    parts += [f"{name}={way}" for name, way in setting.given if way != "input"]
    parts += [f"opset{setting.opset}", setting.shapes]
    return f"{title}[{'-'.join(part for part in parts if part)}]"


def _label(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return name if value else f"no_{name}"
    return f"{name}={_text(value)}"


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        nested = any(isinstance(item, list | tuple) for item in value)
        return ("_" if nested else "x").join(map(_text, value)) or "empty"
    return str(value).replace(" ", "")


def _with_unique_ids(items: list[Item]) -> list[Item]:
    seen: dict[str, int] = {}
    unique = []
    for item in items:
        seen[item.id] = count = seen.get(item.id, 0) + 1
        unique.append(item if count == 1 else replace(item, id=f"{item.id[:-1]}-{count}]"))
    return unique


def _same(left: Any, right: Any) -> bool:
    return type(left) is type(right) and bool(left == right)


def names_of(setting: Setting) -> Mapping[str, Any]:
    """Return what formulas of a case see of a setting."""
    return {
        **dict(setting.grid),
        **dict(setting.dtypes),
        "opset": setting.opset,
        "shapes": setting.shapes,
        "pytensor": int(pytensor.__version__.split(".")[0]),
    }
