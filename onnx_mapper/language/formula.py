"""The formula language: restricted Python expressions that say what an op is in ONNX.

A Capitalised call is an ONNX node; everything else is decided while exporting. Formulas
come from mapping files that strangers may have written, so the syntax tree is checked
against a whitelist, its size and the work it may do are bounded, and nothing in it can
reach Python: there are no attributes but the public fields of plain records, no imports,
no lambdas, no strings to evaluate. See docs/formulas.md for the language.
"""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from onnx_mapper.errors import MapperError, Place, RowError
from onnx_mapper.language.nodes import Nodes
from onnx_mapper.language.tensors import TensorType, Value
from onnx_mapper.language.values import (
    LONGEST_VECTOR,
    StaticError,
    Unknown,
    Vector,
    arithmetic,
    as_static,
    bounded,
    describe,
    is_number,
    leaves,
)

LONGEST_FORMULA = 800
DEEPEST_TREE = 60
MOST_STEPS = 200_000
MOST_STEPS_AT_LOAD = 20_000
DEEPEST_CALL = 40

SUBGRAPHS = ("graph", "branch")
"""Calls whose first argument is computed inside a graph of its own."""

FOLD = "fold"
"""The call whose first argument is computed for each item of a vector, with a running value."""

_ASSIGNMENT = re.compile(r"^\s*([A-Za-z_]\w*(?:\s*,\s*[A-Za-z_]\w*)*)\s*=(?!=)(.*)$", re.DOTALL)


class Limit:
    """Counts the steps of one row's formulas, so that no formula runs for long."""

    def __init__(self, steps: int = MOST_STEPS) -> None:
        self.left = steps
        self.depth = 0

    def step(self) -> None:
        """Count one step.

        Raises:
            StaticError: When the allowance is used up.
        """
        self.left -= 1
        if self.left < 0:
            raise StaticError("the formula takes too many steps")


@dataclass
class Scope:
    """The names that a formula sees, and the model that its nodes go to.

    Attributes:
        names: Values by name; a `Lazy` is computed when first asked for.
        language: The vocabulary and the definitions of the mapping files.
        nodes: Receives Capitalised calls; None where only static values are allowed.
        answers: Functions that know the graph at hand, by name (`inner`).
        injected: Attributes from the row's `to:` verbs, by the call that receives them.
        limit: The work that is still allowed.
    """

    names: dict[str, Any]
    language: Language
    nodes: Nodes | None = None
    answers: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    injected: Mapping[tuple[str, int], Mapping[str, Any]] = field(default_factory=dict)
    limit: Limit = field(default_factory=Limit)

    def lookup(self, name: str) -> Any:
        """Return the value of a name, computing a lazy one once."""
        value = self.names[name]
        if not isinstance(value, Lazy):
            return value
        if not value.found:
            result = value.compute()
            if self.nodes is not None and self.nodes.nested:
                self.names[name] = result
                return result
            value.found.append(result)
        return value.found[0]


@dataclass(frozen=True)
class Lazy:
    """A value that is computed when a formula first asks for it.

    Inside a subgraph it stays known only there: what it is made of may be nodes of that graph.
    """

    compute: Callable[[], Any]
    found: list[Any] = field(default_factory=list)


@dataclass(frozen=True)
class Language:
    """What lower-case calls and constant names mean.

    Attributes:
        functions: The vocabulary: pure Python functions by name.
        constants: Names with a fixed value (`inf`, `nan`, `pi`).
        questions: Functions that the model under construction answers (`runs`).
        definitions: Functions written in mapping files.
    """

    functions: Mapping[str, Callable[..., Any]]
    constants: Mapping[str, Any]
    questions: frozenset[str]
    definitions: Mapping[str, Definition]

    @cached_property
    def callable_names(self) -> frozenset[str]:
        """Every lower-case name that may be called."""
        return (
            frozenset(self.functions)
            | self.questions
            | frozenset(self.definitions)
            | frozenset(SUBGRAPHS)
            | {FOLD}
        )


Compute = Callable[[Scope], Any]


