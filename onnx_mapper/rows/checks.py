"""Rows against ONNX's operators, the formula language, and the real PyTensor classes."""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from pytensor.graph.op import Op

from onnx_mapper.errors import Place, RowError
from onnx_mapper.language.calls import call_spot
from onnx_mapper.language.match import Made, names_of, nodes_in
from onnx_mapper.language.registry import DTYPE, OPERATOR, Kind
from onnx_mapper.language.scope import (
    SEEN_BY_DEFINITIONS,
    Definition,
    Formula,
    Language,
    Statement,
)
from onnx_mapper.language.values import DTYPES
from onnx_mapper.model.operators import (
    all_operators,
    attribute_kind,
    attributes_of,
    opsets_of,
    required_attributes,
    schema_of,
)
from onnx_mapper.opsets import OPSETS
from onnx_mapper.rows.fit import fit_of, installed_class, misspelt, unread_problem
from onnx_mapper.rows.hooks import HOOKS
from onnx_mapper.rows.model import ALWAYS_IN_SCOPE, HookCall, Rewrite, Row, To, formulas_of
from onnx_mapper.rows.op_classes import props_of

_NAMED_IN_PATTERNS = frozenset({"out", "opset"})
_PLAIN_NAME = re.compile(r"[a-z][a-z0-9_]*")
_GUARDS = frozenset({"opset", "runs"})

Given = frozenset[tuple[tuple[str, int], str]]
"""Which calls of a row's body get which attributes from its `to:` verbs."""


def check_row(row: Row, language: Language) -> None:
    """Check all that can be checked of a row without a graph.

    Raises:
        RowError: At the first formula or attribute that is wrong, with what exists.
    """
    found = installed_class(row)
    if not row.shipped:  # a shipped row is judged when its op is met: none stops another
        check_class(row)
        problem = misspelt(row)
        if problem is not None:
            raise RowError(row.locate("op"), problem)
    in_scope = set(ALWAYS_IN_SCOPE) | set(row.input_names()) | set(row.reads)
    in_scope |= {attribute.name for attribute in row.attributes} | set(props_of(found))
    in_scope |= {name for name, _ in row.let}
    open_names = row.shipped or found is None
    given = frozenset(
        (attribute.verb.spot, attribute.verb.target)
        for attribute in row.attributes
        if isinstance(attribute.verb, To)
    )
    for formula in formulas_of(row):
        extra = {"result"} if formula is row.finish else set()
        _check_formula(formula, frozenset(in_scope | extra), language, open_names, given)
    _check_body(row.body, frozenset(in_scope), language, open_names, given)
    for attribute in row.attributes:
        for call in _hook_calls(attribute.verb):
            if call.name not in HOOKS:
                raise RowError(call.place, f"no hook {call.name!r}; there are: {', '.join(HOOKS)}")
    for name, formula in row.promote:
        if name is not None and name not in row.input_names():
            listed = ", ".join(row.input_names()) or "none"
            raise RowError(formula.place, f"{name!r} is no input; there are: {listed}")
    known = {target for statement in row.body for target in statement.targets}
    for name in row.outputs:
        if name not in known:
            raise RowError(row.locate("outputs"), f"no statement of the body assigns {name!r}")


def check_pattern(row: Row, language: Language, classes: Collection[str]) -> None:
    """Check all that can be checked of a pattern without a graph.

    Args:
        row: The pattern.
        language: What its formulas speak.
        classes: The classes that there are rows for.

    Raises:
        RowError: At the first formula, operator or attribute that is wrong, with what exists.
    """
    names: set[str] = set(_NAMED_IN_PATTERNS)
    for position, form in enumerate(row.match):
        place = row.locate("match", position)
        for name in names_of(form):
            if name in _NAMED_IN_PATTERNS or name in language.constants:
                raise RowError(place, f"{name!r} has a meaning already: take another name")
            if not _PLAIN_NAME.fullmatch(name):
                raise RowError(place, f"{name!r} is no name: names are of lower-case letters")
            names.add(name)
        for made in nodes_in(form):
            if not made.whole_row:
                _check_looked_for(place, made)
            elif made.operator not in classes:
                near = _nearest(made.operator, tuple(sorted(classes)))
                raise RowError(
                    place, f"no row is about a class {made.operator!r}; did you mean {near}?"
                )
    for formula in row.where:
        _check_formula(formula, frozenset(names), language, False, guarded=True)
    _check_body(row.body, frozenset(names), language, False, guarded=True)


