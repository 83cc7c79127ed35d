"""Every shipped row against PyTensor, on the cases that it carries; see docs/rows.md."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from onnx_mapper.conformance.items import Item
from onnx_mapper.conformance.oracle import PASSED, SKIPPED
from onnx_mapper.conformance.runner import result_of
from onnx_mapper.conformance.tables import find_subject
from onnx_mapper.opsets import DEFAULT_OPSET

SUBJECT = find_subject()
ITEMS = SUBJECT.items()


BY_THEIR_NOISE = "random.yaml"
"""Draws have no PyTensor result to compare with: tests/test_random.py holds them to quantiles."""


def parameters() -> Iterator[Any]:
    for items in ITEMS.values():
        for item in items:
            if item.id.startswith(BY_THEIR_NOISE) and "[cases]" in item.id:
                continue
            marks = [pytest.mark.slow] if item.setting.opset != DEFAULT_OPSET else []
            yield pytest.param(item, id=item.id, marks=marks)


@pytest.mark.parametrize("item", parameters())
def test_row_follows_pytensor(item: Item) -> None:
    result = result_of(item, SUBJECT.table)
    if result.status == SKIPPED:
        pytest.skip("PyTensor has no such graph")
    assert result.status == PASSED, result.story


def test_no_file_is_left_out() -> None:
    assert not SUBJECT.left_out