@dataclass(frozen=True)
class Formula:
    """One expression, compiled.

    Attributes:
        text: The expression as written.
        place: Where it stands.
        tree: Its syntax tree, for checks and mutants.
        compute: Evaluates it in a scope.
        names: The free names that it reads.
    """

    text: str
    place: Place
    tree: ast.expr = field(compare=False, repr=False)
    compute: Compute = field(compare=False, repr=False)
    names: frozenset[str] = field(compare=False, repr=False)

    def evaluate(self, scope: Scope) -> Any:
        """Evaluate the expression.

        Raises:
            RowError: When it has no answer, with the place in the mapping file.
        """
        try:
            return self.compute(scope)
        except StaticError as error:
            raise RowError(self.place, f"{error} (in {shortened(self.text)})") from None
        except RecursionError:
            raise RowError(
                self.place, "the formula's definitions call each other too deeply"
            ) from None
        except MapperError:
            raise
        except Exception as error:  # of whatever a wrong row makes fail: its author is told where
            told = f"{type(error).__name__}: {error}"
            raise RowError(self.place, f"{told} (in {shortened(self.text)})") from error


@dataclass(frozen=True)
class Statement:
    """`a, b = expression`, or an expression alone, which is the row's result.

    Attributes:
        targets: The names that receive the outputs; empty for an expression alone.
        formula: The expression.
    """

    targets: tuple[str, ...]
    formula: Formula


@dataclass(frozen=True)
class Definition:
    """A function written in a mapping file, which formulas may call.

    Attributes:
        name: What it is called.
        parameters: The names of its arguments.
        body: Statements; the last one is the result.
        summary: What it computes.
        place: Where it stands.
        source: The definition as data, for mutants.
        origin: What read it, and can read a changed one.
    """

    name: str
    parameters: tuple[str, ...]
    body: tuple[Statement, ...]
    summary: str
    place: Place
    source: Any = field(default=None, compare=False, repr=False)
    origin: Any = field(default=None, compare=False, repr=False)


