"""Shipped rows against PyTensor, on a sample of the cases that they carry; see docs/rows.md.

All items, and the lies about rows, are `onnx-mapper test --mutants`, which `make test` runs too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from packaged import ITEMS, SUBJECT

from onnx_mapper.conformance.run.items import Item
from onnx_mapper.conformance.run.oracle import PASSED, SKIPPED
from onnx_mapper.conformance.runner import result_of
from onnx_mapper.opsets import DEFAULT_OPSET


def parameters() -> Iterator[Any]:
    """Yield an item of each row, of a case in the middle of them."""
    for items in ITEMS.values():
        usual = [item for item in items if item.setting.opset == DEFAULT_OPSET]
        for item in usual[len(usual) // 2 :][:1]:
            yield pytest.param(item, id=item.id)


@pytest.mark.parametrize("item", list(parameters()))
def test_row_follows_pytensor(item: Item) -> None:
    result = result_of(item, SUBJECT.table)
    if result.status == SKIPPED:
        pytest.skip("PyTensor has no such graph")
    assert result.status == PASSED, result.story


def test_no_file_is_left_out() -> None:
    assert not SUBJECT.left_out
