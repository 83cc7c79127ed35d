"""Runs an item: PyTensor against the exported model in ONNX Runtime."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnxruntime
from onnx import ModelProto

from onnx_mapper.capture import Captured
from onnx_mapper.conformance.cases import Exempt
from onnx_mapper.conformance.compare import compare
from onnx_mapper.conformance.conditions import FUNCTIONS, holds_for
from onnx_mapper.conformance.feeds import Feed, feeds_of, sizes_in
from onnx_mapper.conformance.graphs import Graph, bare_graph, build_graph
from onnx_mapper.conformance.items import Item, names_of
from onnx_mapper.errors import MapperError, Refused, RowError
from onnx_mapper.export import build_with
from onnx_mapper.formula import Language, Scope, truth
from onnx_mapper.static import as_static
from onnx_mapper.table import Table
from onnx_mapper.value import Array

PASSED = "passed"
FAILED = "failed"
SKIPPED = "skipped"


@dataclass(frozen=True)
class Outcome:
    """What came of an item.

    Attributes:
        status: `passed`, `failed` or `skipped`.
        problem: What is wrong, or why it was skipped.
        ulps: The largest distance from PyTensor, in units of the last place.
        narrowed: Whether the model computes in fewer digits than PyTensor.
        deviating: How many known deviations were seen to be still true.
        graph: The graph, where something is wrong.
        feed: The arrays, where something is wrong.
    """

    status: str
    problem: str = ""
    ulps: float = 0.0
    narrowed: bool = False
    deviating: int = 0
    graph: Graph | None = field(default=None, compare=False, repr=False)
    feed: Feed | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Trial:
    """Arrays to run, with PyTensor's results, and the deviation that they belong to.

    Only where a deviation is about the arrays, PyTensor may raise an error instead.
    """

    feed: Feed
    expected: list[Array] | Exception
    deviation: Exempt | None = None


@dataclass
class Batch:
    """One graph of an item, and all that is run on it."""

    graph: Graph
    captured: Captured
    feeds: list[Feed]
    trials: dict[bool, list[Trial]] = field(default_factory=dict)


class _Failure(Exception):
    """Something is wrong with the model."""

    def __init__(self, problem: str, ulps: float = 0.0, feed: Feed | None = None) -> None:
        super().__init__(problem)
        self.ulps = ulps
        self.feed = feed


class Prepared:
    """An item with its graphs and PyTensor's results, to be held against many rows.

    Args:
        item: The item.
        language: What the formulas of its case may call.
    """

    def __init__(self, item: Item, language: Language) -> None:
        self.item = item
        self.language = language
        self.skipped = ""
        self.batches: list[Batch] = []
        self.models: dict[bytes, float] = {}
        if item.case is not None:
            self._build()
        elif item.refuse is not None:
            graph = bare_graph(item.row)
            self.batches.append(Batch(graph, graph.captured(), [{}]))

    def _build(self) -> None:
        groups: dict[Any, list[Feed]] = {}
        for feed in feeds_of(self.item, self.language):
            for part in self._parts(feed):
                groups.setdefault(self._signature(part), []).append(part)
        if not groups:
            self.skipped = "`avoid` leaves no numbers"
        for feeds in groups.values():
            try:
                graph = build_graph(self.item, feeds[0])
            except (TypeError, NotImplementedError) as error:
                if self.item.must_build:
                    raise
                self.skipped = f"PyTensor has no such graph: {error}"
                return
            self.batches.append(Batch(graph, graph.captured(), feeds))
            if self.item.refuse is not None:
                return

    def _signature(self, feed: Feed) -> Any:
        """Return what feeds of one model have in common."""
        setting = self.item.setting
        fixed = {spec.name for spec in self.item.case.inputs if spec.fixed} if self.item.case else set()
        shapes = tuple(
            array.shape for name, array in feed.items() if setting.shapes == "static" or name in fixed
        )
        held = tuple(feed[name].tobytes() for name, way in setting.given if way != "input")
        return shapes, held

    def _parts(self, feed: Feed) -> Iterator[Feed]:
        """Take out the numbers for which PyTensor has no answer."""
        assert self.item.case is not None
        masks = [mask for e in self.item.case.avoid if (mask := self._mask(e, feed)) is not None]
        yield from _without(feed, masks, self.item.case.elementwise)

    def _mask(self, exempt: Exempt, feed: Feed) -> Array | None:
        """Return which numbers an exemption is about; None where it is not about this item."""
        setting = self.item.setting
        assert self.item.case is not None
        if exempt.case not in (None, self.item.case.name):
            return None
        sizes = sizes_in(self.item.case, feed)
        names = {k: as_static(v) for k, v in {**names_of(setting), **sizes}.items()}
        read = frozenset().union(*(part.names for part in (exempt.when, exempt.where) if part))
        if read - {*names, *feed, *FUNCTIONS, *self.language.constants}:
            return None
        if exempt.when is not None:
            scope = Scope(dict(names), self.language)
            if not truth(exempt.when.evaluate(scope)):
                return None
        if exempt.where is None:
            return np.ones((), bool)
        return holds_for(exempt.where, {**names, **feed})

    def trials(self, batch: Batch, narrowed: bool) -> list[Trial]:
        """Return the arrays of a batch with PyTensor's results, rounded first if narrowed."""
        if narrowed not in batch.trials:
            feeds = [_rounded(feed) for feed in batch.feeds] if narrowed else batch.feeds
            split = [pair for feed in feeds for pair in self._split(feed)]
            results = batch.graph.evaluate([feed for feed, _ in split])
            trials = []
            for (feed, deviation), result in zip(split, results, strict=True):
                if isinstance(result, Exception) and deviation is None:
                    raise _Failure(
                        f"PyTensor itself raises {type(result).__name__}: "
                        f"{str(result).splitlines()[0] if str(result) else ''}; keep these numbers "
                        "or sizes out with `domain`, `sizes` or `avoid`",
                        feed=feed,
                    )
                trials.append(Trial(feed, result, deviation))
            batch.trials[narrowed] = trials
        return batch.trials[narrowed]

    def _split(self, feed: Feed) -> Iterator[tuple[Feed, Exempt | None]]:
        """Set apart what a known deviation is about."""
        elementwise = self.item.case is not None and self.item.case.elementwise
        masks = []
        for deviation in self.item.deviations:
            mask = self._mask(deviation, feed)
            if mask is not None and mask.any():
                yield from ((part, deviation) for part in _only(feed, mask, elementwise))
                masks.append(mask)
        yield from ((part, None) for part in _without(feed, masks, elementwise))

    def check(self, table: Table) -> Outcome:
        """Export the item by a table's rows and hold the model against PyTensor."""
        if self.item.case is None and self.item.refuse is None:
            return Outcome(FAILED, self.item.problem)
        if self.skipped:
            return Outcome(SKIPPED, self.skipped)
        if self.item.refuse is not None:
            return self._check_refusal(table, self.item.refuse.says)
        worst, narrowed, seen = 0.0, False, 0
        for batch in self.batches:
            if self._pytensor_cannot(batch):
                return Outcome(SKIPPED, self.skipped)
            try:
                ulps, was_narrowed, deviating = self._check_batch(batch, table)
            except RowError as error:
                return Outcome(FAILED, str(error))
            except _Failure as failure:
                feed = failure.feed or batch.feeds[0]
                return Outcome(FAILED, str(failure), failure.ulps, graph=batch.graph, feed=feed)
            worst, narrowed, seen = max(worst, ulps), narrowed or was_narrowed, seen + deviating
        return Outcome(PASSED, ulps=worst, narrowed=narrowed, deviating=seen)

    def _pytensor_cannot(self, batch: Batch) -> bool:
        """Tell whether PyTensor builds a graph for these dtypes and then can't compute it."""
        if self.item.must_build or batch.trials:
            return False
        first = batch.graph.evaluate(batch.feeds[:1])[0]
        if isinstance(first, TypeError):
            self.skipped = f"PyTensor has no such graph: {_first_line(first)}"
        return bool(self.skipped)

    def _check_refusal(self, table: Table, says: str) -> Outcome:
        batch = self.batches[0]
        setting = self.item.setting
        try:
            build_with(table, batch.captured, setting.opset, "keep", {})
        except Refused as refused:
            if says.lower() in str(refused).lower():
                return Outcome(PASSED)
            problem = f"is refused, but not with {says!r}: {refused}"
        except Exception as error:
            problem = f"is not refused with {says!r}, but raises {type(error).__name__}: {error}"
        else:
            problem = f"is exported, and should be refused with {says!r}"
        return Outcome(FAILED, problem, graph=batch.graph, feed=batch.feeds[0])

    def _check_batch(self, batch: Batch, table: Table) -> tuple[float, bool, int]:
        setting = self.item.setting
        try:
            built = build_with(table, batch.captured, setting.opset, "keep", {})
        except MapperError as error:
            raise _Failure(f"can't be exported: {error}") from None
        except Exception as error:
            raise _Failure(f"onnx-mapper itself raises {type(error).__name__}: {error}") from error
        if self.item.row.title not in built.rows_used:
            used = ", ".join(built.rows_used) or "none"
            raise _Failure(f"the graph does not use this row; it uses: {used}")
        self._check_operators(built.model)
        data = built.model.SerializeToString(deterministic=True)
        narrowed = bool(built.narrowed)
        key = data + bytes([self.batches.index(batch)])
        if key not in self.models:
            self.models[key] = self._run(batch, built.model, data, narrowed)
        deviating = sum(trial.deviation is not None for trial in self.trials(batch, narrowed))
        return self.models[key], narrowed, deviating

    def _check_operators(self, model: ModelProto) -> None:
        assert self.item.case is not None
        found = tuple(node.op_type for node in model.graph.node)
        for expectation in self.item.case.expect:
            if self.item.setting.agrees(expectation.choice) and found != expectation.operators:
                raise _Failure(
                    f"the model's operators are {', '.join(found) or 'none'}; {expectation.place} "
                    f"expects {', '.join(expectation.operators) or 'none'}"
                )

    def _run(self, batch: Batch, model: ModelProto, data: bytes, narrowed: bool) -> float:
        trials = self.trials(batch, narrowed)
        try:
            session = _session(data)
        except Exception as error:
            raise _Failure(f"ONNX Runtime does not load the model: {_first_line(error)}") from None
        worst = 0.0
        agreeing: dict[Exempt, Feed] = {}
        for trial in trials:
            try:
                worst = max(worst, self._check_trial(batch, model, session, trial, narrowed))
            except _Failure:
                if trial.deviation is None:
                    raise
                agreeing[trial.deviation] = {}
            else:
                if trial.deviation is not None:
                    agreeing.setdefault(trial.deviation, trial.feed)
        for deviation, feed in agreeing.items():
            if feed:
                raise _Failure(
                    f"the deviation at {deviation.place} is no longer one: the model agrees with "
                    "PyTensor; remove it, or narrow its `when` or `where`",
                    feed=feed,
                )
        return worst

    def _check_trial(
        self, batch: Batch, model: ModelProto, session: Any, trial: Trial, narrowed: bool
    ) -> float:
        names = {variable.name for variable in batch.graph.inputs}
        feed = {name: array for name, array in trial.feed.items() if name in names}
        try:
            results = session.run(None, feed)
        except Exception as error:
            raise _Failure(f"ONNX Runtime fails: {_first_line(error)}", feed=trial.feed) from None
        assert self.item.case is not None
        if isinstance(trial.expected, Exception):
            raise _Failure("PyTensor raises an error, the model does not", feed=trial.feed)
        worst = 0.0
        for position, (found, expected) in enumerate(zip(results, trial.expected, strict=True)):
            result = compare(np.asarray(found), expected, self.item.case.tolerance, narrowed)
            if result.problem:
                which = f"output {position}: " if len(results) > 1 else ""
                at = _inputs_at(trial.feed, result.index, expected.shape)
                raise _Failure(f"{which}{result.problem}{at}", result.ulps, trial.feed)
            self._check_declared(model, position, expected, trial.feed)
            worst = max(worst, result.ulps)
        return worst

    def _check_declared(
        self, model: ModelProto, position: int, expected: Array, feed: Feed
    ) -> None:
        declared = model.graph.output[position].type.tensor_type.shape.dim
        sizes = [dim.dim_value if dim.HasField("dim_value") else None for dim in declared]
        fits = len(sizes) == expected.ndim and all(
            ours in (None, theirs) for ours, theirs in zip(sizes, expected.shape, strict=False)
        )
        if not fits:
            raise _Failure(
                f"the model declares the shape {sizes} where it is {list(expected.shape)}", feed=feed
            )