def _check_looked_for(place: Place, made: Made) -> None:
    if not opsets_of(made.operator):
        near = _nearest(made.operator, all_operators())
        raise RowError(place, f"{made.operator!r} is no ONNX operator; did you mean {near}?")
    for attribute, _ in made.attributes:
        if attribute not in attributes_of(made.operator):
            listed = ", ".join(sorted(attributes_of(made.operator))) or "none"
            raise RowError(
                place, f"{attribute!r} is no attribute of {made.operator}; it has: {listed}"
            )
    most = max(schema_of(made.operator, n).max_input for n in opsets_of(made.operator))
    if len(made.inputs) > most:
        raise RowError(
            place, f"{made.operator} takes at most {most} inputs, not {len(made.inputs)}"
        )


def check_definition(definition: Definition, language: Language) -> None:
    """Check a definition's body; see `check_row`."""
    in_scope = frozenset(definition.parameters) | SEEN_BY_DEFINITIONS
    _check_body(definition.body, in_scope, language, False)


def check_no_recursion(language: Language) -> None:
    """Check that no definition calls itself, also through others: lists are folded.

    Raises:
        RowError: At the first one that does, with the way back to itself.
    """
    calls = {d.name: _called(d, language) for d in language.definitions.values()}
    for definition in language.definitions.values():
        way = _way_to_itself(definition.name, calls)
        if way is not None:
            through = f" through {', '.join(way)}" if way else ""
            raise RowError(
                definition.place,
                f"{definition.name} calls itself{through}: go along a vector with a list "
                "comprehension or a fold, such as fold(Add(total, x), total=xs[0], x=xs[1:])",
            )


def _way_to_itself(start: str, calls: Mapping[str, Sequence[str]]) -> tuple[str, ...] | None:
    """Return the definitions that lead from one back to itself; None where none do."""
    ways: list[tuple[str, tuple[str, ...]]] = [(start, ())]
    seen: set[str] = set()
    for name, way in ways:
        for called in calls[name]:
            if called == start:
                return way
            if called not in seen:
                seen.add(called)
                ways.append((called, (*way, called)))
    return None


def _called(definition: Definition, language: Language) -> list[str]:
    """Return the definitions that a definition calls, in order."""
    trees = [f.tree for statement in definition.body for f in statement.formulas]
    calls = [call.func for tree in trees for call, _ in _calls(tree, False)]
    names = [func.id for func in calls if isinstance(func, ast.Name)]
    return [name for name in dict.fromkeys(names) if name in language.definitions]


def _check_body(
    body: tuple[Statement, ...],
    in_scope: frozenset[str],
    language: Language,
    open_names: bool,
    given: Given = frozenset(),
    guarded: bool = False,
) -> None:
    names = set(in_scope)
    for statement in body:
        if statement.guard is not None:
            _check_formula(statement.guard, frozenset(names), language, open_names)
            guarded = guarded or _asks(statement.guard.tree)
        _check_formula(statement.formula, frozenset(names), language, open_names, given, guarded)
        names.update(statement.targets)


def _check_formula(
    formula: Formula,
    in_scope: frozenset[str],
    language: Language,
    open_names: bool,
    given: Given = frozenset(),
    guarded: bool = False,
) -> None:
    for name in sorted(formula.names):
        if name not in in_scope and name not in language.constants and not open_names:
            raise RowError(
                formula.place,
                f"{name!r} is not defined; there are: {', '.join(sorted(in_scope))}",
            )
    for call, asked in _calls(formula.tree, guarded):
        name = call.func.id  # type: ignore[attr-defined]
        if name[0].isupper():
            _check_node(formula.place, call, name, asked)
            _check_required(formula.place, call, name, given)
        else:
            _check_function(formula.place, call, name, language)


def _check_required(place: Place, call: ast.Call, op_type: str, given: Given) -> None:
    """Check that a node has what it can't be without, from its keywords or from `to:` verbs."""
    spot = call_spot(place, call)
    has = {k.arg for k in call.keywords} | {target for at, target in given if at == spot}
    missing = sorted(required_attributes(op_type) - has)
    if missing:
        raise RowError(
            place, f"column {call.col_offset + 1}: {op_type} needs the attribute {missing[0]!r}"
        )


def _calls(tree: ast.AST, guarded: bool) -> Iterator[tuple[ast.Call, bool]]:
    """Yield calls; guarded ones stand in a condition that asks for the opset or a kernel."""
    if isinstance(tree, ast.IfExp):
        guarded = guarded or _asks(tree.test)
    if isinstance(tree, ast.Call):
        yield tree, guarded
    for child in ast.iter_child_nodes(tree):
        yield from _calls(child, guarded)


def _asks(condition: ast.expr) -> bool:
    """Tell whether a condition asks for the opset or a kernel."""
    return any(isinstance(n, ast.Name) and n.id in _GUARDS for n in ast.walk(condition))


