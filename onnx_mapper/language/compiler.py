"""From a syntax tree to a function of a scope, refusing all that is not listed here."""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Callable, Sequence
from typing import Any

from onnx_mapper.errors import Place, RowError
from onnx_mapper.language.calls import compile_call
from onnx_mapper.language.scope import Compute, Language, Limit, Scope, truth
from onnx_mapper.language.tensors import TensorType, Value
from onnx_mapper.language.values import (
    LONGEST_VECTOR,
    StaticError,
    Unknown,
    Vector,
    arithmetic,
    as_static,
    describe,
    is_number,
)

DEEPEST_TREE = 60
MOST_STEPS_AT_LOAD = 20_000

SYMBOLS: dict[type[ast.operator], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.Pow: "**",
}

_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: lambda a, b: _equal(a, b),
    ast.NotEq: lambda a, b: not _equal(a, b),
    ast.Lt: lambda a, b: _ordered("<", a, b) and a < b,
    ast.LtE: lambda a, b: _ordered("<=", a, b) and a <= b,
    ast.Gt: lambda a, b: _ordered(">", a, b) and a > b,
    ast.GtE: lambda a, b: _ordered(">=", a, b) and a >= b,
    ast.Is: lambda a, b: a is b,
    ast.IsNot: lambda a, b: a is not b,
    ast.In: lambda a, b: _contains(b, a),
    ast.NotIn: lambda a, b: not _contains(b, a),
}


def _equal(left: Any, right: Any) -> bool:
    if isinstance(left, Value) or isinstance(right, Value):
        raise StaticError("tensors can't be compared while exporting: use Equal")
    return bool(left == right)


def _ordered(symbol: str, left: Any, right: Any) -> bool:
    for side in (left, right):
        if isinstance(side, Value):
            raise StaticError(
                f"{describe(side)} can't be compared while exporting: use Less or Greater"
            )
        if isinstance(side, Unknown):
            raise StaticError(f"{describe(side)} can't be compared with {symbol!r}")
        if not is_number(side):
            raise StaticError(
                f"{describe(side)} can't be compared with {symbol!r}, which takes numbers"
            )
    return True


def _contains(box: Any, item: Any) -> bool:
    if not isinstance(box, Vector | str):
        raise StaticError(f"'in' takes a vector or a text on its right, not {describe(box)}")
    if isinstance(item, Value) or (isinstance(box, str) and not isinstance(item, str)):
        raise StaticError(f"{describe(item)} can't be looked for with 'in'")
    return item in box


