"""How a case says which PyTensor graph it is about: restricted Python over PyTensor's builders.

`pt.inc_subtensor(x[1:3], y)`, `op(axis=axis)(x)`, `(x @ y).T`: operators, indexing and public
functions of PyTensor. Cases come from mapping files that strangers may have written: names
resolve only to functions and Ops that PyTensor itself defines and that touch nothing but the
graph, and only they can be called.
"""

from __future__ import annotations

import ast
import inspect
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from onnx_mapper.conformance.graphs.fusion import fused
from onnx_mapper.conformance.graphs.openness import (
    check_constructor,
    check_texts,
    is_graph,
    is_open,
    is_variable,
    module,
    tensor_methods,
)
from onnx_mapper.conformance.graphs.steps import (
    LOOPS,
    WORDS,
    Each,
    Earlier,
    Until,
    bound_names,
    computed_as,
    looped,
    rewritten,
    saved,
    scanned,
)
from onnx_mapper.errors import Place, RowError
from onnx_mapper.language.compiler import SYMBOLS
from onnx_mapper.language.formula import LONGEST_FORMULA
from onnx_mapper.language.text import shortened
from onnx_mapper.language.values import StaticError, Vector, arithmetic, as_static, is_number

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.MatMult: operator.matmul,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.Invert: operator.invert,
    ast.Not: operator.not_,
}
_ALLOWED = (
    ast.Expression, ast.Name, ast.Constant, ast.BinOp, ast.UnaryOp, ast.Compare, ast.BoolOp,
    ast.IfExp, ast.Call, ast.keyword, ast.Attribute, ast.Subscript, ast.Slice, ast.Tuple, ast.List,
    ast.Starred, ast.Load, ast.operator, ast.unaryop, ast.cmpop, ast.boolop,
)  # fmt: skip

_ROOTS = {
    "pt": "pytensor.tensor",
    "scalar": "pytensor.scalar",
    "xtensor": "pytensor.xtensor",
    "conditional": "pytensor.conditional",
    "sparse": "pytensor.sparse",
    "assumptions": "pytensor.assumptions",
    "interpolate": "scipy.interpolate",
}
_CLASSES = {"ValueError": ValueError, "IndexError": IndexError}


@dataclass(frozen=True)
class GraphFormula:
    """An expression over PyTensor's builders.

    Attributes:
        text: The expression as written.
        place: Where it stands.
        tree: Its syntax tree.
        names: The free names that it reads.
    """

    text: str
    place: Place
    tree: ast.expr = field(compare=False, repr=False)
    names: frozenset[str] = field(compare=False, repr=False)

    def build(self, names: Mapping[str, Any]) -> Any:
        """Build the graph.

        Args:
            names: PyTensor variables, static values, and `op`, the class of the row.

        Raises:
            RowError: When the expression asks for what PyTensor or this language lacks.
        """
        return GraphEvaluator(self.place, names).visit(self.tree)


def parse_graph(text: str, place: Place) -> GraphFormula:
    """Check an expression over PyTensor's builders; nothing is computed yet.

    Raises:
        RowError: When it is too long, no expression, or uses what cases may not.

    Example:
        >>> sorted(parse_graph("pt.inc_subtensor(x[1:3], y)", Place("rows.yaml", 3)).names)
        ['x', 'y']
    """
    if len(text) > LONGEST_FORMULA:
        raise RowError(place, f"{len(text)} characters; {LONGEST_FORMULA} are allowed")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise RowError(place, f"no expression: {error} in {shortened(text)!r}") from None
    names = set()
    bound: set[str] = set()
    for node in ast.walk(tree):
        bound |= bound_names(node)
        column = f"column {getattr(node, 'col_offset', 0) + 1}"
        if not isinstance(node, _ALLOWED):
            raise RowError(place, f"{column}: {type(node).__name__} is not allowed in a case")
        if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
            raise RowError(place, f"{column}: {node.attr!r} is private")
        if isinstance(node, ast.keyword) and node.arg is None:
            raise RowError(place, f"{column}: ** is not allowed in a case")
        if isinstance(node, ast.Name):
            names.add(node.id)
    own = {*_ROOTS, *_CLASSES, *WORDS, *bound, "op", "fused"}
    return GraphFormula(text, place, tree, frozenset(names - own))


