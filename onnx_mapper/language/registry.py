"""What a formula can call, declared once: who answers, with which arguments, in which words."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal, get_args, get_type_hints

import numpy as np

from onnx_mapper.language.tensors import TensorType, Value
from onnx_mapper.language.values import DTYPES, StaticError, Unknown, Vector, as_static, describe

Answerer = Literal["vocabulary", "model", "graph", "language"]
"""A function of the vocabulary, the model under construction, the graph at hand, or a form of the
language itself, whose first argument is no value."""

MANY = 10_000


@dataclass(frozen=True)
class Kind:
    """What an argument must be.

    Attributes:
        words: What it is called in errors: `a vector`.
        fits: Tells whether a value is one.
        convert: Makes of a value that fits what the function takes.
    """

    words: str
    fits: Callable[[Any], bool]
    convert: Callable[[Any], Any] = lambda value: value


def _is_integer(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _dtype_name(value: Any) -> str:
    name: str = value if isinstance(value, str) else value.dtype
    if name not in DTYPES:
        raise ValueError(f"{name!r} is no dtype; there are: {', '.join(DTYPES)}")
    return name


ANYTHING = Kind("anything", lambda value: True)
TYPED = Kind("a tensor", lambda value: isinstance(value, Value | TensorType))
TENSOR = Kind("a tensor", lambda value: isinstance(value, Value))
VECTOR = Kind("a vector", lambda value: isinstance(value, Vector))
DTYPE = Kind(
    "a tensor or a dtype", lambda value: isinstance(value, str | Value | TensorType), _dtype_name
)
INTEGER = Kind("a whole number", _is_integer)
SIZE = Kind(
    "a size, known or not",
    lambda value: value is None or _is_integer(value) or isinstance(value, Unknown),
)
NUMBER = Kind("a number", lambda value: isinstance(value, int | float))
TEXT = Kind("a text", lambda value: isinstance(value, str))
OPERATOR = Kind("the name of an operator", lambda value: isinstance(value, str))

Typed = Annotated[Any, TYPED]
Tensor = Annotated[Value, TENSOR]
Items = Annotated[Vector, VECTOR]
Dtype = Annotated[str, DTYPE]
Integer = Annotated[int, INTEGER]
AnySize = Annotated[int | Unknown | None, SIZE]
Number = Annotated[float, NUMBER]
Text = Annotated[str, TEXT]
Operator = Annotated[str, OPERATOR]


@dataclass(frozen=True)
class Argument:
    """An argument of a call.

    Attributes:
        name: What it is called.
        kind: What it must be.
        many: Whether it stands for any number of arguments.
    """

    name: str
    kind: Kind
    many: bool = False


@dataclass(frozen=True)
class Call:
    """Something that a formula can call beside operators and definitions.

    Attributes:
        name: What it is called.
        arguments: Its arguments.
        shown: The call as people write it: `made_by(x, 'Op', 'attribute', …)`.
        summary: One line on what it gives.
        answerer: Who answers it.
        compute: The function, where the vocabulary answers it.
        sibling: A call that takes the same arguments, for mutants.
        commutative: Whether the order of its arguments doesn't matter.
    """

    name: str
    arguments: tuple[Argument, ...]
    shown: str
    summary: str
    answerer: Answerer
    compute: Callable[..., Any]
    sibling: str = ""
    commutative: bool = False

    @cached_property
    def counts(self) -> tuple[int, int]:
        """The fewest and the most arguments."""
        fewest = sum(not argument.many for argument in self.arguments)
        return fewest, MANY if any(argument.many for argument in self.arguments) else fewest

    def count_problem(self, count: int) -> str:
        """Say what is wrong with a number of arguments; nothing where it is right."""
        fewest, most = self.counts
        if fewest <= count <= most:
            return ""
        taken = str(fewest) if fewest == most else f"{fewest} or more"
        noun = "argument" if taken == "1" else "arguments"
        return f"{self.name} takes {taken} {noun}, as in {self.shown}, not {count}"

    def kind_at(self, position: int) -> Kind:
        """Return what the argument at a position must be."""
        return self.arguments[min(position, len(self.arguments) - 1)].kind

    def checked(self, values: Sequence[Any]) -> list[Any]:
        """Return the arguments as the function takes them.

        Raises:
            StaticError: When there are too few, too many, or one is of the wrong kind.
        """
        problem = self.count_problem(len(values))
        if problem:
            raise StaticError(problem)
        taken = []
        for position, value in enumerate(values):
            kind = self.kind_at(position)
            if not kind.fits(value):
                raise StaticError(f"{self.name} takes {kind.words}, not {describe(value)}")
            taken.append(kind.convert(value))
        return taken

    def __call__(self, values: Sequence[Any]) -> Any:
        """Compute a function of the vocabulary.

        Raises:
            StaticError: When it has no answer.
        """
        try:
            return as_static(self.compute(*self.checked(values)))
        except (TypeError, ValueError, ArithmeticError, LookupError) as error:
            raise StaticError(f"{self.name}: {error}") from None


class Registry:
    """Collects calls as they are declared."""

    def __init__(self) -> None:
        self.calls: dict[str, Call] = {}

    def call(
        self,
        name: str = "",
        by: Answerer = "vocabulary",
        shown: str = "",
        sibling: str = "",
        commutative: bool = False,
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Declare a function as something that formulas can call.

        Its annotations say what its arguments must be, its docstring's first paragraph what it
        gives. What others than the vocabulary answer has no body.
        """

        def declare(function: Callable[..., Any]) -> Callable[..., Any]:
            own = name or function.__name__.rstrip("_")
            arguments = tuple(_arguments(function))
            listed = ", ".join(f"*{a.name}" if a.many else a.name for a in arguments)
            text = inspect.cleandoc(function.__doc__ or "").partition("\n\n")[0]
            self.calls[own] = Call(
                own,
                arguments,
                shown or f"{own}({listed})",
                " ".join(text.split()),
                by,
                function,
                sibling,
                commutative,
            )
            return function

        return declare


def _arguments(function: Callable[..., Any]) -> list[Argument]:
    hints: Mapping[str, Any] = get_type_hints(function, include_extras=True)
    found = []
    for parameter in inspect.signature(function).parameters.values():
        kinds = [part for part in get_args(hints[parameter.name]) if isinstance(part, Kind)]
        kind = kinds[0] if kinds else ANYTHING
        found.append(Argument(parameter.name, kind, parameter.kind is parameter.VAR_POSITIONAL))
    return found
