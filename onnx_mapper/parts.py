"""A graph in parts: models for what converts, PyTensor's own ops for what doesn't."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from onnx_mapper.capture.graph import Captured, ordered_applies
from onnx_mapper.capture.reading import captured_between
from onnx_mapper.errors import FallbackWarning, Refusal, Refused, gather_refusals
from onnx_mapper.mapping.build import Built
from onnx_mapper.mapping.segments import Segment, segments_of
from onnx_mapper.mapping.to_model import to_model
from onnx_mapper.model.session import open_session
from onnx_mapper.options import Options

Values = dict[Any, Any]


class _Part(Protocol):
    def run(self, values: Values) -> None:
        """Add what the part gives to the values of variables."""


class Parts:
    """A graph, cut where ops don't convert; in one part, a single model, where all do.

    Args:
        inputs: The graph's inputs, of any types.
        outputs: Its outputs.
        options: Those of an export.
        partly: Whether ops that don't convert run in PyTensor.

    Attributes:
        refusals: What does not convert, and why.

    Raises:
        Refused: When nothing converts, or not all and that is asked for; lists all.
    """

    def __init__(
        self, inputs: Sequence[Any], outputs: Sequence[Any], options: Options, partly: bool
    ) -> None:
        self._inputs = inputs
        self._outputs = outputs
        applies = ordered_applies(outputs, set(inputs))
        segments, models, found = _converted(applies, outputs, options)
        performed = sum(len(segment.nodes) for segment in segments if not segment.converts)
        if performed and not found:
            found.append(
                Refusal("the graph", "no row", "some ops exchange what is no tensor of a model")
            )
        self.refusals: tuple[Refusal, ...] = gather_refusals(found)
        if self.refusals and not (partly and models):
            raise Refused(self.refusals)
        self._parts: list[_Part] = [
            _Model(segment, models[segment.nodes]) if segment.converts else _Performed(segment)
            for segment in segments
        ]
        if self.refusals:
            listed = "\n".join(f"  - {refusal}" for refusal in self.refusals)
            warnings.warn(
                f"{performed} of {len(applies)} nodes run in PyTensor, and the others in ONNX Runtime "
                f"({'1 model' if len(models) == 1 else f'{len(models)} models'}):\n{listed}",
                FallbackWarning,
                stacklevel=2,
            )

    def run(self, values: Sequence[Any]) -> list[Any]:
        """Return the outputs for values of the inputs."""
        known: Values = {v: v.data for v in self._outputs if hasattr(v, "data")}
        known.update(zip(self._inputs, values, strict=True))
        for part in self._parts:
            part.run(known)
        return [known[variable] for variable in self._outputs]


def _converted(
    applies: Sequence[Any], outputs: Sequence[Any], options: Options
) -> tuple[list[Segment], Mapping[tuple[Any, ...], tuple[Captured, Built]], list[Refusal]]:
    """Cut a graph until all segments that should convert do; return them with their models."""
    refused: set[Any] = set()
    found: list[Refusal] = []
    models: dict[tuple[Any, ...], tuple[Captured, Built]] = {}
    while True:
        segments = segments_of(applies, outputs, refused)
        before = len(refused)
        for segment in segments:
            if not segment.converts or segment.nodes in models:
                continue
            captured = captured_between(segment.inputs, segment.outputs)
            try:
                models[segment.nodes] = captured, to_model(captured, options)
            except Refused as error:
                found += error.refusals
                refused |= set(error.applies) or set(segment.nodes)
        if len(refused) == before:
            performed = [n for s in segments if not s.converts for n in s.nodes]
            found += [
                r for node in performed if node not in refused for r in _in_the_way(node, options)
            ]
            return segments, {s.nodes: models[s.nodes] for s in segments if s.converts}, found


def _in_the_way(node: Any, options: Options) -> Sequence[Refusal]:
    """Return why a node by itself does not convert; empty for one that stands beside others that don't."""
    given = [v for v in node.inputs if not hasattr(v, "data")]
    try:
        to_model(captured_between(given, node.outputs), options)
    except Refused as error:
        own = [refusal for refusal in error.refusals if not refusal.op.startswith("the ")]
        return own if node in error.applies else ()
    return ()


class _Model:
    """A part that runs in ONNX Runtime."""

    def __init__(self, segment: Segment, made: tuple[Captured, Built]) -> None:
        captured, built = made
        self._session = open_session(built.model, weights=built.weights)
        self._names = [input_.name for input_ in captured.inputs]
        self._segment = segment

    def run(self, values: Values) -> None:
        given = [np.asarray(values[variable]) for variable in self._segment.inputs]
        results = self._session.run(None, dict(zip(self._names, given, strict=True)))
        values.update(zip(self._segment.outputs, results, strict=True))


class _Performed:
    """A part that PyTensor runs, one op after the other, in Python."""

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        variables = {v for node in segment.nodes for v in (*node.inputs, *node.outputs)}
        self._storage = {v: [getattr(v, "data", None)] for v in variables}
        self._computed = {v: [True] for v in variables}
        self._thunks = [
            node.op.make_thunk(node, self._storage, self._computed, [], impl="py")
            for node in segment.nodes
        ]

    def run(self, values: Values) -> None:
        for node in self._segment.nodes:
            for variable in node.outputs:
                self._storage[variable][0] = None  # ops may reuse what they gave before
        for variable in self._segment.inputs:
            self._storage[variable][0] = values[variable]
        for thunk in self._thunks:
            thunk()
        values.update((v, self._storage[v][0]) for v in self._segment.outputs)
