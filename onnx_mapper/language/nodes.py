"""What rows need of the model under construction (`model.builder`) and of the graph at hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from onnx_mapper.language.arrays import Array, Numbers
from onnx_mapper.language.tensors import StaticShape, Step, TensorType, Value


@dataclass(frozen=True)
class Source:
    """Which PyTensor op and which row a node comes from.

    Attributes:
        op: The Op, as `module:Class`.
        row: The row's place, `conv.yaml:2`.
        case: The table entries that the row chose, for people to read.
    """

    op: str = ""
    row: str = ""
    case: str = ""

    def __str__(self) -> str:
        case = f" [{self.case}]" if self.case else ""
        return f"{self.op} {self.row}{case}"


class Answers(Protocol):
    """Who answers some of the questions of the vocabulary."""

    def ask(self, name: str, arguments: Sequence[Any]) -> Any:
        """Answer a question, given arguments of the declared kinds."""


class Nodes(Answers, Protocol):
    """The model under construction, as formulas, hooks and the engine see it."""

    opset: int

    @property
    def source(self) -> Source:
        """What nodes are now made for."""

    def sourced(self, source: Source) -> AbstractContextManager[None]:
        """Make nodes for something, for a while."""

    @property
    def nested(self) -> bool:
        """Whether nodes now go into a graph inside a node."""

    @property
    def steps(self) -> tuple[Step | None, ...]:
        """The step of each loop that nodes now go into, the outermost first.

        None stands for a loop whose row doesn't count its steps.
        """

    def fresh_name(self, hint: str) -> str:
        """Return a name that nothing in the model has."""

    def input(self, name: str, dtype: str, dims: Sequence[int | str | None]) -> Value:
        """Return the tensor of a model input."""

    def node(
        self, op_type: str, inputs: Sequence[Any], attributes: Mapping[str, Any], outputs: int
    ) -> tuple[Value, ...]:
        """Add a node and return its outputs."""

    def note_row(self, row: str, inputs: Sequence[Any], results: Sequence[Any]) -> None:
        """Note which class' row gave a tensor, for patterns that look for it."""

    def stand_in(self, type_: TensorType) -> Value | None:
        """Return what takes the place of a result that was refused; None for what is no tensor."""

    def is_doubtful(self, value: Value) -> bool:
        """Tell whether a tensor stands in for a refused result, or is computed from one that does."""

    def constant(self, array: Array, hint: str = "constant") -> Value:
        """Return a tensor with these numbers."""

    def parameter(self, name: str, numbers: Numbers) -> Value:
        """Return a known tensor that stays in the model under its name, instead of being folded."""

    def literal(self, number: Any, dtype: str) -> Value:
        """Return a constant of a dtype from a static number or vector."""

    def derived_parameter(self, origin: Value, suffix: str, array: Array) -> Value:
        """Return a constant computed from a shared variable, named after it."""

    def cast(self, value: Value, dtype: str) -> Value:
        """Return the tensor in another dtype."""

    def with_shape(self, value: Value, shape: StaticShape | None) -> Value:
        """Return the tensor with what PyTensor knows of its shape."""

    def subgraph(
        self,
        inputs: Sequence[tuple[str, Value | TensorType]],
        build: Callable[[Sequence[Value]], Sequence[Value]],
        lazy: bool = False,
    ) -> Any:
        """Make a graph for a node's attribute, from its inputs' names and types."""
