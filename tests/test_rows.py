"""Every shipped row against PyTensor, on the cases that it carries; see docs/rows.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from onnx_mapper.conformance.run.items import Item
from onnx_mapper.conformance.run.oracle import PASSED, SKIPPED
from onnx_mapper.conformance.runner import result_of
from onnx_mapper.conformance.subject import find_subject
from onnx_mapper.opsets import DEFAULT_OPSET
from onnx_mapper.rows.model import Row

SUBJECT = find_subject()
ITEMS = SUBJECT.items()


QUICK_ITEMS = 4
"""Of each row this many items, spread over its cases, are what `make quick` runs."""


def quick(items: Sequence[Item]) -> set[str]:
    """Return the ids of a sample of a row's items."""
    usual = [item.id for item in items if item.setting.opset == DEFAULT_OPSET]
    step = max(1, len(usual) // QUICK_ITEMS)
    return set(usual[::step][:QUICK_ITEMS])


def parameters() -> Iterator[Any]:
    for items in ITEMS.values():
        sample = quick(items)
        for item in items:
            marks = [] if item.id in sample else [pytest.mark.slow]
            yield pytest.param(item, id=item.id, marks=marks)


@pytest.mark.parametrize("item", list(parameters()))
def test_row_follows_pytensor(item: Item) -> None:
    result = result_of(item, SUBJECT.table)
    if result.status == SKIPPED:
        pytest.skip("PyTensor has no such graph")
    assert result.status == PASSED, result.story


@pytest.mark.slow
@pytest.mark.parametrize("row", SUBJECT.rows, ids=lambda row: row.title)
def test_row_is_tested_here(row: Row) -> None:
    """Cases of which PyTensor can build none would pass for any row."""
    statuses = (result_of(item, SUBJECT.table).status for item in ITEMS[row.title])
    assert not ITEMS[row.title] or any(status != SKIPPED for status in statuses)


def test_no_file_is_left_out() -> None:
    assert not SUBJECT.left_out
