"""Lies about a row: its data with one small thing changed, and read again."""

from __future__ import annotations

import copy
import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import yaml

from onnx_mapper.conformance.mutants.formula_mutants import changes
from onnx_mapper.conformance.run.coverage import Mark, mark_of
from onnx_mapper.errors import Place, RowError
from onnx_mapper.language.formula import node_calls, parse_statement
from onnx_mapper.language.scope import Definition
from onnx_mapper.model.operators import attributes_of, opsets_of, schema_of
from onnx_mapper.rows.checks import check_definition, check_pattern, check_row
from onnx_mapper.rows.fit import installed_class
from onnx_mapper.rows.model import Row, To
from onnx_mapper.rows.op_classes import props_of
from onnx_mapper.rows.reader import WHEN
from onnx_mapper.rows.table import Table

_LIE = "A lie, to see whether a case notices."
_UNTOLD = ("cases", "deviations", "equivalent", "summary", "op", "family", "define")

Data = dict[str, Any]
Edit = Callable[[Data], None]
Lie = tuple[str, Edit, str | None]


@dataclass(frozen=True)
class Mutant:
    """A row or a definition with one thing changed.

    Attributes:
        label: What is changed: `attributes/subsample: ignored`.
        subject: The row or the definition as it is.
        data: Its data after the change.
        formula: The formula that is changed; None when it is another part.
    """

    label: str
    subject: Row | Definition
    data: Data
    formula: str | None = None

    def is_noticed_by(self, marks: frozenset[Mark]) -> bool:
        """Tell whether an export that evaluated these formulas could be another one."""
        if self.formula is None:
            return True
        definition = isinstance(self.subject, Definition)
        owner = self.subject.name if definition else self.subject.title  # type: ignore[union-attr]
        return mark_of(owner, self.formula) in marks

    def table(self, table: Table) -> Table:
        """Return a table in which the changed row or definition has the place of the true one.

        Raises:
            RowError: When the change can't be read, so that it could never reach anyone.
        """
        if isinstance(self.subject, Definition):
            definition = self.subject.origin.definition(self.data)
            known = {**table.language.definitions, definition.name: definition}
            language = replace(table.language, definitions=known)
            check_definition(definition, language)
            return replace(table, language=language)
        if self.subject.origin is None:
            raise RowError(self.subject.place, "the row was not read from a file")
        row = self.subject.origin.row(self.data)
        if row.pattern:
            check_pattern(row, table.language, {known.name for known in table.rows})
        else:
            check_row(row, table.language)
        return with_row(table, self.subject, row)

    def diff(self) -> str:
        """Return the change as a diff of the row."""
        before, after = (_yaml(data) for data in (self.subject.source, self.data))
        lines = difflib.unified_diff(before, after, lineterm="", n=2)
        return "\n".join(line for line in lines if not line.startswith(("---", "+++", "@@")))


def with_row(table: Table, old: Row, new: Row) -> Table:
    """Return a table in which one row is replaced."""
    by_class = {
        path: tuple(new if row is old else row for row in rows)
        for path, rows in table.by_class.items()
    }
    return replace(
        table,
        rows=tuple(new if row is old else row for row in table.rows),
        by_class=by_class,
        patterns=tuple(new if row is old else row for row in table.patterns),
    )


def _yaml(data: Mapping[str, Any]) -> list[str]:
    told = {key: value for key, value in data.items() if key not in _UNTOLD}
    text: str = yaml.safe_dump(told, sort_keys=False, width=1000, allow_unicode=True)
    return text.splitlines()


def mutants_of(subject: Row | Definition) -> list[Mutant]:
    """Return every lie about a row or a definition."""
    found = []
    seen: dict[str, int] = {}
    edits = _row_edits(subject) if isinstance(subject, Row) else _body_edits(subject.source)
    for label, edit, formula in edits:
        data = copy.deepcopy(dict(subject.source))
        edit(data)
        seen[label] = count = seen.get(label, 0) + 1
        label = label if count == 1 else f"{label} ({count})"
        found.append(Mutant(label, subject, data, formula))
    return found


