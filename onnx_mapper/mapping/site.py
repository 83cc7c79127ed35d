"""Where a row is applied, and what stands there beside tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pytensor.graph.type import HasDataType, HasShape
from pytensor.tensor.random.type import RandomType

from onnx_mapper.capture.sparse import is_sparse
from onnx_mapper.language.arrays import Array, Converted, Numbers, pieces_of
from onnx_mapper.language.nodes import Source
from onnx_mapper.language.tensors import StaticShape, Step, TensorType, Value


@dataclass(frozen=True)
class Site:
    """Where a row is applied: an op with what flows into it and what PyTensor says flows out.

    Attributes:
        op: The PyTensor Op whose attributes the row reads.
        inputs: A tensor for each input, or a static value (None, a slice).
        outputs: PyTensor's type of each output.
        depth: How many inner graphs this lies in.
        batch: How many leading axes of the inputs the op doesn't know of: it is repeated over
            them. The inputs have them all, and they broadcast.
        variables: The PyTensor variables of the inputs, where the op stands in a graph.
        name: The name of the variable that it gives, if it has one.
    """

    op: Any
    inputs: tuple[Any, ...]
    outputs: tuple[TensorType, ...]
    depth: int = 0
    batch: int = 0
    variables: tuple[Any, ...] = ()
    name: str = ""


@dataclass(frozen=True, eq=False)
class Generator:
    """What stands for the state of a generator of random numbers, which ONNX doesn't have.

    Attributes:
        steps: The step of each loop in which it has a state of its own; a generator that a loop
            reads from outside has the same state in all of its steps.
    """

    steps: tuple[Step | None, ...] = ()


@dataclass(frozen=True)
class Noise:
    """An input of the model that takes random numbers, which a draw is computed from.

    Attributes:
        value: The input's tensor.
        distribution: What its numbers must be drawn from, independently of each other.
        source: The op and the row that read it.
        loops: How many loops around the draw it has leading axes for, one entry for each step.
    """

    value: Value
    distribution: str
    source: Source
    loops: int = 0

    def __str__(self) -> str:
        axes = "axis" if self.loops == 1 else f"{self.loops} axes"
        anew = f"; anew for each step of a loop, along the first {axes}" if self.loops else ""
        return f"{self.distribution}, for {self.source}{anew}"


@dataclass(frozen=True)
class InnerStep:
    """An op of an inner graph, as the model computes it once.

    Attributes:
        outer: The Apply node of the outermost graph that it is a part of.
        node: The Apply node inside.
        inputs: What it was given: tensors of the model, or static values.
        outputs: The tensors that it gives.
    """

    outer: Any
    node: Any
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]


MOST_TOLD = 3
"""Of the numbers of one array that float32 can't hold."""


@dataclass(frozen=True)
class Swallowed:
    """A constant that float32 can't hold: it becomes 0 or infinite.

    Attributes:
        name: What holds it: `a constant`, or a shared variable's name.
        number: The number.
        becomes: What it is in float32.
        nearest: The nearest number that float32 has, other than 0 and finite.
    """

    name: str
    number: float
    becomes: float
    nearest: float

    def __str__(self) -> str:
        return (
            f"{self.name} holds {self.number:g}, which is {self.becomes:g} in float32; if it guards a "
            f"logarithm or a division, write {self.nearest:.8g} instead, which float32 has"
        )


@dataclass(frozen=True)
class Dtypes:
    """The dtypes of the model: PyTensor's own, or narrowed as the user asked.

    Attributes:
        narrow_to: What float64 becomes throughout the model, or None to keep it.
    """

    narrow_to: str | None = None

    def of(self, dtype: str) -> str:
        """Return the model's dtype for one of PyTensor's."""
        return self.narrow_to if self.narrow_to and dtype == "float64" else dtype

    def attribute(self, value: Any) -> Any:
        """Return an attribute's value, with a dtype in it replaced."""
        return self.of(value) if isinstance(value, str) else value

    def type_of(self, variable: Any) -> TensorType:
        """Return dtype and static shape of a variable; an empty dtype for what is no tensor."""
        if not is_tensor_type(variable.type):
            return TensorType("", None)
        shape: StaticShape = getattr(variable.type, "shape", ())
        sizes = tuple(None if size is None or size < 0 else size for size in shape)
        return TensorType(self.of(variable.type.dtype), sizes)

    def narrowed(self, array: Array, name: str) -> tuple[Numbers, tuple[Swallowed, ...]]:
        """Return numbers in the dtype that the model has for theirs, and some that it swallows.

        Args:
            array: The numbers.
            name: What holds them, for telling of those that become 0 or infinite.
        """
        dtype = np.dtype(self.of(array.dtype.name))
        if dtype == array.dtype:
            return array, ()
        numbers = Converted(array, dtype)
        lost: list[Any] = []
        for part, narrow in pieces_of(numbers):
            gone = ((narrow == 0) & (part != 0)) | (np.isinf(narrow) & np.isfinite(part))
            lost = sorted({*lost, *np.unique(part[gone])[:MOST_TOLD]})[:MOST_TOLD]
        swallowed = []
        for number in lost:
            limits = np.finfo(dtype)
            becomes = float(dtype.type(0) if abs(number) < 1 else np.inf * number)
            nearest = float(np.copysign(limits.max if becomes else limits.tiny, number))
            swallowed.append(Swallowed(name, float(number), becomes, nearest))
        return numbers, tuple(swallowed)


def is_generator(variable: Any) -> bool:
    """Tell whether a variable stands for a generator of random numbers."""
    return isinstance(variable.type, RandomType)


def is_tensor_type(type_: Any) -> bool:
    """Tell whether a PyTensor type is that of a tensor (its axes named or not) or of a scalar.

    A sparse matrix is none: ONNX Runtime computes with none.
    """
    return isinstance(type_, HasDataType) and isinstance(type_, HasShape) and not is_sparse(type_)


def rankless(types: Sequence[TensorType]) -> tuple[TensorType, ...]:
    """Return the types of the scalars of an elementwise op, which stand for any shape."""
    return tuple(TensorType(type_.dtype, None) for type_ in types)
