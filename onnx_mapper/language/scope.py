"""What a formula is when it is read, and what it sees when it is evaluated."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from onnx_mapper.errors import MapperError, Place, RowError
from onnx_mapper.language.nodes import Answers, Nodes
from onnx_mapper.language.registry import Call
from onnx_mapper.language.tensors import Value
from onnx_mapper.language.text import shortened
from onnx_mapper.language.values import StaticError, Unknown, Vector, describe

MOST_STEPS = 200_000
DEEPEST_CALL = 40

SEEN_BY_DEFINITIONS = frozenset({"opset", "random"})
"""What the user asks for, beside the arguments."""


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
        graph: Answers what is asked about the graph at hand; None where there is none.
        injected: Attributes from the row's `to:` verbs, by the call that receives them.
        limit: The work that is still allowed.
    """

    names: dict[str, Any]
    language: Language
    nodes: Nodes | None = None
    graph: Answers | None = None
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
        calls: What can be called beside definitions: functions, questions, forms of the language.
        constants: Names with a fixed value (`inf`, `nan`, `pi`).
        definitions: Functions written in mapping files.
    """

    calls: Mapping[str, Call]
    constants: Mapping[str, Any]
    definitions: Mapping[str, Definition]

    @cached_property
    def callable_names(self) -> frozenset[str]:
        """Every lower-case name that may be called."""
        return frozenset(self.calls) | frozenset(self.definitions)


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
            raise self._told(error) from None
        except RecursionError:
            raise RowError(
                self.place, "the formula's definitions call each other too deeply"
            ) from None
        except MapperError:
            raise
        except Exception as error:  # of whatever a wrong row makes fail: its author is told where
            raise self._told(f"{type(error).__name__}: {error}") from error

    def holds(self, scope: Scope) -> bool:
        """Evaluate the expression as a condition.

        Raises:
            RowError: When it has no answer, or one that is neither true nor false.
        """
        try:
            return truth(self.evaluate(scope))
        except StaticError as error:
            raise self._told(error) from None

    def _told(self, problem: object) -> RowError:
        return RowError(self.place, f"{problem} (in {shortened(self.text)})")


@dataclass(frozen=True)
class Statement:
    """`a, b = expression`, or an expression alone, which is the row's result.

    Attributes:
        targets: The names that receive the outputs; empty for an expression alone.
        formula: The expression.
        guard: For `when condition: expression`, the condition: where it holds, the expression is the
            result and the statements after it don't run; where it doesn't, they do.
    """

    targets: tuple[str, ...]
    formula: Formula
    guard: Formula | None = None

    @property
    def formulas(self) -> tuple[Formula, ...]:
        """All of its formulas, in the order in which they are evaluated."""
        return (self.formula,) if self.guard is None else (self.guard, self.formula)


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
    asked = {name: scope.names[name] for name in SEEN_BY_DEFINITIONS if name in scope.names}
    names = asked | dict(zip(definition.parameters, values, strict=True))
    inner = Scope(names, scope.language, scope.nodes, scope.graph, limit=scope.limit)
    scope.limit.depth += 1
    try:
        return run_body(definition.body, inner)
    finally:
        scope.limit.depth -= 1


def run_body(body: Sequence[Statement], scope: Scope) -> Any:
    """Run statements in order and return the last one's value; targets become names.

    A statement with a guard that holds is the last one.
    """
    result: Any = None
    for statement in body:
        if statement.guard is not None:
            if statement.guard.holds(scope):
                return statement.formula.evaluate(scope)
            continue
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