def _row_edits(row: Row) -> Iterator[Lie]:
    source = row.source
    if row.pattern:
        yield from _pattern_edits(source)
        yield from _body_edits(source)
        return
    yield from _inputs(source)
    yield from _single_keys(source)
    if isinstance(source.get("promote"), dict):
        for name in source["promote"]:
            yield from _formula_edits(("promote", name), source["promote"][name])
    for name in _read_lets(source):
        yield from _formula_edits(("let", name), source["let"][name])
    for condition in source.get("needs", {}):
        yield f"needs: {condition} dropped", _dropping(("needs", condition)), None
        for change in changes(condition):
            edit = _renaming(("needs",), condition, change.text)
            yield f"needs: {change.label}", edit, condition
    yield from _body_edits(source)
    yield from _attributes(row)


def _pattern_edits(source: Data) -> Iterator[Lie]:
    """Yield lies about what a pattern looks for, and where it holds."""
    forms = source["match"]
    for position, text in enumerate([forms] if isinstance(forms, str) else forms):
        keys: tuple[str | int, ...] = ("match",) if isinstance(forms, str) else ("match", position)
        path = "/".join(map(str, keys))
        if not isinstance(forms, str) and len(forms) > 1:
            yield f"{path}: dropped", _dropping(keys), None
        for change in changes(text):
            yield f"{path}: {change.label}", _setting(keys, change.text), None
    for position, condition in enumerate(source.get("where", ())):
        yield f"where/{position}: dropped", _dropping(("where", position)), condition
        yield from _formula_edits(("where", position), condition)


def _read_lets(source: Data) -> list[str]:
    """Return the names of `let` that the row reads; a family has some for other rows."""
    let = source.get("let", {})
    read = _words({key: source[key] for key in source if key not in (*_UNTOLD, "let")})
    pending = [name for name in let if name in read]
    for name in pending:
        words = _words(let[name])
        pending += [other for other in let if other in words and other not in pending]
    return [name for name in let if name in pending]


def _words(data: Any) -> set[str]:
    return set(re.findall(r"\w+", str(data)))


def _inputs(source: Data) -> Iterator[Lie]:
    names = source.get("inputs", [])
    for first in range(len(names) - 1):
        pair = names[first : first + 2]
        if not any(mark in "".join(pair) for mark in "*?"):
            yield f"inputs: {', '.join(pair)} swapped", _swapping(("inputs",), first), None
    outputs = source.get("outputs", [])
    for first in range(len(outputs) - 1):
        pair = outputs[first : first + 2]
        yield f"outputs: {', '.join(pair)} swapped", _swapping(("outputs",), first), None


def _single_keys(source: Data) -> Iterator[Lie]:
    for key in ("choose", "finish", "promote", "batched", "subclasses"):
        if key in source:
            yield f"{key}: dropped", _dropping((key,)), None
    for key in ("choose", "finish"):
        if key in source:
            yield from _formula_edits((key,), source[key])
    if isinstance(source.get("promote"), dict):
        for name in source["promote"]:
            yield f"promote/{name}: dropped", _dropping(("promote", name)), None
    elif "promote" in source:
        yield from _formula_edits(("promote",), source["promote"])


def _body_edits(source: Data) -> Iterator[Lie]:
    for name, values in source.get("numbers", {}).items():
        yield from _formula_edits(("numbers", name), values)
    body = source.get("onnx")
    if isinstance(body, list):
        for position, written in enumerate(body):
            if isinstance(written, dict):
                yield from _guard_edits(position, written)
            else:
                yield from _formula_edits(("onnx", position), written)
    elif body is not None:
        yield from _formula_edits(("onnx",), body)


def _guard_edits(position: int, written: Data) -> Iterator[Lie]:
    """Yield lies about `when condition: result`."""
    ((key, result),) = written.items()
    condition, keys = key.removeprefix(WHEN), ("onnx", position)
    path = f"onnx/{position}"
    yield f"{path}: {key} dropped", _dropping(keys), condition
    yield f"{path}: {key} always", _ending(position, result), condition
    for change in changes(condition):
        edit = _setting(keys, {f"{WHEN}{change.text}": result})
        yield f"{path}: {WHEN}{change.label}", edit, condition
    yield from _formula_edits((*keys, key), result, path)


def _attributes(row: Row) -> Iterator[Lie]:
    source = row.source.get("attributes", {})
    installed = props_of(installed_class(row))
    for name, verbs in source.items():
        plain = name.rstrip("?")
        if plain != name and installed and plain not in installed:
            continue
        keys = ("attributes", name)
        if "ignore" not in verbs:
            yield f"attributes/{name}: ignored", _setting(keys, {"ignore": _LIE}), None
        for key in ("value", "otherwise"):
            if key in verbs:
                yield f"attributes/{name}: {key} dropped", _dropping((*keys, key)), None
                yield from _formula_edits((*keys, key), verbs[key])
        yield from _table((*keys, "table"), verbs.get("table", {}))
        for input_, body in verbs.get("rewrite", {}).items():
            yield from _formula_edits((*keys, "rewrite", input_), body)
    yield from _targets(row)


