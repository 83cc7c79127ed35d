"""docs/coverage-<line>.md tells of every Op class of PyTensor whether it converts, or why it does not."""

from __future__ import annotations

import re
from pathlib import Path

import pytensor

PAGE = Path(__file__).parent.parent / "docs" / f"coverage-{pytensor.__version__}.md"


def test_every_class_has_a_row_or_a_reason() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert re.findall(r"^\| `(.+)` \| unknown \|", text, re.MULTILINE) == []
    assert "| unknown | 0 |" in text
    refused = re.findall(r"^\| `(.+)` \| refused \| \S+ \|(.*)\|$", text, re.MULTILINE)
    assert len(refused) > 50
    assert [name for name, reason in refused if not reason.strip()] == []
