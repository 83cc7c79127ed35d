"""Calls in formulas: ONNX nodes, functions, questions, and the forms that bind names."""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from onnx_mapper.errors import Place, RowError
from onnx_mapper.language.scope import Compute, Scope, call_definition
from onnx_mapper.language.tensors import Counter, TensorType, Value
from onnx_mapper.language.values import StaticError, Vector, bounded, describe, leaves

Items = Callable[[Scope], list[Any]]

STEP = "i"
"""What the number of a loop's step is called."""

MOST_UNROLLED = 8
"""Loops of at most so many steps, known at export, are no Loop: one costs more than they do."""


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
        ports = [(name, _type_like(item)) for name, item in _named_leaves(names, given)]

        def build(tensors: Sequence[Value]) -> list[Value]:
            inner = _scope_inside(scope, names, given, tensors)
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


def _loop(compiler: Compiling, node: ast.Call) -> Compute:
    """`loop(n, Mul(x, Add(i, 1)), x=x)`, and with a condition `loop(n, [x, y], some(x), x=x, y=y)`."""
    if not 2 <= len(node.args) <= 3 or any(isinstance(a, ast.Starred) for a in node.args):
        raise compiler.refuse(
            node,
            "loop takes the number of steps, what a step makes of its state, a condition for going "
            "on if there is one, and the first state: loop(n, Mul(x, Add(i, 1)), x=x)",
        )
    count = compiler.compile(node.args[0])
    if any(keyword.arg == STEP for keyword in node.keywords):
        raise compiler.refuse(
            node, f"{STEP!r} is the number of the step in a loop: give the state another name"
        )
    names, firsts, bodies = _bound(compiler, node, node.args[1:], "a loop's states", (STEP,))
    body, *asked = bodies

    def compute(scope: Scope) -> Any:
        if scope.nodes is None:
            raise StaticError("loop makes nodes, and only static values are allowed here")
        scope.limit.step()
        steps, given = count(scope), [first(scope) for first in firsts]
        run = _Loop(scope, names, given, body, asked[0] if asked else None)
        known = (
            steps.known.item() if isinstance(steps, Value) and steps.known is not None else steps
        )
        if isinstance(known, int) and known <= MOST_UNROLLED and not asked:
            return run.unrolled(known)
        return run.rolled(steps)

    return compute


