"""A graph that is ready to be mapped: inputs, parameters, outputs, and their names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pytensor.graph.basic import Apply

from onnx_mapper.capture.sparse import Entries
from onnx_mapper.language.arrays import Array


@dataclass(frozen=True)
class GraphInput:
    """An input of the graph.

    Attributes:
        name: Its name in the model.
        variable: The PyTensor variable.
    """

    name: str
    variable: Any


@dataclass(frozen=True)
class Parameter:
    """A shared variable of the graph.

    Attributes:
        name: Its name in the model.
        variable: The PyTensor variable.
        value: The numbers that it holds now; None where they are no array.
        updated: Whether the function gives it a new value.
        entries: What it holds now where it is a sparse matrix.
        shared: The user's own shared variable.
    """

    name: str
    variable: Any
    value: Array | None
    updated: bool
    entries: Entries | None = None
    shared: Any = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of what it holds; none where that is neither an array nor a sparse matrix."""
        held = self.value if self.entries is None else self.entries
        return () if held is None else tuple(held.shape)


@dataclass(frozen=True)
class GraphOutput:
    """An output of the graph.

    Attributes:
        name: Its name in the model.
        variable: The PyTensor variable.
        updates: The parameter whose next value this is; None for the user's outputs.
    """

    name: str
    variable: Any
    updates: str | None = None


@dataclass(frozen=True)
class Captured:
    """A graph that is ready to be mapped.

    Attributes:
        inputs: The user's inputs, in order, used or not.
        parameters: The shared variables that the graph holds.
        outputs: The user's outputs in order, then the updates.
        name: What the model's graph is called.
    """

    inputs: tuple[GraphInput, ...]
    parameters: tuple[Parameter, ...]
    outputs: tuple[GraphOutput, ...]
    name: str = "pytensor"

    def applies(self) -> list[Apply[Any]]:
        """Return the Apply nodes that the outputs need, each after those that it reads.

        The order depends on the graph alone: depth first, from the first output on.
        """
        roots = [output.variable for output in self.outputs]
        known = {input_.variable for input_ in self.inputs}
        return ordered_applies(roots, known | {p.variable for p in self.parameters})

    def sizes_of_constants(self) -> list[int]:
        """Return the sizes of the axes of the constants in the graph, which inputs may have to fit."""
        read = [variable for node in self.applies() for variable in node.inputs]
        shapes = [getattr(v.type, "shape", ()) for v in read if hasattr(v, "data")]
        return [size for shape in shapes for size in shape if size]


def ordered_applies(roots: Sequence[Any], known: set[Any]) -> list[Apply[Any]]:
    """Sort the Apply nodes above some variables by need, without looking at hash values."""
    order: list[Apply[Any]] = []
    done: set[Apply[Any]] = set()
    stack: list[tuple[Apply[Any], Iterator[Any]]] = []

    def open_(variable: Any) -> None:
        node = variable.owner
        if node is not None and node not in done and variable not in known:
            done.add(node)
            stack.append((node, iter(node.inputs)))

    for root in roots:
        open_(root)
        while stack:
            node, remaining = stack[-1]
            depth = len(stack)
            for variable in remaining:
                open_(variable)
                if len(stack) > depth:
                    break
            else:
                order.append(node)
                stack.pop()
    return order
