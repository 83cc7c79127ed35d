"""What formulas ask of the graph at hand: inner graphs, other ops, draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any, Protocol

from onnx_mapper.capture.rewrites import constant_excess
from onnx_mapper.errors import RefusedHere
from onnx_mapper.language.nodes import Nodes
from onnx_mapper.language.tensors import OpenSize, TensorType
from onnx_mapper.language.text import shortened
from onnx_mapper.language.values import StaticError, Vector, describe
from onnx_mapper.mapping.site import Dtypes, Generator, Noise, Site, is_generator
from onnx_mapper.rows.model import Row

DEEPEST_INNER_GRAPH = 50

STATE_IN_USE = (
    "a state that another draw reads too, so that PyTensor makes both of the same numbers: draw from "
    "a RandomStream, or from the next state that the other draw gives"
)


class Mapper(Protocol):
    """What maps ops, as the answers need it."""

    nodes: Nodes
    dtypes: Dtypes
    random: str

    def apply(self, site: Site) -> tuple[Any, ...]:
        """Map one op through its row."""

    def rows_for(self, op: Any) -> Sequence[Row]:
        """Return the rows that may serve an op."""

    def cleaned(self, graph: Any) -> Any:
        """Return an inner graph of tensors, cleaned."""

    def walk(
        self, outputs: Sequence[Any], values: dict[Any, Any], rankless: bool, depth: int, name: str
    ) -> tuple[Any, ...]:
        """Map the ops between the given values and some variables."""

    def take_noise(self, noise: Noise) -> None:
        """Note an input of random numbers."""

    def use(self, states: Sequence[Generator]) -> None:
        """Note that a draw has read generators' states."""

    def is_used(self, state: Generator) -> bool:
        """Tell whether a draw has read a generator's state."""