def run_item(item: Item, table: Table) -> Outcome:
    """Build, evaluate, export, run and compare one item."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            prepared = Prepared(item, table.language)
        except MapperError as error:
            return Outcome(FAILED, str(error))
        except Exception as error:
            problem = f"PyTensor can't build the graph: {type(error).__name__}: {error}"
            return Outcome(FAILED, problem)
        return prepared.check(table)


def _session(data: bytes) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__


def _rounded(feed: Feed) -> Feed:
    """Return float64 numbers as float32 holds them."""
    with np.errstate(over="ignore"):
        return {
            name: array.astype(np.float32).astype(array.dtype) if array.dtype == np.float64 else array
            for name, array in feed.items()
        }


def _only(feed: Feed, mask: Array, elementwise: bool) -> Iterator[Feed]:
    if not elementwise or not mask.ndim:
        yield feed
    else:
        yield {name: array[mask] for name, array in feed.items()}


def _without(feed: Feed, masks: Sequence[Array], elementwise: bool) -> Iterator[Feed]:
    if not any(mask.any() for mask in masks):
        yield feed
    elif elementwise and all(mask.ndim for mask in masks):
        keep = ~np.logical_or.reduce(masks)
        if keep.any():
            yield {name: array[keep] for name, array in feed.items()}


def _inputs_at(feed: Feed, index: tuple[int, ...] | None, shape: tuple[int, ...]) -> str:
    """Name the inputs' numbers at the worst element, where they have the result's shape."""
    if index is None or any(array.shape != shape for array in feed.values()):
        return ""
    listed = ", ".join(f"{name} = {array[index]!s}" for name, array in feed.items())
    return f" (where {listed})"
