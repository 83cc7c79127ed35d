"""What a formula handles: tensors of the model and the types of PyTensor variables."""

from __future__ import annotations

from dataclasses import dataclass, field

from onnx_mapper.language.arrays import Array, Numbers, read
from onnx_mapper.language.values import Unknown, Vector

StaticShape = tuple[int | None, ...]


def symbol_of(name: str, axis: int) -> str:
    """Return what the unknown size of a tensor's axis is called while exporting."""
    return f"{name}:{axis}"


@dataclass(frozen=True)
class OpenSize(Unknown):
    """The size of an axis that is unknown at export: equal to another one if it surely is the same.

    Attributes:
        tensor: A tensor that has this size.
        axis: The axis of that tensor.
    """

    tensor: Value = field(compare=False, repr=False)
    axis: int = field(compare=False, repr=False)

    @property
    def symbol(self) -> str:
        """The name that ONNX's shape inference knows it by."""
        return symbol_of(self.tensor.name, self.axis)


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor of the ONNX model.

    Attributes:
        name: Its name in the model.
        dtype: NumPy's name of its dtype.
        shape: One entry per axis, None where unknown until the model runs; None as a
            whole when not even the rank is known.
        numbers: The numbers, where they are known while exporting.
        parameter: True for the value of a shared variable: it is known, but stays in the
            model under its own name instead of being folded into other constants.
        sizes: For each axis of unknown size, which size that is; None for known ones.
        from_sizes: True for integers that follow from the sizes of other tensors alone.
    """

    name: str
    dtype: str
    shape: StaticShape | None
    numbers: Numbers | None = None
    parameter: bool = False
    sizes: tuple[OpenSize | None, ...] = ()
    from_sizes: bool = False

    @property
    def foldable(self) -> bool:
        """Whether nodes that read this tensor may be computed while exporting."""
        return self.numbers is not None and not self.parameter

    @property
    def known(self) -> Array | None:
        """The numbers as an array, where they are known; those of a weight may be converted anew."""
        return None if self.numbers is None else read(self.numbers)

    @property
    def constant(self) -> Array | None:
        """The numbers of what nodes may be computed of while exporting; None for all else."""
        return self.known if self.foldable else None


@dataclass(frozen=True)
class TensorType:
    """The type that PyTensor gives a variable: dtype, and shape where it is static.

    Attributes:
        dtype: NumPy's name of the dtype; empty when the variable is no tensor.
        shape: One entry per axis, None where unknown; None as a whole for the scalars of an
            elementwise inner graph, which stand for tensors of any rank.
    """

    dtype: str
    shape: StaticShape | None


@dataclass(frozen=True)
class Counter(TensorType):
    """The type of the number of a loop's step, which draws inside of the loop know their steps by.

    Attributes:
        steps: How many steps there are at most: a number, an open size, or None where unknown.
    """

    steps: int | Unknown | None = None


@dataclass(frozen=True, eq=False)
class Step:
    """A step of a loop, as nodes in the loop's body see it.

    Attributes:
        number: The tensor that counts the steps, from 0.
        steps: How many there are at most: a number, an open size, or None where unknown.
    """

    number: Value
    steps: int | Unknown | None


def dimensions(value: Value | TensorType) -> Vector | None:
    """Return the static shape as a vector with unknown sizes, or None for an unknown rank."""
    if value.shape is None:
        return None
    name = value.name if isinstance(value, Value) else "the output"
    told = dict(enumerate(value.sizes)) if isinstance(value, Value) else {}
    return Vector(
        (told.get(axis) or Unknown(f"size {axis} of {name}")) if size is None else size
        for axis, size in enumerate(value.shape)
    )
