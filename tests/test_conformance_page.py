"""docs/conformance-<line>.md tells what was run: it must be about the rows as they are now."""

from __future__ import annotations

import re
from pathlib import Path

import pytensor
import pytest
from conformance_page import differences
from packaged import ITEMS, SUBJECT

from onnx_mapper.conformance.mutants.row_mutants import mutants_of
from onnx_mapper.conformance.mutants.unlike import rows_unlike
from onnx_mapper.rows.fingerprints import tested
from onnx_mapper.rows.model import Row

PAGE = Path(__file__).parent.parent / "docs" / f"conformance-{pytensor.__version__}.md"
UNLIKE = re.search(r"than on PyTensor (\S+), and", PAGE.read_text(encoding="utf-8"))
TITLES = SUBJECT.titles()
LIED_ABOUT = rows_unlike(SUBJECT.rows, UNLIKE[1]) if UNLIKE else {row.title for row in SUBJECT.rows}


@pytest.fixture(scope="module")
def told() -> dict[str, list[str]]:
    """The cells of the page's tables, by row or definition."""
    lines = re.findall(r"^\| `(.+)` \|(.*)\|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return {title: [cell.strip() for cell in cells.split("|")] for title, cells in lines}


def mutants_to_tell_of(row: Row) -> str:
    return str(len(mutants_of(row)) or "") if row.title in LIED_ABOUT else ""


def test_the_newest_line_lies_about_every_row() -> None:
    newest = max(tested(), key=lambda release: [int(part) for part in release.split(".")])
    assert (UNLIKE[1] if UNLIKE else pytensor.__version__) == newest


def test_every_row_is_on_the_page_with_all_its_mutants(told: dict[str, list[str]]) -> None:
    stale = [
        row.title
        for row in SUBJECT.rows
        if ITEMS[row.title]
        and row.refuse is None
        and told.get(TITLES[row.title], [""] * 7)[-3] != mutants_to_tell_of(row)
    ]
    assert not stale, f"{PAGE.name} is stale: run `make conformance`"


@pytest.mark.slow
def test_definitions_on_the_page_have_all_their_mutants(told: dict[str, list[str]]) -> None:
    titles = set(TITLES.values())
    stale = []
    for definition in SUBJECT.table.language.definitions.values():
        title = f"{definition.place.file}::{definition.name}({', '.join(definition.parameters)})"
        if title in told and told[title][0] != str(len(mutants_of(definition)) or ""):
            stale.append(title)
        titles.add(title)
    assert not stale, f"{PAGE.name} is stale: run `make conformance`"
    assert not set(told) - titles, f"{PAGE.name} tells of what is gone: run `make conformance`"


@pytest.mark.parametrize("nothing", ["items that do not", "survivors"])
def test_nothing_failed_and_nothing_survived(nothing: str) -> None:
    assert f"| {nothing} | 0 |" in PAGE.read_text(encoding="utf-8")


def test_a_page_is_compared_but_for_what_the_machine_decides() -> None:
    """CI holds what a run finds against the page: versions and worst errors may differ."""
    text = PAGE.read_text(encoding="utf-8")
    row = next(line for line in text.splitlines() if line.startswith("| `blas.yaml::"))
    cells = row.split(" | ")
    slower = text.replace(row, " | ".join([*cells[:2], "3.7", *cells[3:]]))
    assert differences(text, re.sub(r"^onnx-mapper .*$", "onnx-mapper 9", slower, flags=re.M)) == []
    fewer = text.replace(row, " | ".join([cells[0], "1", *cells[2:]]))
    assert [line[0] for line in differences(text, fewer)] == ["-", "+"]
    assert differences(text, text.replace("| survivors | 0 |", "| survivors | 1 |"))


def test_where_not_all_lies_were_told_their_numbers_are_not_compared() -> None:
    text = PAGE.read_text(encoding="utf-8")
    row = next(line for line in text.splitlines() if line.startswith("| `elemwise.yaml::"))
    cells = row.split(" | ")
    told = text.replace(row, " | ".join([*cells[:5], "1", "", " |"]))
    assert differences(text, told)
    assert differences(text, told, every_lie=False) == []
    fewer = text.replace(row, " | ".join([cells[0], "1", *cells[2:]]))
    assert differences(text, fewer, every_lie=False)
    assert differences(text, fewer, every_lie=False, every_opset=False) == []
    gone = text.replace(f"{row}\n", "")
    assert differences(text, gone, every_lie=False, every_opset=False)
