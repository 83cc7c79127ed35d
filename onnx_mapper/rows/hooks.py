"""The two places where a row may call Python, both for convolution. There is no third.

`flip` is a pre-node: it gives a node's input another form. `asymmetric_padding` gives an
attribute's value. When a row seems to need more, the formula language lacks something.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from onnx_mapper.language.nodes import Nodes
from onnx_mapper.language.tensors import Value
from onnx_mapper.language.values import StaticError, Vector, describe

_BEGINNING = -(2**63)
"""What a Slice with step -1 takes as its end in order to go through element 0."""


def flip(kernel: Value, builder: Nodes) -> Value:
    """Reverse a convolution kernel over its spatial axes.

    PyTensor's convolution flips its kernel (`filter_flip=True`), ONNX's Conv does not. A
    kernel that is known while exporting is reversed there and then; one that is an input of
    the model is reversed by a Slice with steps of -1.

    Args:
        kernel: Shape (out channels, in channels / groups, *spatial axes), any dtype.
        builder: The graph that receives the Slice.

    Returns:
        The reversed kernel, same shape and dtype.

    Raises:
        StaticError: When the kernel has no spatial axis.

    Source: https://onnx.ai/onnx/operators/onnx__Slice.html
    """
    if kernel.shape is None or len(kernel.shape) < 3:
        raise StaticError(f"{describe(kernel)} has no spatial axes to flip")
    axes = tuple(range(2, len(kernel.shape)))
    known = kernel.known
    if known is not None:
        return builder.derived_parameter(kernel, "flip", np.flip(known, axes))
    return builder.node(
        "Slice",
        [
            kernel,
            Vector([-1] * len(axes)),
            Vector([_BEGINNING] * len(axes)),
            Vector(axes),
            Vector([-1] * len(axes)),
        ],
        {},
        1,
    )[0]


def asymmetric_padding(border_mode: Any) -> Vector:
    """Lay out PyTensor's padding per axis as ONNX's `pads`.

    PyTensor pairs the amounts by axis, `((top, bottom), (left, right))`, where a number
    stands for both sides; ONNX wants all beginnings, then all ends.

    Args:
        border_mode: One entry per spatial axis: an int, or a pair of ints, in elements.

    Returns:
        The amounts before each axis, then those after each.

    Raises:
        StaticError: When it is no such padding.

    Source: https://onnx.ai/onnx/operators/onnx__Conv.html

    Example:
        >>> asymmetric_padding(Vector([1, Vector([0, 2])]))
        [1, 0, 1, 2]
    """
    if not isinstance(border_mode, Vector):
        raise StaticError(
            f"{describe(border_mode)} is no padding; it is valid, half, full, or for each axis "
            "an int or a pair of ints"
        )
    sides = [Vector([side, side]) if isinstance(side, int) else side for side in border_mode]
    for side in sides:
        if not (
            isinstance(side, Vector) and len(side) == 2 and all(isinstance(n, int) for n in side)
        ):
            raise StaticError(f"{describe(side)} is no padding of an axis; it is an int or a pair")
        if min(side) < 0:
            raise StaticError(f"{describe(side)}: padding can't be negative")
    return Vector([before for before, _ in sides] + [after for _, after in sides])


HOOKS: dict[str, Callable[..., Any]] = {"flip": flip, "asymmetric_padding": asymmetric_padding}