class Compiler:
    """Turns a syntax tree into a function of a scope, refusing all that is not listed here."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.names: set[str] = set()
        self.bound: list[str] = []
        self.depth = 0

    def refuse(self, node: ast.AST, problem: str) -> RowError:
        """Return the error that tells a problem with its place."""
        column = getattr(node, "col_offset", 0) + 1
        return RowError(self.place, f"column {column}: {problem}")

    def compile(self, node: ast.expr, outputs: int = 1) -> Compute:
        """Return the function of a scope that an expression is, with so many outputs."""
        self.depth += 1
        if self.depth > DEEPEST_TREE:
            raise self.refuse(node, f"nested more than {DEEPEST_TREE} deep")
        handler = getattr(self, f"_{type(node).__name__.lower()}", None)
        if handler is None:
            raise self.refuse(
                node,
                f"{type(node).__name__} is not part of the formula language; it has names, "
                "literals, arithmetic, comparisons, conditions, calls, indexing, slicing, "
                "lists and list comprehensions",
            )
        free_before = set(self.names)
        self.names = set()
        compute: Compute = handler(node, outputs) if outputs > 1 else handler(node)
        constant = not self.names and not _calls(node)
        self.names |= free_before
        self.depth -= 1
        if constant and not isinstance(node, ast.Constant) and not self.bound:
            compute = self._folded(node, compute)
        return compute

    def _folded(self, node: ast.expr, compute: Compute) -> Compute:
        nothing = Scope({}, Language({}, {}, {}), limit=Limit(MOST_STEPS_AT_LOAD))
        try:
            value = compute(nothing)
        except StaticError as error:
            raise self.refuse(node, str(error)) from None
        return lambda scope: value

    def _constant(self, node: ast.Constant, outputs: int = 1) -> Compute:
        value = node.value
        if value is not None and not isinstance(value, bool | int | float | str):
            raise self.refuse(node, f"a {type(value).__name__} literal is not allowed")
        if isinstance(value, int) and abs(value) > 2**64:
            raise self.refuse(node, "an integer beyond 64 bits")
        return lambda scope: value

    def _name(self, node: ast.Name, outputs: int = 1) -> Compute:
        name = node.id
        if name.startswith("_"):
            raise self.refuse(node, f"{name!r}: names start with a lower-case letter")
        if name not in self.bound:
            self.names.add(name)

        def compute(scope: Scope) -> Any:
            if name in scope.names:
                return scope.lookup(name)
            if name in scope.language.constants:
                return scope.language.constants[name]
            known = sorted(set(scope.names) | set(scope.language.constants))
            raise StaticError(f"{name!r} is not defined here; there are: {', '.join(known)}")

        return compute

    def _list(self, node: ast.List | ast.Tuple, outputs: int = 1) -> Compute:
        items = self.items(node.elts)
        return lambda scope: Vector(items(scope))

    _tuple = _list

    def items(self, nodes: Sequence[ast.expr]) -> Callable[[Scope], list[Any]]:
        """Return the function of a scope that gives several expressions, some of them starred."""
        parts = [
            (self.compile(n.value), True)
            if isinstance(n, ast.Starred)
            else (self.compile(n), False)
            for n in nodes
        ]

        def compute(scope: Scope) -> list[Any]:
            items: list[Any] = []
            for part, starred in parts:
                scope.limit.step()
                value = part(scope)
                if not starred:
                    items.append(value)
                elif isinstance(value, Vector):
                    items.extend(value)
                else:
                    raise StaticError(f"* takes a vector, not {describe(value)}")
            if len(items) > LONGEST_VECTOR:
                raise StaticError(f"a vector of {len(items)} items is too long")
            return items

        return compute

    def _binop(self, node: ast.BinOp, outputs: int = 1) -> Compute:
        symbol = SYMBOLS.get(type(node.op))
        if symbol is None:
            raise self.refuse(node, f"the operator {type(node.op).__name__} is not allowed")
        left, right = self.compile(node.left), self.compile(node.right)

        def compute(scope: Scope) -> Any:
            scope.limit.step()
            a, b = left(scope), right(scope)
            for side in (a, b):
                if isinstance(side, Value):
                    raise StaticError(
                        f"{describe(side)} can't be used with {symbol!r}, which computes while "
                        "exporting: write a node (Add, Sub, Mul, Div, Mod, Pow)"
                    )
            return arithmetic(symbol, a, b)

        return compute

    def _unaryop(self, node: ast.UnaryOp, outputs: int = 1) -> Compute:
        operand = self.compile(node.operand)
        if isinstance(node.op, ast.Not):
            return lambda scope: not truth(operand(scope))
        if isinstance(node.op, ast.USub):
            if isinstance(node.operand, ast.Constant) and isinstance(node.operand.value, float):
                negative = -node.operand.value
                return lambda scope: negative
            return lambda scope: arithmetic("*", operand(scope), -1)
        raise self.refuse(node, f"the operator {type(node.op).__name__} is not allowed")

    def _boolop(self, node: ast.BoolOp, outputs: int = 1) -> Compute:
        parts = [self.compile(value) for value in node.values]
        if isinstance(node.op, ast.And):
            return lambda scope: all(truth(part(scope)) for part in parts)
        return lambda scope: any(truth(part(scope)) for part in parts)

    def _compare(self, node: ast.Compare, outputs: int = 1) -> Compute:
        first = self.compile(node.left)
        rest = [
            (_COMPARISONS[type(op)], self.compile(value))
            for op, value in zip(node.ops, node.comparators, strict=True)
        ]

        def compute(scope: Scope) -> bool:
            left = first(scope)
            for compare, part in rest:
                right = part(scope)
                if not compare(left, right):
                    return False
                left = right
            return True

        return compute

    def _ifexp(self, node: ast.IfExp, outputs: int = 1) -> Compute:
        test = self.compile(node.test)
        then, otherwise = self.compile(node.body, outputs), self.compile(node.orelse, outputs)
        return lambda scope: then(scope) if truth(test(scope)) else otherwise(scope)

    def _subscript(self, node: ast.Subscript, outputs: int = 1) -> Compute:
        box = self.compile(node.value)
        index: Compute
        if isinstance(node.slice, ast.Slice):
            bounds = [
                self.compile(part) if part is not None else None
                for part in (node.slice.lower, node.slice.upper, node.slice.step)
            ]

            def bounded(scope: Scope) -> Any:
                return slice(*(part and part(scope) for part in bounds))

            index = bounded
        else:
            index = self.compile(node.slice)

        def compute(scope: Scope) -> Any:
            value, at = box(scope), index(scope)
            if not isinstance(value, Vector):
                raise StaticError(f"{describe(value)} can't be indexed: use Gather or Slice")
            try:
                return value[at]
            except (IndexError, TypeError, ValueError) as error:
                raise StaticError(f"{describe(value)}[{describe(at)}]: {error}") from None

        return compute

    def _attribute(self, node: ast.Attribute, outputs: int = 1) -> Compute:
        if node.attr.startswith("_"):
            raise self.refuse(node, f"the attribute {node.attr!r} is private")
        record, name = self.compile(node.value), node.attr
        return lambda scope: field_of(record(scope), name)

    def _listcomp(self, node: ast.ListComp, outputs: int = 1) -> Compute:
        if len(node.generators) != 1 or node.generators[0].is_async:
            raise self.refuse(node, "a list comprehension has one 'for'")
        loop = node.generators[0]
        targets = self._loop_targets(loop.target)
        items = self.compile(loop.iter)
        self.bound.extend(targets)
        tests = [self.compile(test) for test in loop.ifs]
        body = self.compile(node.elt)
        del self.bound[len(self.bound) - len(targets) :]

        def compute(scope: Scope) -> Vector:
            source = items(scope)
            if not isinstance(source, Vector):
                raise StaticError(
                    f"a list comprehension goes over a vector, not {describe(source)}"
                )
            results = []
            inner = dataclasses.replace(scope, names=dict(scope.names))
            for item in source:
                scope.limit.step()
                inner.names.update(_bind(targets, item))
                if all(truth(test(inner)) for test in tests):
                    results.append(body(inner))
            return Vector(results)

        return compute

    def _loop_targets(self, target: ast.expr) -> list[str]:
        parts = target.elts if isinstance(target, ast.Tuple) else [target]
        names = [part.id for part in parts if isinstance(part, ast.Name)]
        if len(names) != len(parts) or any(not re.fullmatch(r"[a-z][a-z0-9_]*", n) for n in names):
            raise self.refuse(target, "a list comprehension binds plain lower-case names")
        return names

    def _call(self, node: ast.Call, outputs: int = 1) -> Compute:
        return compile_call(self, node, outputs)


def _bind(targets: Sequence[str], item: Any) -> dict[str, Any]:
    if len(targets) == 1:
        return {targets[0]: item}
    if not isinstance(item, Vector) or len(item) != len(targets):
        raise StaticError(f"{describe(item)} can't be unpacked into {', '.join(targets)}")
    return dict(zip(targets, item, strict=True))


def field_of(record: Any, name: str) -> Any:
    """Return a public field of a plain record: a dataclass, a named tuple, a slice or SciPy's.

    An object of SciPy's tells its numbers as attributes or by methods named `get_`; what it does
    not tell is None, as its kinds differ.

    Raises:
        StaticError: When the value is no record or has no such field.
    """
    if isinstance(record, Value | TensorType | Vector):
        raise StaticError(f"{describe(record)} has no fields: use dims, rank or dtype")
    if type(record).__module__.startswith("scipy."):
        getter = getattr(record, f"get_{name}", None)
        return as_static(vars(record).get(name) if getter is None else getter())
    if isinstance(record, slice):
        fields: tuple[str, ...] = ("start", "stop", "step")
    elif dataclasses.is_dataclass(record):
        fields = tuple(f.name for f in dataclasses.fields(record))
    else:
        fields = tuple(getattr(record, "_fields", ()))
    if name not in fields:
        listed = ", ".join(fields) or "none"
        raise StaticError(f"{describe(record)} has no field {name!r}; it has: {listed}")
    return as_static(getattr(record, name))


def _calls(tree: ast.expr) -> bool:
    return any(isinstance(node, ast.Call) for node in ast.walk(tree))
