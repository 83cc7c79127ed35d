"""Holds exported models against PyTensor, in ONNX Runtime."""

from __future__ import annotations

import threading
import warnings
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnxruntime
from onnx import ModelProto

from onnx_mapper.conformance.cases.model import STATIC, Case, Exempt
from onnx_mapper.conformance.cases.only_operator import only_operator
from onnx_mapper.conformance.run.batches import Batch, Lacking, Trial, Unanswered, batches_of
from onnx_mapper.conformance.run.compare import compare
from onnx_mapper.conformance.run.distributions import as_declared, difference, noise_for
from onnx_mapper.conformance.run.feeds import Feed
from onnx_mapper.conformance.run.graph_builder import Graph
from onnx_mapper.conformance.run.items import Item
from onnx_mapper.errors import MapperError, Refused, RowError
from onnx_mapper.language.arrays import Array
from onnx_mapper.language.scope import Language
from onnx_mapper.mapping.build import Built, build
from onnx_mapper.model.builder import CAST
from onnx_mapper.model.session import open_session
from onnx_mapper.options import Options
from onnx_mapper.rows.table import Table

LONGEST_RUN = 10.0

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
        crashed: Whether onnx-mapper itself raised an error that is none of its own.
        narrowed: Whether the model computes in fewer digits than PyTensor.
        deviating: How many known deviations were seen to be still true.
        graph: The graph, where something is wrong.
        feed: The arrays, where something is wrong.
    """

    status: str
    problem: str = ""
    ulps: float = 0.0
    crashed: bool = False
    narrowed: bool = False
    deviating: int = 0
    graph: Graph | None = field(default=None, compare=False, repr=False)
    feed: Feed | None = field(default=None, compare=False, repr=False)


class _Failure(Exception):
    """Something is wrong with the model."""

    def __init__(self, problem: str, ulps: float = 0.0, feed: Feed | None = None) -> None:
        super().__init__(problem)
        self.ulps = ulps
        self.feed = feed


class _Crash(_Failure):
    """onnx-mapper itself raised an error that is none of its own."""


def run_item(item: Item, table: Table) -> Outcome:
    """Build, evaluate, export, run and compare one item."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return Prepared(item, table.language).check(table)
        except Lacking as lacking:
            return Outcome(SKIPPED, str(lacking))
        except MapperError as error:
            return Outcome(FAILED, str(error))
        except Exception as error:
            problem = f"PyTensor can't build the graph: {type(error).__name__}: {error}"
            return Outcome(FAILED, problem)