class Answers:
    """Answers the questions of one row, applied at one place; `language.vocabulary` lists them."""

    def __init__(self, mapper: Mapper, site: Site) -> None:
        self._mapper = mapper
        self._site = site
        self._draws = False

    def ask(self, name: str, arguments: Sequence[Any]) -> Any:
        """Answer a question of the vocabulary that is about the graph."""
        return getattr(self, name)(*arguments)

    def applied(self, op: Any, inputs: Any, n: Any) -> Vector:
        """Map an op that gives what this one gives, without that many leading axes."""
        _check_op("applied", op)
        outputs = tuple(
            TensorType(t.dtype, None if t.shape is None else t.shape[n:])
            for t in self._site.outputs
        )
        return Vector(self._mapper.apply(Site(op, tuple(inputs), outputs, self._site.depth + 1)))

    def repeated(self, op: Any, inputs: Any, n: Any) -> Vector:
        """Map an op that is repeated over that many leading axes, by a row that takes batches."""
        _check_op("repeated", op)
        inner = Site(op, tuple(inputs), self._site.outputs, self._site.depth + 1, n)
        return Vector(self._mapper.apply(inner))

    def takes_batches(self, op: Any) -> bool:
        """Tell whether an op's rows hold for inputs with leading batch axes."""
        _check_op("takes_batches", op)
        rows = self._mapper.rows_for(op)
        return bool(rows) and all(row.batched or row.refuse for row in rows)

    def inner(self, graph: Any, *inputs: Any) -> Vector:
        """Map the ops of an inner graph, given its inputs; returns its outputs."""
        site = self._site
        if site.depth > DEEPEST_INNER_GRAPH:
            raise RefusedHere(f"inner graphs nest more than {DEEPEST_INNER_GRAPH} deep")
        if not hasattr(graph, "inputs"):
            raise StaticError(f"{describe(graph)} is no graph")
        if len(graph.inputs) != len(inputs):
            raise StaticError(
                f"the inner graph has {len(graph.inputs)} inputs, and {len(inputs)} are given"
            )
        graph = self._mapper.cleaned(graph)
        values = dict(zip(graph.inputs, inputs, strict=True))
        carried = [v for v in graph.inputs if is_generator(v) and values[v] is None]
        values.update((v, Generator(self._mapper.nodes.steps)) for v in carried)
        rankless = any(type_.dtype and type_.shape is None for type_ in site.outputs)
        results = self._mapper.walk(graph.outputs, values, rankless, site.depth, site.name)
        if carried and any(isinstance(r, Generator) and self._mapper.is_used(r) for r in results):
            raise RefusedHere(f"the next step reads a generator in {STATE_IN_USE}")
        return Vector(results)

    def excess(self, x: Any, n: Any) -> int | None:
        """Tell by how much the first size of an input, or the number in it, exceeds that in another.

        None where PyTensor's own inference of shapes does not make it a constant.
        """
        given = list(zip(self._site.variables, self._site.inputs, strict=False))
        found = [next((v for v, item in given if item is y), None) for y in (x, n)]
        if None in found:
            raise StaticError("excess asks about two inputs of the op, as they come in")
        return constant_excess(*found)

    def noise(self, distribution: str, dtype: str, sizes: Any) -> Vector:
        """Make an input of the model that takes random numbers, for each step of the loops around it.

        Returns:
            The input, and the number of the step at hand for each of its leading axes.
        """
        mapper, site = self._mapper, self._site
        nodes = mapper.nodes
        if mapper.random != "input":
            raise StaticError("noise is made only where `needs` says that random is 'input'")
        loops = self._states()[0].steps if self._states() else nodes.steps
        steps = [step for step in loops if step is not None]
        if len(steps) < len(loops):
            raise RefusedHere(
                "a draw inside a loop needs other random numbers in each step, and this loop "
                "doesn't count its steps: draw before it, and go along the draws"
            )
        self._use_states()
        hint = f"{site.name}_noise" if site.name else "noise"
        sizes = [*(step.steps for step in steps), *sizes]
        dims = [size if isinstance(size, int) else None for size in sizes]
        value = nodes.input(nodes.fresh_name(hint), mapper.dtypes.of(dtype), dims)
        told = [size if isinstance(size, OpenSize) else None for size in sizes]
        value = replace(value, sizes=tuple(a or b for a, b in zip(told, value.sizes, strict=True)))
        mapper.take_noise(Noise(value, distribution, nodes.source, len(steps)))
        return Vector([value, Vector(step.number for step in steps)])

    def drawn(self, numbers: Any) -> Any:
        """Take numbers that a node draws for those of a generator, in each step of a loop anew."""
        if self._mapper.random != "node":
            raise StaticError("nodes draw only where `random` is 'node'")
        if any(len(state.steps) < len(self._mapper.nodes.steps) for state in self._states()):
            raise RefusedHere(
                "each step of the loop reads a generator in the same state, so that PyTensor draws the "
                'same numbers, and a node draws others: draw before the loop, or use random="input"'
            )
        self._use_states()
        return numbers

    def _states(self) -> list[Generator]:
        return [state for state in self._site.inputs if isinstance(state, Generator)]

    def _use_states(self) -> None:
        """Note the generators' states that a draw reads, which no other draw may have read."""
        if self._draws:
            return  # one draw may be made of several numbers
        if any(self._mapper.is_used(state) for state in self._states()):
            raise RefusedHere(f"it reads a generator in {STATE_IN_USE}")
        self._mapper.use(self._states())
        self._draws = True


def _check_op(question: str, op: Any) -> None:
    if not hasattr(op, "make_node"):
        raise StaticError(f"{question} takes an op that an attribute holds, not {describe(op)}")


def unfused(mapper: Mapper, name: str, row: Row, given: tuple[Any, ...], site: Site) -> Any:
    """Map a reduction whose step was fused with the elementwise ops that go before it.

    The inner graph takes what has been reduced so far and an element. Its last op must
    combine the former with something that doesn't depend on it: that is mapped first, and
    then this op once more, with its last op alone as the step.
    """
    fused = getattr(site.op, name)
    carried, *elements = fused.fgraph.inputs
    last = fused.fgraph.outputs[0].owner
    others = [v for v in last.inputs if v is not carried] if last else []
    if last is None or len(last.inputs) != 2 or len(others) != 1:
        raise RefusedHere(
            f"{row.name}'s {name} {shortened(str(fused))} is no step of a reduction that is "
            "applied to what the elements become. Compile the function without fusion: "
            "mode.excluding('fusion')"
        )
    values: Mapping[Any, Any] = dict(zip(elements, given, strict=True))
    (mapped,) = mapper.walk(others, dict(values), True, site.depth, "")
    shapes = [value.shape for value in (mapped, *given)]
    if any(shape is None or len(shape) != len(shapes[-1] or ()) for shape in shapes):
        raise RefusedHere(
            f"{row.name}'s {name} {shortened(str(fused))} does not depend on its input"
        )
    plain = copy(site.op)
    setattr(plain, name, last.op)
    return mapper.apply(Site(plain, (mapped,), site.outputs, site.depth + 1))