def shortened(text: str, most: int = 80) -> str:
    """Return the text on one line, cut where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"


def parse_statement(text: str, place: Place) -> Statement:
    """Compile a line of a row's body.

    Args:
        text: `name = expression`, `a, b = expression`, or `expression`.
        place: Where it stands.

    Raises:
        RowError: When it is no formula.

    Example:
        >>> parse_statement("y = Exp(x)", Place("rows.yaml", 3)).targets
        ('y',)
    """
    match = _ASSIGNMENT.match(text[: LONGEST_FORMULA + 1])
    if not match:
        return Statement((), parse_formula(text, place))
    targets = tuple(name.strip() for name in match.group(1).split(","))
    for name in targets:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise RowError(
                place, f"{name!r} can't be assigned: names start with a lower-case letter"
            )
    return Statement(targets, parse_formula(match.group(2).strip(), place, len(targets)))


def parse_formula(text: str, place: Place, outputs: int = 1) -> Formula:
    """Compile one expression.

    Args:
        text: The expression.
        place: Where it stands, for errors.
        outputs: How many outputs the outermost node is asked for.

    Raises:
        RowError: When the text is too long, no expression, or uses what formulas may not.

    Example:
        >>> formula = parse_formula("2 * [1, 2]", Place("rows.yaml", 3))
        >>> formula.evaluate(Scope({}, Language({}, {}, frozenset(), {})))
        [2, 4]
    """
    if len(text) > LONGEST_FORMULA:
        raise RowError(
            place,
            f"a formula of {len(text)} characters; {LONGEST_FORMULA} are allowed: "
            "split it into statements, or write a define",
        )
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        offset = getattr(error, "offset", None)
        column = f", column {offset}" if offset else ""
        raise RowError(
            place, f"no expression{column}: {_first(error)} in {shortened(text)!r}"
        ) from None
    compiler = _Compiler(place)
    compute = compiler.compile(tree, outputs)
    return Formula(text, place, tree, compute, frozenset(compiler.names))


def _first(error: BaseException) -> str:
    return str(error.args[0]) if error.args else type(error).__name__


_SYMBOLS: dict[type[ast.operator], str] = {
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


def truth(value: Any) -> bool:
    """Tell whether a static value counts as true.

    Raises:
        StaticError: For a tensor or an unknown size: they have no truth while exporting.
    """
    if isinstance(value, Value):
        raise StaticError(f"{describe(value)} can't be tested while exporting: use Where")
    if isinstance(value, Unknown):
        raise StaticError(f"{describe(value)} can't be tested: ask known(...) first")
    return bool(value)


class _Compiler:
    """Turns a syntax tree into a function of a scope, refusing all that is not listed here."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.names: set[str] = set()
        self.bound: list[str] = []
        self.depth = 0

    def refuse(self, node: ast.AST, problem: str) -> RowError:
        column = getattr(node, "col_offset", 0) + 1
        return RowError(self.place, f"column {column}: {problem}")

    def compile(self, node: ast.expr, outputs: int = 1) -> Compute:
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
        constant = not self.names and not _makes_nodes(node) and not _calls(node)
        self.names |= free_before
        self.depth -= 1
        if constant and not isinstance(node, ast.Constant) and not self.bound:
            compute = self._folded(node, compute)
        return compute

    def _folded(self, node: ast.expr, compute: Compute) -> Compute:
        nothing = Scope({}, Language({}, {}, frozenset(), {}), limit=Limit(MOST_STEPS_AT_LOAD))
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
        items = self._items(node.elts)
        return lambda scope: Vector(items(scope))

    _tuple = _list

    def _items(self, nodes: Sequence[ast.expr]) -> Callable[[Scope], list[Any]]:
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
        symbol = _SYMBOLS.get(type(node.op))
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
        if not isinstance(node.func, ast.Name):
            raise self.refuse(node, "only an ONNX operator or a vocabulary function can be called")
        name = node.func.id
        if name.startswith("_"):
            raise self.refuse(node, f"{name!r} can't be called")
        if name in SUBGRAPHS:
            return self._subgraph_call(node, name)
        if name == FOLD:
            return self._fold_call(node)
        arguments = self._items(node.args)
        keywords: list[tuple[str, Compute]] = []
        for keyword in node.keywords:
            if keyword.arg is None:
                raise self.refuse(node, "** is not allowed")
            keywords.append((keyword.arg, self.compile(keyword.value)))
        if name[0].isupper():
            return self._node_call(node, name, arguments, keywords, outputs)
        if keywords:
            raise self.refuse(
                node,
                f"{name} takes no keywords: they are attributes of ONNX's operators, which are "
                f"written with a capital, such as {name.capitalize()}",
            )
        return self._function_call(name, arguments)

    def _node_call(
        self,
        node: ast.Call,
        op_type: str,
        arguments: Callable[[Scope], list[Any]],
        keywords: list[tuple[str, Compute]],
        outputs: int,
    ) -> Compute:
        asked = [compute for keyword, compute in keywords if keyword == "outputs"]
        attributes = [(keyword, compute) for keyword, compute in keywords if keyword != "outputs"]
        spot = call_spot(self.place, node)

        def compute(scope: Scope) -> Any:
            if scope.nodes is None:
                raise StaticError(f"{op_type} is a node, and only static values are allowed here")
            scope.limit.step()
            count = asked[0](scope) if asked else outputs
            given = {key: part(scope) for key, part in attributes}
            given.update(scope.injected.get(spot, {}))
            results = scope.nodes.node(op_type, arguments(scope), given, count)
            return results[0] if outputs == 1 and not asked else Vector(results)

        return compute

    def _subgraph_call(self, node: ast.Call, name: str) -> Compute:
        """`graph(outputs, i=scalar('int64'), x=x)` and `branch(outputs)`."""
        if len(node.args) != 1 or isinstance(node.args[0], ast.Starred):
            raise self.refuse(node, f"{name} takes the graph's outputs: {name}([a, b])")
        if name == "branch" and node.keywords:
            raise self.refuse(node, "a branch has no inputs: use graph")
        names, likes, body = self._binding_call(node, "a graph's inputs")
        lazy = name == "branch"

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

    def _fold_call(self, node: ast.Call) -> Compute:
        """`fold(Add(total, x), total=xs[0], x=xs[1:])`."""
        if len(node.args) != 1 or isinstance(node.args[0], ast.Starred) or len(node.keywords) < 2:
            raise self.refuse(
                node,
                "fold takes the next running value, the first one, and vectors to go along: "
                "fold(Add(total, x), total=xs[0], x=xs[1:])",
            )
        names, parts, body = self._binding_call(node, "what fold goes along")

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

    def _binding_call(self, node: ast.Call, which: str) -> tuple[list[str], list[Compute], Compute]:
        """Compile a call whose keywords are names that only its argument sees."""
        names = [k.arg for k in node.keywords if k.arg and re.fullmatch(r"[a-z][a-z0-9_]*", k.arg)]
        if len(names) != len(node.keywords):
            raise self.refuse(node, f"{which} have plain lower-case names")
        parts = [self.compile(keyword.value) for keyword in node.keywords]
        self.bound.extend(names)
        body = self.compile(node.args[0])
        del self.bound[len(self.bound) - len(names) :]
        return names, parts, body

    def _function_call(self, name: str, arguments: Callable[[Scope], list[Any]]) -> Compute:
        def compute(scope: Scope) -> Any:
            scope.limit.step()
            values = arguments(scope)
            language = scope.language
            if name in scope.answers:
                return scope.answers[name](*values)
            if name in language.definitions:
                return call_definition(language.definitions[name], values, scope)
            if name in language.questions:
                if scope.nodes is None:
                    raise StaticError(f"{name} can't be asked here")
                return scope.nodes.ask(name, values)
            if name not in language.functions:
                raise StaticError(f"{name!r} is no function of the formula language")
            try:
                return as_static(language.functions[name](*values))
            except (TypeError, ValueError, ArithmeticError, IndexError) as error:
                raise StaticError(f"{name}: {error}") from None

        return compute


