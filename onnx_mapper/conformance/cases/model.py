"""The nouns of a row's conformance: cases, refusals, deviations, tolerances."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from onnx_mapper.conformance.graphs.language import GraphFormula
from onnx_mapper.errors import Place
from onnx_mapper.language.scope import Formula
from onnx_mapper.options import RandomPolicy

STATIC = "static"
DYNAMIC = "dynamic"


@dataclass(frozen=True)
class InputSpec:
    """One input of the graph that a case builds.

    Attributes:
        name: Its name.
        dtype: NumPy's name of its dtype, or a letter that stands for several in turn.
        dims: The size of each axis: a formula over the grid, or a free name whose sizes are
            the case's. Empty for a scalar.
        fixed: Whether its shape stays known where shapes are symbolic.
    """

    name: str
    dtype: str
    dims: tuple[Formula, ...]
    fixed: bool = False


@dataclass(frozen=True)
class Tolerance:
    """How far a result may be from PyTensor's.

    Attributes:
        ulps: In units of the last place of the result's dtype.
        rtol: Relative to PyTensor's number.
        atol: Absolute.
        of_largest: Whether ulps are those of the largest number of the output, as sums of
            products need.
        signed_zeros: Whether 0 and -0 are told apart.
        because: Why the default doesn't hold.
    """

    ulps: float | None = None
    rtol: float | None = None
    atol: float | None = None
    of_largest: bool = False
    signed_zeros: bool = False
    because: str = ""


@dataclass(frozen=True)
class Choice:
    """Items that something holds for: those that agree with all that is named here.

    Attributes:
        grid: Values of grid names.
        dtypes: Dtypes of letters.
        given: How inputs are given.
        opsets: The opsets, or None for all.
        shapes: `static`, `dynamic`, or None for both.
    """

    grid: tuple[tuple[str, Any], ...] = ()
    dtypes: tuple[tuple[str, tuple[str, ...]], ...] = ()
    given: tuple[tuple[str, str], ...] = ()
    opsets: tuple[int, ...] | None = None
    shapes: str | None = None


@dataclass(frozen=True)
class RefuseCase:
    """A graph that must be refused.

    Attributes:
        choice: What differs from the first item of the case.
        graph: Builds the graph, where it is another than the case's.
        says: A phrase of the reason.
        place: Where it stands.
    """

    choice: Choice
    graph: GraphFormula | None
    says: str
    place: Place


@dataclass(frozen=True)
class Expectation:
    """The operators of the model.

    Attributes:
        choice: The items that it holds for.
        operators: The operators in order.
        place: Where it stands.
    """

    choice: Choice
    operators: tuple[str, ...]
    place: Place


@dataclass(frozen=True)
class Exempt:
    """Numbers for which ONNX Runtime is not held to PyTensor's result.

    Attributes:
        when: Which items it is about; None for all.
        where: Which elements: an expression over the inputs as NumPy arrays; None for all.
        because: Why.
        place: Where it stands.
        case: The name of the case that it is about; None for all.
    """

    when: Formula | None
    where: GraphFormula | None
    because: str
    place: Place
    case: str | None = None


@dataclass(frozen=True)
class Case:
    """A family of graphs that a row is tested on.

    Attributes:
        name: Tells the cases of one row apart; empty for the only one.
        inputs: The inputs.
        dtypes: The dtypes that each letter stands for, in turn.
        grid: Names with the values that they take in turn.
        given: For inputs, how they are given in turn: `input`, `constant`, `shared`.
        graph: Builds the graph; `op(**grid)(*inputs)` where None.
        sizes: The sizes of free axis names.
        domain: The interval from which an input's numbers come.
        special: Numbers that must occur in an input.
        values: Whole arrays for an input, one test each.
        opsets: The opsets to test.
        shapes: `static`, `dynamic` or both.
        random: Where draws get their numbers: `input` or `node`.
        avoid: Numbers for which PyTensor itself has no answer.
        expect: The operators of the models.
        tolerance: How far a result may be from PyTensor's.
        refuse: Graphs that must be refused.
        dtypes_are_stated: Whether the row names them, and PyTensor must take the first.
        elementwise: Whether each number of the result depends on its own inputs only.
        place: Where it stands.
    """

    name: str
    inputs: tuple[InputSpec, ...]
    dtypes: tuple[tuple[str, tuple[str, ...]], ...]
    grid: tuple[tuple[str, tuple[Any, ...]], ...]
    given: tuple[tuple[str, tuple[str, ...]], ...]
    graph: GraphFormula | None
    sizes: tuple[tuple[str, tuple[int, ...]], ...]
    domain: tuple[tuple[str, tuple[Formula, Formula]], ...]
    special: tuple[tuple[str, tuple[Formula, ...]], ...]
    values: tuple[tuple[str, tuple[Any, ...]], ...]
    opsets: tuple[int, ...]
    shapes: tuple[str, ...]
    random: RandomPolicy
    avoid: tuple[Exempt, ...]
    expect: tuple[Expectation, ...]
    tolerance: Tolerance
    refuse: tuple[RefuseCase, ...]
    dtypes_are_stated: bool
    elementwise: bool
    place: Place


@dataclass(frozen=True)
class RowCases:
    """All of a row's conformance.

    Attributes:
        cases: The cases.
        deviations: Where the model is known to differ from PyTensor.
    """

    cases: tuple[Case, ...]
    deviations: tuple[Exempt, ...]