def _table(keys: tuple[str | int, ...], table: Mapping[str, Any]) -> Iterator[Lie]:
    path = "/".join(map(str, keys))
    names = list(table)
    for first, second in pairwise(names):
        if table[first] != table[second]:
            exchanged = {first: table[second], second: table[first]}
            yield f"{path}: {first}, {second} swapped", _updating(keys, exchanged), None
    for name in names:
        if len(names) > 1:
            yield f"{path}: {name} dropped", _dropping((*keys, name)), None
        yield from _formula_edits((*keys, name), table[name])


def _targets(row: Row) -> Iterator[Lie]:
    """Aim `to:` at a sibling of the same type; where another attribute aims there, exchange."""
    source = row.source.get("attributes", {})
    aimed = {a.name: a.verb.target for a in row.attributes if isinstance(a.verb, To)}
    written = {name.rstrip("?"): name for name in source}
    operators = {call for a in row.attributes if isinstance(a.verb, To) for call in _operators(row)}
    for name, target in aimed.items():
        for sibling in _siblings(target, operators):
            holder = next((n for n, t in aimed.items() if t == sibling), None)
            if holder is not None and holder < name:
                continue
            edit = _setting(("attributes", written[name], "to"), sibling)
            if holder is not None:
                back = _setting(("attributes", written[holder], "to"), target)
                edit = _both(edit, back)
            yield f"attributes/{name}: to {sibling}", edit, None


def _operators(row: Row) -> set[str]:
    return {
        call.func.id  # type: ignore[attr-defined]
        for statement in row.body
        for call in node_calls(statement.formula.tree)
    }


def _siblings(target: str, operators: set[str]) -> list[str]:
    for op_type in sorted(operators):
        if target in attributes_of(op_type):
            known = schema_of(op_type, opsets_of(op_type)[-1]).attributes
            if target in known:
                return [
                    n for n in sorted(known) if n != target and known[n].type == known[target].type
                ]
    return []


def _formula_edits(keys: tuple[str | int, ...], source: Any, path: str = "") -> Iterator[Lie]:
    """Yield lies about a formula; a hook is skipped instead."""
    path = path or "/".join(map(str, keys))
    if isinstance(source, dict):
        if "rewrite" in keys:
            yield f"{path}: hook skipped", _setting(keys, str(keys[-1])), None
        return
    text = source if isinstance(source, str) else str(source)
    formula = parse_statement(text, Place("")).formula.text
    for change in changes(text):
        yield f"{path}: {change.label}", _setting(keys, change.text), formula


def _at(data: Any, keys: tuple[str | int, ...]) -> Any:
    for key in keys:
        data = data[key]
    return data


def _setting(keys: tuple[str | int, ...], value: Any) -> Edit:
    def edit(data: Data) -> None:
        _at(data, keys[:-1])[keys[-1]] = value

    return edit


def _ending(position: int, result: Any) -> Edit:
    """Let a statement of a body be the last one, without a condition."""

    def edit(data: Data) -> None:
        data["onnx"][position:] = [result]

    return edit


def _dropping(keys: tuple[str | int, ...]) -> Edit:
    def edit(data: Data) -> None:
        del _at(data, keys[:-1])[keys[-1]]

    return edit


def _updating(keys: tuple[str | int, ...], entries: Mapping[str, Any]) -> Edit:
    def edit(data: Data) -> None:
        _at(data, keys).update(entries)

    return edit


def _renaming(keys: tuple[str | int, ...], old: str, new: str) -> Edit:
    def edit(data: Data) -> None:
        renamed = {new if key == old else key: value for key, value in _at(data, keys).items()}
        _setting(keys, renamed)(data)

    return edit


def _swapping(keys: tuple[str | int, ...], first: int) -> Edit:
    def edit(data: Data) -> None:
        items = _at(data, keys)
        items[first], items[first + 1] = items[first + 1], items[first]

    return edit


def _both(one: Edit, other: Edit) -> Edit:
    def edit(data: Data) -> None:
        one(data)
        other(data)

    return edit