@dataclass(frozen=True)
class _Loop:
    """A loop at hand.

    Attributes:
        scope: What its step sees beside its state.
        names: What the parts of its state are called.
        given: The first state.
        body: What a step makes of the state, and what it collects.
        going: Whether to take another step; None for always.
    """

    scope: Scope
    names: Sequence[str]
    given: Sequence[Any]
    body: Compute
    going: Compute | None

    def unrolled(self, steps: int) -> Any:
        """Take the steps one after the other, without a Loop."""
        nodes = self.scope.nodes
        assert nodes is not None
        state = leaves(Vector(self.given))
        count = len(state)
        collected: list[list[Value]] = []
        for step in range(steps):
            after = self._step(state, nodes.literal(step, "int64"))
            state = after[:count]
            collected.append([_tensor(item) for item in after[count:]])
        if not collected or not collected[0]:
            return state[0] if count == 1 else Vector(state)
        stacked = [
            nodes.node(
                "Concat",
                [nodes.node("Unsqueeze", [row, Vector([0])], {}, 1)[0] for row in rows],
                {"axis": 0},
                1,
            )[0]
            for rows in zip(*collected, strict=True)
        ]
        return Vector([*state, *stacked])

    def rolled(self, steps: Any) -> Any:
        """Take the steps in a Loop."""
        nodes = self.scope.nodes
        assert nodes is not None
        first = [_tensor(item) for item in leaves(Vector(self.given))]
        ports = [
            (STEP, Counter("int64", ())),
            ("going", TensorType("bool", ())),
            *_named_leaves(self.names, self.given),
        ]
        made = 0

        def build(tensors: Sequence[Value]) -> list[Value]:
            nonlocal made
            index, going, *state = tensors
            after = [_tensor(item) for item in self._step(state, index)]
            made = len(after)
            if self.going is not None:
                going = self._asked(after)
            return [going, *after]

        body = nodes.subgraph(ports, build)
        begin = True if self.going is None else self._asked(first)
        results = nodes.node("Loop", [steps, begin, *first], {"body": body}, made)
        states = [nodes.ask("like", [new, old]) for new, old in zip(results, first, strict=False)]
        return states[0] if made == 1 else Vector([*states, *results[len(first) :]])

    def _asked(self, state: Sequence[Value]) -> Value:
        """Return whether to take another step from a state."""
        assert self.going is not None
        inner = self._inside(state)
        inner.names.pop(STEP, None)  # of a loop around this one: no step of this one is meant by it
        going = self.going(inner)
        if not isinstance(going, Value):
            raise StaticError(f"a loop goes on while a tensor is true, not {describe(going)}")
        return going

    def _inside(self, state: Sequence[Any]) -> Scope:
        """Return the scope of a step, or of the condition, for a state."""
        return _scope_inside(self.scope, self.names, self.given, state)

    def _step(self, state: Sequence[Any], index: Value) -> list[Any]:
        inner = self._inside(state)
        inner.names[STEP] = index
        self.scope.limit.step()
        after = leaves(self.body(inner))
        if len(after) < len(state):
            raise StaticError(
                f"a step of a loop gives {len(after)} tensors, and its state has {len(state)}"
            )
        return after


_FORMS: dict[str, Callable[[Compiling, ast.Call], Compute]] = {
    "graph": _graph, "branch": _branch, "fold": _fold, "loop": _loop
}  # fmt: skip


def _binding(
    compiler: Compiling, node: ast.Call, which: str
) -> tuple[list[str], list[Compute], Compute]:
    """Compile a call whose keywords are names that only its argument sees."""
    names, parts, (body,) = _bound(compiler, node, node.args, which)
    return names, parts, body


def _bound(
    compiler: Compiling,
    node: ast.Call,
    arguments: Sequence[ast.expr],
    which: str,
    more: Sequence[str] = (),
) -> tuple[list[str], list[Compute], list[Compute]]:
    """Compile arguments that see a call's keywords, and more names, as names of their own."""
    names = [k.arg for k in node.keywords if k.arg and re.fullmatch(r"[a-z][a-z0-9_]*", k.arg)]
    if len(names) != len(node.keywords):
        raise compiler.refuse(node, f"{which} have plain lower-case names")
    parts = [compiler.compile(keyword.value) for keyword in node.keywords]
    compiler.bound.extend([*names, *more])
    bodies = [compiler.compile(argument) for argument in arguments]
    del compiler.bound[len(compiler.bound) - len(names) - len(more) :]
    return names, parts, bodies


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


def _named_leaves(names: Sequence[str], values: Sequence[Any]) -> list[tuple[str, Any]]:
    """Return what values and the vectors among them hold, each with the name of its value."""
    return [
        (name, item) for name, value in zip(names, values, strict=True) for item in leaves(value)
    ]


def _scope_inside(
    scope: Scope, names: Sequence[str], likes: Sequence[Any], items: Sequence[Any]
) -> Scope:
    """Return the scope of a body: names stand for values like the given ones, with other items."""
    left = iter(items)
    inner = dataclasses.replace(scope, names=dict(scope.names))
    inner.names.update(
        (name, _refilled(like, left)) for name, like in zip(names, likes, strict=True)
    )
    return inner


def _refilled(like: Any, left: Iterator[Any]) -> Any:
    """Return vectors like the given ones, with the next items in them."""
    if isinstance(like, Vector):
        return Vector(_refilled(item, left) for item in like)
    return next(left)
