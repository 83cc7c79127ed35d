"""Rows as a page for people, in Markdown: what each op becomes, and what it can't do."""

from __future__ import annotations

from collections.abc import Sequence

import yaml

from onnx_mapper.language.match import Made, nodes_in
from onnx_mapper.rows.model import Row

TOLD_OTHERWISE = frozenset(
    {
        "op",
        "summary",
        "inputs",
        "refuse",
        "family",
        "every_case",
        "cases",
        "deviations",
        "equivalent",
    }
)
"""Keys of a row that its page tells in words, or that only test it."""


def page_of(file: str, rows: Sequence[Row]) -> str:
    """Return the page of one mapping file: every row with its formula and what it can't do."""
    lines = [f"# {file}\n"]
    for row in rows:
        lines.append(f"## {row.name}\n")
        lines.append(row.summary + "\n")
        lines.extend(f"- `{path}`" for path in row.ops)
        if row.pattern:
            lines.extend(_before_and_after(row))
        if row.inputs:
            lines.append(f"- inputs: {', '.join(f'`{name}`' for name in row.inputs)}")
        if row.refuse:
            lines.append(f"\nRefused: {row.refuse}")
        lines.append("")
        shown = {
            key: value for key, value in (row.source or {}).items() if key not in TOLD_OTHERWISE
        }
        if shown:
            text = yaml.safe_dump(shown, sort_keys=False, width=110, allow_unicode=True)
            lines.append(f"```yaml\n{text}```\n")
        if row.deviations:
            lines.append("Where it deviates from PyTensor:\n")
            lines.extend(f"- {entry['because']}" for entry in row.deviations)
            lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _before_and_after(row: Row) -> list[str]:
    """Return a pattern's first case: what is written in PyTensor, what it was, and what it is."""
    case = row.cases[0]
    expected = case["expect"][0]
    nodes = expected["nodes"] if isinstance(expected, dict) else case["expect"]
    before = [operator for form in row.match[:1] for operator in _operators_of(form)]
    then, now = (", ".join(f"`{name}`" for name in names) for names in (before, nodes))
    return [
        f"In PyTensor, for example: `{case['graph']}`\n",
        f"Before: {then}; after: {now}",
    ]


def _operators_of(form: Made) -> list[str]:
    """Return the nodes of a pattern, from the inputs on."""
    found = [f"row of {m.operator}" if m.whole_row else m.operator for m in nodes_in(form)]
    return found[::-1]
