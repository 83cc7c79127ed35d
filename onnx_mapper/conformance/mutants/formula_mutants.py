"""Lies about one formula: its syntax tree with one small thing changed."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import onnx.defs

from onnx_mapper.language.values import DTYPES
from onnx_mapper.language.vocabulary import CALLS
from onnx_mapper.model.operator_facts import facts_of
from onnx_mapper.model.operators import all_operators, attributes_of
from onnx_mapper.opsets import DEFAULT_OPSET

_OPERATORS = {
    "Add": "Sub", "Sub": "Add", "Mul": "Div", "Div": "Mul", "Pow": "Mul", "Mod": "Div",
    "Max": "Min", "Min": "Max", "And": "Or", "Or": "And", "Xor": "Or",
    "BitwiseAnd": "BitwiseOr", "BitwiseOr": "BitwiseXor", "BitwiseXor": "BitwiseAnd",
    "Less": "LessOrEqual", "LessOrEqual": "Less", "Greater": "GreaterOrEqual",
    "GreaterOrEqual": "Greater", "Equal": "LessOrEqual",
    "ReduceMax": "ReduceMin", "ReduceMin": "ReduceMax", "ReduceSum": "ReduceProd",
    "ReduceProd": "ReduceSum", "ReduceMean": "ReduceSum", "ArgMax": "ArgMin", "ArgMin": "ArgMax",
    "Floor": "Ceil", "Ceil": "Floor", "Round": "Floor", "Sin": "Cos", "Cos": "Sin",
    "Exp": "Abs", "Log": "Abs", "Sqrt": "Abs", "Abs": "Neg", "Neg": "Abs", "Sign": "Neg",
    "Tanh": "Sigmoid", "Sigmoid": "Tanh", "Softmax": "LogSoftmax", "LogSoftmax": "Softmax",
    "Sinh": "Cosh", "Cosh": "Sinh", "Asin": "Acos", "Acos": "Asin", "Asinh": "Atan",
    "Atan": "Asinh", "Tan": "Sin", "IsNaN": "IsInf", "IsInf": "IsNaN", "Gather": "GatherElements",
    "Squeeze": "Unsqueeze", "Unsqueeze": "Squeeze",
}  # fmt: skip
_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}  # fmt: skip
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult, ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult,
}  # fmt: skip
_DTYPES = {
    "float64": "float32", "float32": "float64", "int64": "int32", "int32": "int64",
    "bool": "uint8", "float16": "float32", "int8": "uint8", "uint8": "int8", "int16": "int8",
    "uint16": "int16", "uint32": "int32", "uint64": "int64",
}  # fmt: skip


@dataclass(frozen=True)
class Change:
    """A formula with one thing changed.

    Attributes:
        label: What is changed: `Sub(u, 1) => Add(u, 1)`.
        text: The whole formula after the change.
    """

    label: str
    text: str


def changes(text: str) -> Iterator[Change]:
    """Yield every small lie about a formula, or about a statement `name = formula`.

    Example:
        >>> [change.label for change in changes("Sub(x, 1)")]
        ['Sub(x, 1) => Add(x, 1)', 'Sub(x, 1) => Sub(1, x)', '1 => 2']
    """
    tree = ast.parse(text.strip())
    seen: dict[str, int] = {}
    unordered = {id(part) for node in ast.walk(tree) for part in _unordered(node)}
    for position, node in enumerate(ast.walk(tree)):
        if not isinstance(node, ast.expr) or id(node) in unordered:
            continue
        for variant in _variants(node):
            changed = ast.unparse(_replaced(tree, position, variant))
            label = f"{ast.unparse(node)} => {ast.unparse(variant)}"
            if changed == ast.unparse(tree):
                continue
            seen[label] = count = seen.get(label, 0) + 1
            yield Change(label if count == 1 else f"{label} ({count})", changed)


def _unordered(node: ast.AST) -> list[ast.expr]:
    """Return the vectors whose order has no meaning: what `in` looks through."""
    if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In | ast.NotIn):
        return node.comparators
    return []


def _replaced(tree: ast.Module, position: int, variant: ast.expr) -> ast.Module:
    copied = copy.deepcopy(tree)
    target = list(ast.walk(copied))[position]
    for parent in ast.walk(copied):
        for name, value in ast.iter_fields(parent):
            if value is target:
                setattr(parent, name, variant)
            elif isinstance(value, list) and any(item is target for item in value):
                setattr(parent, name, [variant if item is target else item for item in value])
    return copied


def _variants(node: ast.expr) -> Iterator[ast.expr]:
    if isinstance(node, ast.IfExp):
        yield node.body
        yield node.orelse
    elif isinstance(node, ast.Compare):
        yield ast.Compare(
            node.left, [_COMPARISONS[type(node.ops[0])](), *node.ops[1:]], node.comparators
        )
    elif isinstance(node, ast.BoolOp):
        for dropped in range(len(node.values)):
            kept = [v for i, v in enumerate(node.values) if i != dropped]
            yield kept[0] if len(kept) == 1 else ast.BoolOp(node.op, kept)
    elif isinstance(node, ast.UnaryOp) and not isinstance(node.operand, ast.Constant):
        yield node.operand
    elif isinstance(node, ast.BinOp):
        yield ast.BinOp(node.left, _ARITHMETIC[type(node.op)](), node.right)
    elif isinstance(node, ast.Constant):
        yield from _constants(node)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        yield from _calls(node, node.func.id)
    elif isinstance(node, ast.List | ast.Tuple) and isinstance(node.ctx, ast.Load):
        yield ast.List(list(reversed(node.elts)), ast.Load())
    elif isinstance(node, ast.ListComp) and node.generators[0].ifs:
        loop = node.generators[0]
        yield ast.ListComp(node.elt, [ast.comprehension(loop.target, loop.iter, [], 0)])


def _constants(node: ast.Constant) -> Iterator[ast.expr]:
    value = node.value
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, int):
        yield ast.Constant(value + 1)
    elif isinstance(value, float):
        yield ast.Constant(value * 2 if value else 1.0)
    elif isinstance(value, str):
        yield ast.Constant(_DTYPES[value] if value in DTYPES else f"{value}_")


def _calls(node: ast.Call, name: str) -> Iterator[ast.expr]:
    keywords = [keyword.arg for keyword in node.keywords if keyword.arg]
    declared = CALLS.get(name)
    own = declared.sibling if declared else ""
    sibling = _sibling(name, tuple(keywords)) if name[0].isupper() else own
    if sibling:
        yield ast.Call(ast.Name(sibling, ast.Load()), node.args, node.keywords)
    plain = not any(isinstance(argument, ast.Starred) for argument in node.args)
    ordered = not facts_of(name).commutative and not (declared and declared.commutative)
    if ordered and plain:
        for first in range(len(node.args) - 1):
            swapped = list(node.args)
            swapped[first], swapped[first + 1] = swapped[first + 1], swapped[first]
            yield ast.Call(node.func, swapped, node.keywords)
    if not name[0].isupper():
        return
    if len(node.args) == 1 and plain:
        yield node.args[0]
    for dropped in node.keywords:
        if dropped.arg != "outputs":
            kept = [keyword for keyword in node.keywords if keyword is not dropped]
            yield ast.Call(node.func, node.args, kept)


@cache
def _sibling(name: str, keywords: tuple[str, ...]) -> str | None:
    """Return an operator that takes what this one takes."""
    if name in _OPERATORS:
        return _OPERATORS[name] if set(keywords) <= set(attributes_of(_OPERATORS[name])) else None
    own = _signature(name)
    for other in all_operators():
        if (
            other != name
            and _signature(other) == own
            and set(keywords) <= set(attributes_of(other))
        ):
            return other
    return None


@cache
def _signature(name: str) -> tuple[object, ...] | None:
    try:
        schema = onnx.defs.get_schema(name, DEFAULT_OPSET, "")
    except onnx.defs.SchemaError:
        return None
    allowed = {c.type_param_str: frozenset(c.allowed_type_strs) for c in schema.type_constraints}
    inputs = tuple(allowed.get(i.type_str, i.type_str) for i in schema.inputs)
    outputs = tuple(allowed.get(o.type_str, o.type_str) for o in schema.outputs)
    return schema.min_input, schema.max_input, inputs, outputs
