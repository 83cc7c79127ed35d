"""An item's graphs, its numbers, and what PyTensor makes of them."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from onnx_mapper.capture.graph import Captured
from onnx_mapper.conformance.cases.model import STATIC, Case, Exempt
from onnx_mapper.conformance.run.exempt import defined_parts, depends_on_opset, deviating_parts
from onnx_mapper.conformance.run.feeds import Feed, feeds_of
from onnx_mapper.conformance.run.graph_builder import Graph, bare_graph, build_graph
from onnx_mapper.conformance.run.items import Item
from onnx_mapper.language.arrays import Array
from onnx_mapper.language.scope import Language

KEPT_BATCHES = 60


class Lacking(Exception):
    """PyTensor has no such graph: its Op does not take these dtypes."""


class Unanswered(Exception):
    """PyTensor raises an error for these numbers.

    Attributes:
        feed: The numbers.
        error: What it raises.
    """

    def __init__(self, feed: Feed, error: Exception) -> None:
        self.feed = feed
        self.error = error
        text = str(error).splitlines()[0] if str(error) else ""
        super().__init__(
            f"PyTensor itself raises {type(error).__name__}: {text}; keep these numbers or sizes "
            "out with `domain`, `sizes` or `avoid`"
        )


@dataclass(frozen=True)
class Trial:
    """Arrays to run, with what PyTensor makes of them.

    Attributes:
        feed: The arrays.
        expected: PyTensor's results; an error only where a deviation says so.
        deviation: The known deviation that they are about.
    """

    feed: Feed
    expected: list[Array] | Exception
    deviation: Exempt | None = None


@dataclass
class Batch:
    """One graph of an item, and all that is run on it.

    Attributes:
        item: The item.
        graph: The graph.
        captured: The graph, ready for export.
        parts: The arrays, each with the known deviation that they are about.
    """

    item: Item
    graph: Graph
    captured: Captured
    parts: list[tuple[Feed, Exempt | None]]
    _trials: dict[bool, list[Trial]] = field(default_factory=dict)

    def trials(self, narrowed: bool) -> list[Trial]:
        """Return the arrays with PyTensor's results, rounded to float32 first if narrowed.

        Raises:
            Unanswered: When PyTensor raises an error.
        """
        if narrowed not in self._trials:
            parts = [(_rounded(feed), d) for feed, d in self.parts] if narrowed else self.parts
            results = self.graph.evaluate([feed for feed, _ in parts])
            for (feed, deviation), result in zip(parts, results, strict=True):
                if isinstance(result, Exception) and deviation is None:
                    raise Unanswered(feed, result)
            self._trials[narrowed] = [
                Trial(feed, result, deviation)
                for (feed, deviation), result in zip(parts, results, strict=True)
            ]
        return self._trials[narrowed]


_kept: OrderedDict[Any, tuple[Case, Batch]] = OrderedDict()
"""Batches that items share which differ in their opset alone; the case keeps its id its own."""


def batches_of(item: Item, language: Language) -> list[Batch]:
    """Build an item's graphs and choose its numbers.

    Args:
        item: The item.
        language: What the formulas of its case may call.

    Raises:
        Lacking: When PyTensor's Op does not take these dtypes.
        RowError: When the case is wrong.
        Exception: What PyTensor raises where it should have such a graph.
    """
    if item.case is None:
        graph = bare_graph(item.row)
        return [Batch(item, graph, graph.captured(), [({}, None)])]
    groups: dict[Any, list[tuple[Feed, Exempt | None]]] = {}
    for feed in feeds_of(item, language):
        for defined in defined_parts(item, feed, language):
            for part in deviating_parts(item, defined, language):
                groups.setdefault(_signature(item, item.case, part[0]), []).append(part)
    if not groups:
        raise Lacking("`avoid` leaves no numbers")
    opset = item.setting.opset if depends_on_opset(item) else None
    batches = []
    for signature, parts in groups.items():
        setting = item.setting
        key = (
            id(item.case), repr((setting.grid, setting.dtypes, setting.given)), setting.shapes,
            opset, signature, item.refuse,
        )  # fmt: skip
        batches.append(_batch(key, item, item.case, parts))
        if item.refuse is not None:
            break
    return batches


def _batch(key: Any, item: Item, case: Case, parts: list[tuple[Feed, Exempt | None]]) -> Batch:
    if key not in _kept:
        try:
            graph = build_graph(item, parts[0][0])
        except (TypeError, NotImplementedError) as error:
            if item.must_build:
                raise
            raise Lacking(f"PyTensor has no such graph: {error}") from None
        batch = Batch(item, graph, graph.captured(), parts)
        if item.refuse is None and not item.must_build:
            _compute(batch)
        _kept[key] = case, batch
        if len(_kept) > KEPT_BATCHES:
            _kept.popitem(last=False)
    _kept.move_to_end(key)
    return _kept[key][1]


def _compute(batch: Batch) -> None:
    """Compute PyTensor's results.

    Raises:
        Lacking: When it builds a graph of these dtypes and then can't compute it.
    """
    try:
        batch.trials(narrowed=False)
    except Unanswered as unanswered:
        if isinstance(unanswered.error, TypeError):
            raise Lacking(f"PyTensor has no such graph: {unanswered.error}") from None


def _signature(item: Item, case: Case, feed: Feed) -> Any:
    """Return what the feeds of one model have in common."""
    fixed = {spec.name for spec in case.inputs if spec.fixed}
    static = item.setting.shapes == STATIC
    shapes = tuple(array.shape for name, array in feed.items() if static or name in fixed)
    held = tuple(feed[name].tobytes() for name, way in item.setting.given if way != "input")
    return shapes, held


def _rounded(feed: Feed) -> Feed:
    """Return float64 numbers as float32 holds them."""
    with np.errstate(over="ignore"):
        return {
            name: array.astype(np.float32).astype(array.dtype)
            if array.dtype == np.float64
            else array
            for name, array in feed.items()
        }