def _check_node(place: Place, call: ast.Call, op_type: str, guarded: bool) -> None:
    column = f"column {call.col_offset + 1}"
    existing = opsets_of(op_type)
    if not existing:
        near = _nearest(op_type, all_operators())
        raise RowError(place, f"{column}: {op_type!r} is no ONNX operator; did you mean {near}?")
    if len(existing) < len(OPSETS) and not guarded:
        raise RowError(
            place,
            f"{column}: {op_type} exists only at opsets {existing[0]} to {existing[-1]}: "
            f"guard it, `… if opset >= {existing[0]} else …`",
        )
    for keyword in call.keywords:
        if keyword.arg not in attributes_of(op_type) and keyword.arg != "outputs":
            listed = ", ".join(sorted(attributes_of(op_type))) or "none"
            raise RowError(
                place, f"{column}: {keyword.arg!r} is no attribute of {op_type}; it has: {listed}"
            )
        _check_literal(place, op_type, keyword)
    if any(isinstance(argument, ast.Starred) for argument in call.args):
        return
    schemas = [schema_of(op_type, opset) for opset in existing]
    least = min(schema.min_input for schema in schemas)
    most = max(schema.max_input for schema in schemas)
    if not least <= len(call.args) <= most:
        raise RowError(
            place, f"{column}: {op_type} takes {least} to {most} inputs, not {len(call.args)}"
        )


_LITERALS: dict[str, tuple[type, ...]] = {
    "INT": (bool, int),
    "FLOAT": (bool, int, float),
    "STRING": (str,),
}


def _check_literal(place: Place, op_type: str, keyword: ast.keyword) -> None:
    if keyword.arg is None or not isinstance(keyword.value, ast.Constant):
        return
    literal = keyword.value.value
    for opset in opsets_of(op_type):
        schema = schema_of(op_type, opset)
        if keyword.arg not in schema.attributes or literal is None:
            continue
        kind = attribute_kind(schema, keyword.arg)
        if kind == "INT" and isinstance(literal, str) and literal in DTYPES:
            continue
        if not isinstance(literal, _LITERALS.get(kind, ())):
            raise RowError(
                place,
                f"column {keyword.value.col_offset + 1}: {op_type}'s {keyword.arg} is of type "
                f"{kind}, not {literal!r}",
            )


def _check_function(place: Place, call: ast.Call, name: str, language: Language) -> None:
    column = f"column {call.col_offset + 1}"
    if name not in language.callable_names:
        near = difflib.get_close_matches(name, sorted(language.callable_names), 3, 0.5)
        meant = f"did you mean {' or '.join(near)}?" if near else "docs/vocabulary.md lists them"
        raise RowError(place, f"{column}: no function {name!r} in the formula language; {meant}")
    declared = language.calls.get(name)
    starred = any(isinstance(argument, ast.Starred) for argument in call.args)
    if declared is not None and not starred and declared.answerer != "language":
        problem = declared.count_problem(len(call.args))
        if problem:
            raise RowError(place, f"{column}: {problem}")
        for position, argument in enumerate(call.args):
            _check_argument(place, column, name, declared.kind_at(position), argument)
    elif declared is None and not starred:
        parameters = language.definitions[name].parameters
        if len(call.args) != len(parameters):
            raise RowError(
                place,
                f"{column}: {name} takes {len(parameters)} arguments ({', '.join(parameters)}), "
                f"not {len(call.args)}",
            )


def _check_argument(place: Place, column: str, name: str, kind: Kind, argument: ast.expr) -> None:
    """Check an argument that is written out: a literal must be of the kind that is taken."""
    if not isinstance(argument, ast.Constant):
        return
    literal = argument.value
    if not kind.fits(literal):
        raise RowError(place, f"{column}: {name} takes {kind.words}, not {literal!r}")
    known = {OPERATOR: all_operators(), DTYPE: DTYPES}.get(kind)
    if known is not None and literal not in known:
        what = "ONNX operator" if kind is OPERATOR else "dtype"
        raise RowError(
            place,
            f"{column}: {literal!r} is no {what}; did you mean {_nearest(str(literal), known)}?",
        )


def _nearest(name: str, names: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(name, names, 3, 0.5)
    return " or ".join(close) or f"one of {len(names)} that there are"


def _hook_calls(verb: Any) -> Iterator[HookCall]:
    if isinstance(verb, To) and isinstance(verb.otherwise, HookCall):
        yield verb.otherwise
    if isinstance(verb, Rewrite):
        yield from (body for _, body in verb.inputs if isinstance(body, HookCall))


def check_class(row: Row) -> None:
    """Check a row against the class itself: every `__props__` entry accounted for, none invented.

    Raises:
        RowError: When the class is loaded and the row does not fit it.
    """
    found = installed_class(row)
    if found is None:
        return
    if not issubclass(found, Op):
        raise RowError(row.locate("op"), f"{row.ops[0]} is no Op")
    fit = fit_of(row, found)
    for misfit in fit.misfits:
        raise RowError(misfit.place, f"{row.name} {misfit.problem}")
    for name in fit.unread:
        raise RowError(row.place, unread_problem(row, name))