class Prepared:
    """An item with its graphs and PyTensor's results, to be held against many tables.

    Args:
        item: The item.
        language: What the formulas of its case may call.

    Raises:
        Lacking: When PyTensor has no such graph.
        RowError: When the item's case is wrong.
        Exception: What PyTensor raises where it should have such a graph.
    """

    def __init__(self, item: Item, language: Language) -> None:
        self.item = item
        broken = item.case is None and item.refuse is None
        self.batches = [] if broken else batches_of(item, language)
        self._distances: list[dict[bytes, float]] = [{} for _ in self.batches]
        self.differs = False

    def check(self, table: Table) -> Outcome:
        """Export the item by a table's rows and hold the models against PyTensor.

        A model that is byte for byte one that followed PyTensor before is not run again. Whether
        one is another than at first stands in `differs`.
        """
        self.differs = False
        if self.item.refuse is not None:
            return self._check_refusal(table, self.item.refuse.says)
        if self.item.case is None:
            return Outcome(FAILED, self.item.problem)
        if self.item.row.draws:
            return self._check_draws(table)
        outcome = Outcome(PASSED)
        for batch, distances in zip(self.batches, self._distances, strict=True):
            try:
                found = self._check_batch(batch, distances, self.item.case, table)
            except RowError as error:
                return Outcome(FAILED, str(error))
            except (_Failure, Unanswered) as failure:
                ulps = failure.ulps if isinstance(failure, _Failure) else 0.0
                feed = failure.feed or batch.parts[0][0]
                crashed = isinstance(failure, _Crash)
                return Outcome(FAILED, str(failure), ulps, crashed, graph=batch.graph, feed=feed)
            outcome = Outcome(
                PASSED,
                ulps=max(outcome.ulps, found.ulps),
                narrowed=outcome.narrowed or found.narrowed,
                deviating=outcome.deviating + found.deviating,
            )
        return outcome

    def build(self, table: Table) -> None:
        """Export the item by a table's rows, and leave it at that."""
        for batch in self.batches:
            with suppress(MapperError, _Crash):
                _built(table, batch, self._options())

    def _options(self) -> Options:
        """Return the options of the item's models: patterns are for the rows that they are tested by."""
        return Options(self.item.setting.opset, optimize=bool(self.item.row.pattern))

    def _check_draws(self, table: Table) -> Outcome:
        """Check that draws are refused, and if they take their numbers as inputs, distributed alike."""
        for batch, distances in zip(self.batches, self._distances, strict=True):
            refused = self._check_refusal(table, "random=")
            if refused.status != PASSED:
                return refused
            try:
                self._check_drawing(batch, distances, table)
            except Exception as error:
                expected = isinstance(error, _Failure | Unanswered)
                problem = str(error) if expected else _told(error)
                crashed = isinstance(error, _Crash)
                feed = batch.parts[0][0]
                return Outcome(FAILED, problem, crashed=crashed, graph=batch.graph, feed=feed)
        return Outcome(PASSED)

    def _check_drawing(self, batch: Batch, distances: dict[bytes, float], table: Table) -> None:
        assert self.item.case is not None
        options = replace(self._options(), random=self.item.case.random)
        built = _built(table, batch, options)
        data = self._check_built(built, batch, distances)
        if data in distances:
            return
        onnxruntime.set_seed(self.item.seed % 2**31)
        session = open_session(data)
        for trial in batch.trials(False):
            assert not isinstance(trial.expected, Exception)
            noise = noise_for(built.model, self.item.seed, trial.expected[0].shape)
            if options.random == "input" and not noise:
                raise _Failure("no input takes random numbers")
            results = _run(session, as_declared(built.model, {**trial.feed, **noise}), _loops(data))
            for found, expected in zip(results, trial.expected, strict=True):
                problem = difference(np.asarray(found), expected)
                if problem:
                    raise _Failure(problem)
        distances[data] = 0.0

    def _check_refusal(self, table: Table, says: str) -> Outcome:
        batch, crashed = self.batches[0], False
        try:
            _built(table, batch, self._options())
        except Refused as refused:
            if says.lower() in str(refused).lower():
                return Outcome(PASSED)
            problem = f"is refused, but not with {says!r}: {refused}"
        except (MapperError, _Crash) as error:
            crashed = isinstance(error, _Crash)
            problem = f"is not refused with {says!r}, but raises {type(error).__name__}: {error}"
        else:
            problem = f"is exported, and should be refused with {says!r}"
        feed = batch.parts[0][0]
        return Outcome(FAILED, problem, crashed=crashed, graph=batch.graph, feed=feed)

    def _check_batch(
        self, batch: Batch, distances: dict[bytes, float], case: Case, table: Table
    ) -> Outcome:
        try:
            built = _built(table, batch, self._options())
        except MapperError as error:
            raise _Failure(f"can't be exported: {error}") from None
        data = self._check_built(built, batch, distances)
        trials = batch.trials(bool(built.narrowed))
        if data not in distances:
            run = _Run(batch, built.model, data, case, bool(built.narrowed))
            distances[data] = run.check(trials)
        deviating = sum(trial.deviation is not None for trial in trials)
        narrowed = bool(built.narrowed)
        return Outcome(PASSED, ulps=distances[data], narrowed=narrowed, deviating=deviating)

    def _check_built(self, built: Built, batch: Batch, distances: dict[bytes, float]) -> bytes:
        """Check what a model is made of, and return its bytes."""
        assert self.item.case is not None
        if not self.item.row.pattern and self.item.row.title not in built.rows_used:
            used = ", ".join(built.rows_used) or "none"
            raise _Failure(f"the graph does not use this row; it uses: {used}")
        if self.item.setting.shapes != STATIC or all(a.size for a in batch.parts[0][0].values()):
            self._check_operators(built.model, self.item.case)
        data: bytes = built.model.SerializeToString(deterministic=True)
        self.differs |= data != next(iter(distances), data)
        return data

    def _check_operators(self, model: ModelProto, case: Case) -> None:
        found = tuple(node.op_type for node in model.graph.node)
        for expectation in case.expect:
            if self.item.setting.agrees(expectation.choice) and found != expectation.operators:
                raise _Failure(
                    f"the model's operators are {', '.join(found) or 'none'}; {expectation.place} "
                    f"expects {', '.join(expectation.operators) or 'none'}"
                )
        only = only_operator(self.item.row) if case.graph is None and not case.expect else None
        beside_casts = tuple(operator for operator in found if operator != CAST)
        if only and beside_casts != (only,):
            raise _Failure(
                f"the model's operators are {', '.join(found) or 'none'}; the row's body is one "
                f"{only}, which casts alone may stand beside"
            )