class GraphEvaluator:
    """Evaluates a checked tree."""

    def __init__(self, place: Place, names: Mapping[str, Any]) -> None:
        self.place = place
        self.names = names

    def refuse(self, node: ast.AST, problem: str) -> RowError:
        """Return the error that says what is wrong with a part of the tree."""
        column = getattr(node, "col_offset", 0) + 1
        return RowError(self.place, f"column {column}: {problem}")

    def visit(self, node: ast.AST) -> Any:
        """Return the value of a part of the tree."""
        return getattr(self, f"_{type(node).__name__.lower()}")(node)

    def _constant(self, node: ast.Constant) -> Any:
        return node.value

    def _name(self, node: ast.Name) -> Any:
        if node.id in self.names:
            return self.names[node.id]
        if node.id in _CLASSES:
            return _CLASSES[node.id]
        listed = ", ".join(sorted({*self.names, *_ROOTS, *_CLASSES}))
        raise self.refuse(node, f"{node.id!r} is not defined; there are: {listed}")

    def _tuple(self, node: ast.Tuple) -> Any:
        return tuple(self._items(node.elts))

    def _list(self, node: ast.List) -> Any:
        return self._items(node.elts)

    def _items(self, nodes: Sequence[ast.expr]) -> list[Any]:
        items: list[Any] = []
        for node in nodes:
            if isinstance(node, ast.Starred):
                items.extend(self.visit(node.value))
            else:
                items.append(self.visit(node))
        return items

    def _binop(self, node: ast.BinOp) -> Any:
        left, right = self.visit(node.left), self.visit(node.right)
        if _is_static(left) and _is_static(right):
            return _plain(self._static(node, left, right))
        compute = _BINARY.get(type(node.op))
        if compute is None or isinstance(left, str) or isinstance(right, str):
            raise self.refuse(node, f"{type(node.op).__name__} takes tensors and numbers")
        return compute(left, right)

    def _static(self, node: ast.BinOp, left: Any, right: Any) -> Any:
        symbol = SYMBOLS.get(type(node.op))
        if symbol is None:
            raise self.refuse(node, f"{type(node.op).__name__} takes tensors")
        try:
            return arithmetic(symbol, as_static(left), as_static(right))
        except StaticError as error:
            raise self.refuse(node, str(error)) from None

    def _unaryop(self, node: ast.UnaryOp) -> Any:
        compute = _UNARY.get(type(node.op))
        if compute is None:
            raise self.refuse(node, f"the operator {type(node.op).__name__} is not allowed")
        return compute(self.visit(node.operand))

    def _compare(self, node: ast.Compare) -> Any:
        if len(node.ops) != 1:
            raise self.refuse(node, "compare two things at a time")
        return _COMPARE[type(node.ops[0])](self.visit(node.left), self.visit(node.comparators[0]))

    def _boolop(self, node: ast.BoolOp) -> Any:
        values = [self.visit(value) for value in node.values]
        return all(values) if isinstance(node.op, ast.And) else any(values)

    def _ifexp(self, node: ast.IfExp) -> Any:
        return self.visit(node.body if self.visit(node.test) else node.orelse)

    def _slice(self, node: ast.Slice) -> slice:
        bounds = (node.lower, node.upper, node.step)
        return slice(*(None if part is None else self.visit(part) for part in bounds))

    def _subscript(self, node: ast.Subscript) -> Any:
        return self.visit(node.value)[self.visit(node.slice)]

    def _attribute(self, node: ast.Attribute) -> Any:
        path = _dotted(node)
        if path is not None:
            return self._public(node, path)
        owner = self.visit(node.value)
        if node.attr in tensor_methods() and is_variable(owner):
            return getattr(owner, node.attr)
        raise self.refuse(node, f"{node.attr!r} is no method or property of tensors")

    def _public(self, node: ast.Attribute, path: list[str]) -> Any:
        found: Any = module(_ROOTS[path[0]])
        for name in path[1:]:
            found = getattr(found, name, None)
            if isinstance(found, ModuleType) and not found.__name__.startswith("pytensor."):
                found = None
        if not is_open(found):
            raise self.refuse(node, f"{'.'.join(path)} is no builder of PyTensor's graphs")
        return found

    def _call(self, node: ast.Call) -> Any:
        if isinstance(node.func, ast.Name) and node.func.id in WORDS:
            return self._stepwise(node, node.func.id)
        if _is_name(node.func, "fused"):
            return fused(self._items(node.args))
        called = self._op(node) if _is_name(node.func, "op") else self.visit(node.func)
        if not callable(called) or isinstance(called, ModuleType):
            raise self.refuse(node, "only PyTensor's functions, Ops and methods can be called")
        arguments = self._items(node.args)
        keywords = {k.arg: self.visit(k.value) for k in node.keywords if k.arg}
        check_texts([*arguments, *keywords.values()], self.place)
        if inspect.isclass(called):
            check_constructor(called, arguments, keywords, self.place)
        result = called(*arguments, **keywords)
        if not is_graph(result):
            raise self.refuse(node, f"gives a {type(result).__name__}, which is no graph")
        return result

    def _stepwise(self, node: ast.Call, word: str) -> Any:
        """`scan([h * s, until(h > 9)], s=each(x), h=earlier(h0))` and `grad(cost, [x])`."""
        if word in LOOPS:
            given = {k.arg: self.visit(k.value) for k in node.keywords if k.arg}
            body = node.args[0] if len(node.args) == 1 else None
            if not isinstance(body, ast.List) or not body.elts:
                raise self.refuse(node, f"{word} takes a list of what a step gives")
            results = body.elts

            def step(names: Mapping[str, Any]) -> list[Any]:
                return GraphEvaluator(self.place, {**self.names, **names})._items(results)

            return scanned(step, given) if word == "scan" else looped(self._op(node), step, given)
        arguments = self._items(node.args)
        if word == "computed_as":
            return computed_as(*arguments)
        if word == "saved":
            return saved(*arguments)
        if word == "rewritten":
            return rewritten(*arguments)
        if word == "until":
            return Until(*arguments)
        if word == "grad":
            from pytensor.gradient import grad

            return grad(*arguments)
        first, *taps = arguments
        return (Each if word == "each" else Earlier)(first, tuple(taps))

    def _op(self, node: ast.Call) -> Any:
        if "op" not in self.names:
            raise self.refuse(node, "`op` stands for the row's class, which is not installed")
        return self.names["op"]


def _dotted(node: ast.Attribute) -> list[str] | None:
    """Return `pt.linalg.inv` as its parts; None when it doesn't start at a module."""
    parts = [node.attr]
    value: ast.expr = node.value
    while isinstance(value, ast.Attribute):
        parts.append(value.attr)
        value = value.value
    if isinstance(value, ast.Name) and value.id in _ROOTS:
        return [value.id, *reversed(parts)]
    return None


def _is_name(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _is_static(value: Any) -> bool:
    return is_number(value) or (
        isinstance(value, list | tuple) and all(_is_static(item) for item in value)
    )


def _plain(value: Any) -> Any:
    return tuple(_plain(item) for item in value) if isinstance(value, Vector) else value
