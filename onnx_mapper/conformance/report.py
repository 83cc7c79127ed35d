"""What a run shows: a summary per row, a reproduction per failure, and the same as JSON."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnx_mapper.conformance.items import Item
from onnx_mapper.conformance.oracle import FAILED, PASSED, SKIPPED, Outcome
from onnx_mapper.value import Array

LONGEST_ARRAY = 4000


@dataclass(frozen=True)
class RowReport:
    """What came of one row.

    Attributes:
        title: `conv.yaml::AbstractConv2d`.
        outcomes: Each item with its outcome.
    """

    title: str
    outcomes: tuple[tuple[Item, Outcome], ...]

    def count(self, status: str) -> int:
        """Return how many items have a status."""
        return sum(outcome.status == status for _, outcome in self.outcomes)

    @property
    def worst(self) -> float:
        """The largest distance from PyTensor among items that passed, in ulps."""
        return max([o.ulps for _, o in self.outcomes if o.status == PASSED] or [0.0])

    def line(self) -> str:
        """Return the row's line of the summary."""
        parts = [f"{self.count(PASSED)} passed"]
        if self.count(FAILED):
            parts.append(f"{self.count(FAILED)} FAILED")
        if self.count(SKIPPED):
            parts.append(f"{self.count(SKIPPED)} not in PyTensor")
        parts.append(f"worst {self.worst:.3g} ulps")
        narrowed = sum(outcome.narrowed for _, outcome in self.outcomes)
        if narrowed:
            parts.append(f"{narrowed} in float32")
        deviating = sum(outcome.deviating for _, outcome in self.outcomes)
        if deviating:
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
            "narrowed": sum(outcome.narrowed for _, outcome in self.outcomes),
            "deviations": sum(outcome.deviating for _, outcome in self.outcomes),
            "failures": [
                {"id": item.id, "problem": outcome.problem}
                for item, outcome in self.outcomes
                if outcome.status == FAILED
            ],
        }


def reproduction(item: Item, outcome: Outcome) -> str:
    """Return all that is needed to see a failure again: graph, inputs, versions, command."""
    lines = [f"FAILED {item.id}", f"  {outcome.problem}", f"  row: {item.row.title}"]
    if outcome.graph is not None:
        lines += ["  graph:", *(f"    {line}" for line in _printed(outcome.graph.outputs))]
    if outcome.feed is not None:
        lines += ["  inputs:", *(f"    {line}" for line in _arrays(outcome.feed))]
    lines.append(f"  versions: {versions()}")
    lines.append(f'  again: onnx-mapper test {item.row.place.file} -k "{item.id}"')
    return "\n".join(lines)


def _printed(outputs: Sequence[Any]) -> list[str]:
    from pytensor.printing import debugprint

    stream = io.StringIO()
    debugprint(list(outputs), file=stream, print_type=True)
    return stream.getvalue().splitlines()


def _arrays(feed: Mapping[str, Array]) -> list[str]:
    with np.printoptions(threshold=sys.maxsize, linewidth=96, floatmode="unique"):
        lines: list[str] = []
        for name, array in feed.items():
            text = f"{name} = np.{np.array_repr(array)}" if array.size < LONGEST_ARRAY else ""
            text = text or f"{name}: {array.dtype}{list(array.shape)}, too long to print"
            lines += text.splitlines()
        return lines


def versions() -> str:
    """Return the versions that numbers depend on."""
    import onnx
    import onnxruntime
    import pytensor

    from onnx_mapper.version import VERSION

    listed = [("onnx-mapper", VERSION), ("pytensor", pytensor.__version__)]
    listed += [("onnx", onnx.__version__), ("onnxruntime", onnxruntime.__version__)]
    listed += [("numpy", np.__version__), ("python", sys.version.split()[0])]
    return ", ".join(f"{name} {version}" for name, version in listed)