def call_spot(place: Place, node: ast.expr) -> tuple[str, int]:
    """Return what identifies a call within its row: the formula's path and the column."""
    return place.path, node.col_offset


def call_definition(definition: Definition, values: Sequence[Any], scope: Scope) -> Any:
    """Evaluate a definition's body with its own names only.

    Raises:
        StaticError: On a wrong number of arguments, or when definitions nest too deeply.
    """
    if len(values) != len(definition.parameters):
        raise StaticError(
            f"{definition.name} takes {len(definition.parameters)} arguments "
            f"({', '.join(definition.parameters)}), not {len(values)}"
        )
    if scope.limit.depth >= DEEPEST_CALL:
        raise StaticError(f"{definition.name}: definitions nest more than {DEEPEST_CALL} deep")
    names = dict(zip(definition.parameters, values, strict=True))
    if "opset" in scope.names:
        names["opset"] = scope.names["opset"]
    inner = dataclasses.replace(scope, names=names, injected={})
    scope.limit.depth += 1
    try:
        return run_body(definition.body, inner)
    finally:
        scope.limit.depth -= 1


def run_body(body: Sequence[Statement], scope: Scope) -> Any:
    """Run statements in order and return the last one's value; targets become names."""
    result: Any = None
    for statement in body:
        result = statement.formula.evaluate(scope)
        if len(statement.targets) == 1:
            scope.names[statement.targets[0]] = result
        elif statement.targets:
            if not isinstance(result, Vector) or len(result) != len(statement.targets):
                raise RowError(
                    statement.formula.place,
                    f"{len(statement.targets)} names can't take {describe(result)}",
                )
            scope.names.update(zip(statement.targets, result, strict=True))
    return result


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


def _bind(targets: Sequence[str], item: Any) -> dict[str, Any]:
    if len(targets) == 1:
        return {targets[0]: item}
    if not isinstance(item, Vector) or len(item) != len(targets):
        raise StaticError(f"{describe(item)} can't be unpacked into {', '.join(targets)}")
    return dict(zip(targets, item, strict=True))


def field_of(record: Any, name: str) -> Any:
    """Return a public field of a plain record: a dataclass, a named tuple or a slice.

    Raises:
        StaticError: When the value is no record or has no such field.
    """
    if isinstance(record, Value | TensorType | Vector):
        raise StaticError(f"{describe(record)} has no fields: use dims, rank or dtype")
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


def node_calls(tree: ast.expr) -> list[ast.Call]:
    """Return the Capitalised calls of an expression, outermost first."""
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id[0].isupper()
    ]


def _makes_nodes(tree: ast.expr) -> bool:
    return bool(node_calls(tree))


def _calls(tree: ast.expr) -> bool:
    return any(isinstance(node, ast.Call) for node in ast.walk(tree))
