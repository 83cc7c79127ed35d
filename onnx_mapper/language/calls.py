"""Calls in formulas: ONNX nodes, functions, questions, and the forms that bind names."""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from onnx_mapper.errors import Place, RowError
from onnx_mapper.language.scope import Compute, Scope, call_definition
from onnx_mapper.language.tensors import TensorType, Value
from onnx_mapper.language.values import StaticError, Vector, bounded, describe, leaves

Items = Callable[[Scope], list[Any]]


class Compiling(Protocol):
    """What compiles the parts of a call."""

    place: Place
    bound: list[str]

    def compile(self, node: ast.expr, outputs: int = 1) -> Compute:
        """Compile an expression."""

    def items(self, nodes: Sequence[ast.expr]) -> Items:
        """Compile expressions of which some may be starred."""

    def refuse(self, node: ast.AST, problem: str) -> RowError:
        """Return the error that tells a problem with its place."""


def compile_call(compiler: Compiling, node: ast.Call, outputs: int) -> Compute:
    """Compile a call.

    Raises:
        RowError: When nothing of the kind can be called.
    """
    if not isinstance(node.func, ast.Name):
        raise compiler.refuse(node, "only an ONNX operator or a vocabulary function can be called")
    name = node.func.id
    if name.startswith("_"):
        raise compiler.refuse(node, f"{name!r} can't be called")
    if name in _FORMS:
        return _FORMS[name](compiler, node)
    arguments = compiler.items(node.args)
    keywords: list[tuple[str, Compute]] = []
    for keyword in node.keywords:
        if keyword.arg is None:
            raise compiler.refuse(node, "** is not allowed")
        keywords.append((keyword.arg, compiler.compile(keyword.value)))
    if name[0].isupper():
        spot = call_spot(compiler.place, node)
        return _node_call(spot, name, arguments, keywords, outputs)
    if keywords:
        raise compiler.refuse(
            node,
            f"{name} takes no keywords: they are attributes of ONNX's operators, which are "
            f"written with a capital, such as {name.capitalize()}",
        )
    return _function_call(name, arguments)


def call_spot(place: Place, node: ast.expr) -> tuple[str, int]:
    """Return what identifies a call within its row: the formula's path and the column."""
    return place.path, node.col_offset


def _node_call(
    spot: tuple[str, int],
    op_type: str,
    arguments: Items,
    keywords: Sequence[tuple[str, Compute]],
    outputs: int,
) -> Compute:
    asked = [compute for keyword, compute in keywords if keyword == "outputs"]
    attributes = [(keyword, compute) for keyword, compute in keywords if keyword != "outputs"]

    def compute(scope: Scope) -> Any:
        if scope.nodes is None:
            raise StaticError(f"{op_type} is a node, and only static values are allowed here")
        scope.limit.step()
        count = asked[0](scope) if asked else outputs
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise StaticError(f"{op_type}'s outputs is a count, not {describe(count)}")
        given = {key: part(scope) for key, part in attributes}
        given.update(scope.injected.get(spot, {}))
        results = scope.nodes.node(op_type, arguments(scope), given, count)
        return results[0] if outputs == 1 and not asked else Vector(results)

    return compute


def _function_call(name: str, arguments: Items) -> Compute:
    def compute(scope: Scope) -> Any:
        scope.limit.step()
        values = arguments(scope)
        language = scope.language
        if name in language.definitions:
            return call_definition(language.definitions[name], values, scope)
        call = language.calls.get(name)
        if call is None:
            raise StaticError(f"{name!r} is no function of the formula language")
        if call.answerer == "vocabulary":
            return call(values)
        answerer = scope.nodes if call.answerer == "model" else scope.graph
        if answerer is None:
            raise StaticError(f"{name} can't be asked here")
        return answerer.ask(name, call.checked(values))

    return compute


def _graph(compiler: Compiling, node: ast.Call) -> Compute:
    """`graph(outputs, i=scalar('int64'), x=x)`."""
    return _subgraph(compiler, node, "graph", lazy=False)


