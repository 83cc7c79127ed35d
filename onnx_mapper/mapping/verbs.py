"""What a row does with an op's attributes and inputs before its body, and in it."""

from __future__ import annotations

from typing import Any

from onnx_mapper.errors import RefusedHere, RowError
from onnx_mapper.language.nodes import Nodes, Source
from onnx_mapper.language.scope import Formula, Scope, run_body, truth
from onnx_mapper.language.tensors import Value
from onnx_mapper.language.values import DTYPES, StaticError, Vector, as_static, describe
from onnx_mapper.mapping.site import Dtypes, Site
from onnx_mapper.rows.hooks import HOOKS
from onnx_mapper.rows.model import HookCall, Require, Rewrite, Row, To
from onnx_mapper.rows.op_classes import props_of


def attribute_of(op: Any, name: str, dtypes: Dtypes) -> Any:
    """Return an attribute of an op as formulas see it; None where the op has none."""
    return dtypes.attribute(as_static(getattr(op, name, None)))


def attribute_names(row: Row, op: Any) -> list[str]:
    """Return the names of all attributes that a row's formulas may read."""
    props = getattr(op, "__props__", None) or ()
    return [*props, *row.reads, *(attribute.name for attribute in row.attributes)]


def bind_inputs(row: Row, site: Site) -> dict[str, Any]:
    """Return what flows in by the names that a row gives it.

    Raises:
        RowError: When the row names fewer or more inputs than there are.
    """
    bound: dict[str, Any] = {}
    given = list(site.inputs)
    inputs = row.inputs_beside(props_of(site.op))
    for name in inputs:
        if name.startswith("*"):
            bound[name[1:]] = Vector(given)
            given = []
        elif given:
            bound[name.rstrip("?")] = given.pop(0)
        elif name.endswith("?"):
            bound[name[:-1]] = None
        else:
            raise _other_inputs(row, site, len(inputs))
    if given and row.inputs:
        raise _other_inputs(row, site, len(inputs))
    return bound


def _other_inputs(row: Row, site: Site, named: int) -> RowError:
    return RowError(
        row.locate("inputs"), f"{named} inputs are named, and {site.op} has {len(site.inputs)}"
    )


def current_inputs(row: Row, scope: Scope, site: Site) -> tuple[Any, ...]:
    """Return the inputs in order, as casts and rewrites have left them."""
    if not row.inputs:
        return site.inputs
    current: list[Any] = []
    for name in row.inputs_beside(props_of(site.op)):
        value = scope.names[name.strip("*?")]
        current.extend(value if name.startswith("*") else [value])
    return tuple(current[: len(site.inputs)])


def check_requirements(row: Row, scope: Scope, site: Site, dtypes: Dtypes) -> None:
    """Check the values that a row is written for.

    Raises:
        RefusedHere: At the first that is another, with the reason that the row gives.
    """
    for attribute in row.attributes:
        verb = attribute.verb
        if not isinstance(verb, Require):
            continue
        value = attribute_of(site.op, attribute.name, dtypes)
        if attribute.optional and not hasattr(site.op, attribute.name):
            continue
        if value != verb.value or isinstance(value, bool) != isinstance(verb.value, bool):
            raise RefusedHere(
                f"{row.name}.{attribute.name} is {describe(value)}, must be "
                f"{describe(verb.value)}. {verb.because}".strip(),
                row.title,
            )
    for need in row.needs:
        if not need.condition.holds(scope):
            raise RefusedHere(
                f"{row.name} needs {need.condition.text}. {need.because}".strip(), row.title
            )


def promote_inputs(row: Row, scope: Scope, nodes: Nodes) -> None:
    """Cast the inputs to the dtypes that the row promotes them to."""
    for name, formula in row.promote:
        names = row.input_names() if name is None else (name,)
        dtype = formula.evaluate(scope)
        if dtype not in DTYPES:
            raise RowError(
                formula.place,
                f"promote gives {describe(dtype)}, which is no dtype; there are: {', '.join(DTYPES)}",
            )
        for input_name in names:
            scope.names[input_name] = _cast(scope.names[input_name], dtype, nodes)


def _cast(value: Any, dtype: Any, nodes: Nodes) -> Any:
    if isinstance(value, Vector):
        return Vector(_cast(item, dtype, nodes) for item in value)
    return nodes.cast(value, dtype) if isinstance(value, Value) else value


def rewrite_inputs(row: Row, scope: Scope, site: Site, nodes: Nodes, dtypes: Dtypes) -> None:
    """Replace inputs as `rewrite` verbs of true attributes, and the row's own `rewrite`, say."""
    for attribute in row.attributes:
        if not isinstance(attribute.verb, Rewrite):
            continue
        if not truth(attribute_of(site.op, attribute.name, dtypes)):
            continue
        replaced = {
            name: _formula_or_hook(body, scope, scope.names[name], nodes)
            for name, body in attribute.verb.inputs
        }
        scope.names.update(replaced)
    scope.names.update({name: body.evaluate(scope) for name, body in row.rewrite})


def _formula_or_hook(body: Formula | HookCall, scope: Scope, subject: Any, nodes: Nodes) -> Any:
    if isinstance(body, Formula):
        return body.evaluate(scope)
    hook = HOOKS[body.name]
    try:
        if isinstance(subject, Value):
            return hook(subject, nodes)
        return hook(subject)
    except (StaticError, TypeError) as error:
        raise RowError(body.place, f"the hook {body.name}: {error}") from None


def run_row_body(row: Row, scope: Scope, site: Site, nodes: Nodes) -> tuple[Any, ...]:
    """Run the statements of a row, with the attributes that `to` verbs hand to its calls."""
    injected: dict[tuple[str, int], dict[str, Any]] = {}
    cases = []
    for attribute in row.attributes:
        if isinstance(attribute.verb, To):
            value, case = _handed_on(row, attribute.name, attribute.verb, scope, nodes)
            injected.setdefault(attribute.verb.spot, {})[attribute.verb.target] = value
            cases.extend(case)
    scope.injected = injected
    source = nodes.source
    with nodes.sourced(Source(source.op, source.row, ", ".join(cases))):
        result = run_body(row.body, scope)
    if row.outputs:
        return tuple(scope.names[name] for name in row.outputs)
    several = isinstance(result, Vector) and (
        len(site.outputs) > 1 or all(isinstance(item, Value) for item in result or [None])
    )
    return tuple(result) if several else (result,)


def _handed_on(row: Row, name: str, verb: To, scope: Scope, nodes: Nodes) -> tuple[Any, list[str]]:
    """Return what a `to` verb makes of an attribute, and the table entry that it chose."""
    value = scope.lookup(name)
    for key, formula in verb.table:
        if key == value and isinstance(key, bool) == isinstance(value, bool):
            return formula.evaluate(scope), [f"{name}: {key}"]
    if verb.otherwise is not None:
        return _formula_or_hook(verb.otherwise, scope, value, nodes), []
    if verb.value is not None:
        return verb.value.evaluate(scope), []
    if verb.table:
        listed = ", ".join(str(key) for key, _ in verb.table)
        raise RefusedHere(f"{row.name}.{name} is {describe(value)}; it must be one of: {listed}")
    return value, []