class _Run:
    """One model in ONNX Runtime."""

    def __init__(
        self, batch: Batch, model: ModelProto, data: bytes, case: Case, narrowed: bool
    ) -> None:
        self.names = {variable.name for variable in batch.graph.inputs}
        self.model = model
        self.case = case
        self.narrowed = narrowed
        self.loops = _loops(data)
        try:
            self.session = open_session(data)
        except Exception as error:
            raise _Failure(f"ONNX Runtime does not load the model: {_first_line(error)}") from None

    def check(self, trials: list[Trial]) -> float:
        """Run all trials and return the largest distance from PyTensor, in ulps."""
        worst = 0.0
        agreeing: dict[Exempt, Feed | None] = {}
        for trial in trials:
            try:
                distance = self._compare(trial)
            except _Failure:
                if trial.deviation is None:
                    raise
                agreeing[trial.deviation] = None
                continue
            if trial.deviation is None:
                worst = max(worst, distance)
            else:
                agreeing.setdefault(trial.deviation, trial.feed)
        for deviation, feed in agreeing.items():
            if feed is not None:
                raise _Failure(
                    f"the deviation at {deviation.place} is no longer one: the model agrees with "
                    "PyTensor; remove it, or narrow its `when` or `where`",
                    feed=feed,
                )
        return worst

    def _compare(self, trial: Trial) -> float:
        feed = {name: array for name, array in trial.feed.items() if name in self.names}
        try:
            results = _run(self.session, feed, self.loops)
        except Exception as error:
            raise _Failure(f"ONNX Runtime fails: {_first_line(error)}", feed=trial.feed) from None
        if isinstance(trial.expected, Exception):
            raise _Failure("PyTensor raises an error, the model does not", feed=trial.feed)
        worst = 0.0
        for position, (found, expected) in enumerate(zip(results, trial.expected, strict=True)):
            result = compare(np.asarray(found), expected, self.case.tolerance, self.narrowed)
            if result.problem:
                which = f"output {position}: " if len(results) > 1 else ""
                at = _inputs_at(trial.feed, result.index, expected.shape)
                raise _Failure(f"{which}{result.problem}{at}", result.ulps, trial.feed)
            self._check_declared(position, expected, trial.feed)
            worst = max(worst, result.ulps)
        return worst

    def _check_declared(self, position: int, expected: Array, feed: Feed) -> None:
        declared = self.model.graph.output[position].type.tensor_type.shape.dim
        sizes = [dim.dim_value if dim.HasField("dim_value") else None for dim in declared]
        fits = len(sizes) == expected.ndim and all(
            ours in (None, theirs) for ours, theirs in zip(sizes, expected.shape, strict=False)
        )
        if not fits:
            raise _Failure(
                f"the model declares the shape {sizes} where it is {list(expected.shape)}",
                feed=feed,
            )


def _built(table: Table, batch: Batch, options: Options) -> Built:
    """Build an item's model.

    Raises:
        MapperError: When that can't be, as its rows are.
        _Crash: When another error comes out.
    """
    try:
        return build(table, batch.captured, options, patterns_may_fail=False)
    except MapperError:
        raise
    except Exception as error:
        raise _Crash(f"onnx-mapper itself raises {type(error).__name__}: {error}") from error


def _run(session: Any, feed: Feed, loops: bool) -> list[Any]:
    """Run a model; one that a mutant may have left in an endless loop is stopped after a while."""
    if not loops:
        return list(session.run(None, feed))
    options = onnxruntime.RunOptions()
    timer = threading.Timer(LONGEST_RUN, setattr, (options, "terminate", True))
    timer.start()
    try:
        return list(session.run(None, feed, options))
    finally:
        timer.cancel()


def _loops(data: bytes) -> bool:
    """Tell whether a model may have a Loop, in some graph of it."""
    return b"Loop" in data


def _told(error: BaseException) -> str:
    if isinstance(error, Refused):
        return f"Refused: {'; '.join(str(refusal) for refusal in error.refusals)}"
    return f"{type(error).__name__}: {_first_line(error)}"


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__


def _inputs_at(feed: Feed, index: tuple[int, ...] | None, shape: tuple[int, ...]) -> str:
    """Name the inputs' numbers at the worst element, where they have the result's shape."""
    if index is None or any(array.shape != shape for array in feed.values()):
        return ""
    listed = ", ".join(f"{name} = {array[index]!s}" for name, array in feed.items())
    return f" (where {listed})"