def _branch(compiler: Compiling, node: ast.Call) -> Compute:
    """`branch(outputs)`."""
    if node.keywords:
        raise compiler.refuse(node, "a branch has no inputs: use graph")
    return _subgraph(compiler, node, "branch", lazy=True)


def _subgraph(compiler: Compiling, node: ast.Call, name: str, lazy: bool) -> Compute:
    if len(node.args) != 1 or isinstance(node.args[0], ast.Starred):
        raise compiler.refuse(node, f"{name} takes the graph's outputs: {name}([a, b])")
    names, likes, body = _binding(compiler, node, "a graph's inputs")

    def compute(scope: Scope) -> Any:
        if scope.nodes is None:
            raise StaticError(f"{name} makes nodes, and only static values are allowed here")
        scope.limit.step()
        given = [like(scope) for like in likes]
        ports = [
            (hint, _type_like(item))
            for hint, like in zip(names, given, strict=True)
            for item in leaves(like)
        ]

        def build(tensors: Sequence[Value]) -> list[Value]:
            left = iter(tensors)
            inner = dataclasses.replace(scope, names=dict(scope.names))
            inner.names.update(
                (hint, _refilled(like, left)) for hint, like in zip(names, given, strict=True)
            )
            return [_tensor(item) for item in leaves(body(inner))]

        return scope.nodes.subgraph(ports, build, lazy)

    return compute


def _fold(compiler: Compiling, node: ast.Call) -> Compute:
    """`fold(Add(total, x), total=xs[0], x=xs[1:])`."""
    if len(node.args) != 1 or isinstance(node.args[0], ast.Starred) or len(node.keywords) < 2:
        raise compiler.refuse(
            node,
            "fold takes the next running value, the first one, and vectors to go along: "
            "fold(Add(total, x), total=xs[0], x=xs[1:])",
        )
    names, parts, body = _binding(compiler, node, "what fold goes along")

    def compute(scope: Scope) -> Any:
        running, *vectors = (part(scope) for part in parts)
        for vector in vectors:
            if not isinstance(vector, Vector):
                raise StaticError(f"fold goes along vectors, not {describe(vector)}")
        if len(set(map(len, vectors))) > 1:
            listed = " and ".join(str(len(vector)) for vector in vectors)
            raise StaticError(f"fold goes along vectors of one length, not of {listed}")
        inner = dataclasses.replace(scope, names=dict(scope.names))
        for items in zip(*vectors, strict=True):
            scope.limit.step()
            inner.names.update(zip(names, (running, *items), strict=True))
            running = bounded(body(inner))
        return running

    return compute


_FORMS: dict[str, Callable[[Compiling, ast.Call], Compute]] = {
    "graph": _graph, "branch": _branch, "fold": _fold
}  # fmt: skip


def _binding(
    compiler: Compiling, node: ast.Call, which: str
) -> tuple[list[str], list[Compute], Compute]:
    """Compile a call whose keywords are names that only its argument sees."""
    names = [k.arg for k in node.keywords if k.arg and re.fullmatch(r"[a-z][a-z0-9_]*", k.arg)]
    if len(names) != len(node.keywords):
        raise compiler.refuse(node, f"{which} have plain lower-case names")
    parts = [compiler.compile(keyword.value) for keyword in node.keywords]
    compiler.bound.extend(names)
    body = compiler.compile(node.args[0])
    del compiler.bound[len(compiler.bound) - len(names) :]
    return names, parts, body


def _type_like(item: Any) -> Value | TensorType:
    if not isinstance(item, Value | TensorType) or not item.dtype:
        raise StaticError(
            f"a graph's input is like a tensor, or scalar(dtype), not {describe(item)}"
        )
    return item


def _tensor(item: Any) -> Value:
    if not isinstance(item, Value):
        raise StaticError(f"a graph's outputs are tensors, not {describe(item)}")
    return item


def _refilled(like: Any, left: Iterator[Any]) -> Any:
    """Return vectors like the given ones, with the next items in them."""
    if isinstance(like, Vector):
        return Vector(_refilled(item, left) for item in like)
    return next(left)
