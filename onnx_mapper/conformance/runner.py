"""Runs the items of many rows, and gathers what came of them row by row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from onnx_mapper.conformance.reproduction import reproduction
from onnx_mapper.conformance.run.coverage import Mark, traced
from onnx_mapper.conformance.run.items import Item
from onnx_mapper.conformance.run.oracle import FAILED, PASSED, SKIPPED, run_item
from onnx_mapper.conformance.run.workers import Died, run_jobs
from onnx_mapper.rows.table import Table

SECONDS_PER_ITEM = 120.0


@dataclass(frozen=True)
class Result:
    """What came of an item, without the graph.

    Attributes:
        id: The item's name.
        status: `passed`, `failed` or `skipped`.
        problem: What is wrong.
        ulps: The largest distance from PyTensor.
        narrowed: Whether the model computes in fewer digits.
        deviating: How many known deviations are still true.
        story: The reproduction, for an item that failed.
        marks: The formulas that were evaluated, where that was asked for.
    """

    id: str
    status: str
    problem: str = ""
    ulps: float = 0.0
    narrowed: bool = False
    deviating: int = 0
    story: str = ""
    marks: frozenset[Mark] = frozenset()

    @property
    def passed(self) -> bool:
        """Whether the model follows PyTensor."""
        return self.status == PASSED


@dataclass(frozen=True)
class RowResult:
    """What came of one row.

    Attributes:
        title: `conv.yaml::AbstractConv2d`.
        results: Its items' results.
    """

    title: str
    results: tuple[Result, ...]

    def count(self, status: str) -> int:
        """Return how many items have a status."""
        return sum(result.status == status for result in self.results)

    @property
    def failures(self) -> tuple[Result, ...]:
        """The results of items that failed."""
        return tuple(result for result in self.results if result.status == FAILED)

    @property
    def worst(self) -> float:
        """The largest distance from PyTensor among items that passed, in ulps."""
        return max([r.ulps for r in self.results if r.status == PASSED] or [0.0])

    def line(self) -> str:
        """Return the row's line of the summary."""
        parts = [f"{self.count(PASSED)} passed"]
        if self.failures:
            parts.append(f"{len(self.failures)} FAILED")
        if self.count(SKIPPED):
            parts.append(f"{self.count(SKIPPED)} not in PyTensor")
        parts.append(f"worst {self.worst:.3g} ulps")
        if narrowed := sum(result.narrowed for result in self.results):
            parts.append(f"{narrowed} in float32")
        if deviating := sum(result.deviating for result in self.results):
            parts.append(f"{deviating} known deviations")
        return f"{self.title}: {', '.join(parts)}"

    def data(self) -> dict[str, Any]:
        """Return the row's entry of the JSON report."""
        return {
            "row": self.title,
            "passed": self.count(PASSED),
            "failed": self.count(FAILED),
            "skipped": self.count(SKIPPED),
            "worst_ulps": self.worst,
            "narrowed": sum(result.narrowed for result in self.results),
            "deviations": sum(result.deviating for result in self.results),
            "failures": [{"id": r.id, "problem": r.problem} for r in self.failures],
        }


class _RowJob:
    """The items of one row, as steps."""

    def __init__(self, items: Sequence[Item], table: Table, marks: set[Mark]) -> None:
        self.items = items
        self.table = table
        self.marks = marks

    def __len__(self) -> int:
        return len(self.items)

    def step(self, position: int) -> Result:
        self.marks.clear()
        result = result_of(self.items[position], self.table)
        return replace(result, marks=frozenset(self.marks))


def result_of(item: Item, table: Table) -> Result:
    """Run one item."""
    outcome = run_item(item, table)
    story = reproduction(item, outcome) if outcome.status == FAILED else ""
    return Result(
        item.id,
        outcome.status,
        outcome.problem,
        outcome.ulps,
        outcome.narrowed,
        outcome.deviating,
        story,
    )


def run_rows(
    items: Mapping[str, Sequence[Item]],
    table: Table,
    workers: int,
    on_result: Callable[[Result], None],
    on_row: Callable[[RowResult], None],
    marking: bool = False,
) -> list[RowResult]:
    """Run the items of many rows.

    Args:
        items: The items, by what their ids begin with.
        table: The table that exports use.
        workers: How many processes to use; 0 for none but this one.
        on_result: Told of every item.
        on_row: Told of every row when its last item is done.
        marking: Whether results tell which formulas were evaluated.

    Returns:
        The rows' results, in the order of the items.
    """
    titles = list(items)
    marks: set[Mark] = set()
    used = traced(table, marks) if marking else table
    jobs = [_RowJob(items[title], used, marks) for title in titles]
    found: list[list[Result]] = [[] for _ in titles]
    finished: dict[int, RowResult] = {}
    for job, step, result in run_jobs(jobs, workers, SECONDS_PER_ITEM):
        if isinstance(result, Died):
            item = jobs[job].items[step]
            story = f"FAILED {item.id}\n  {result.reason}"
            result = Result(item.id, FAILED, result.reason, story=story)
        found[job].append(result)
        on_result(result)
        if len(found[job]) == len(jobs[job]):
            finished[job] = RowResult(titles[job], tuple(found[job]))
            on_row(finished[job])
    return [finished[job] for job in sorted(finished)]
