"""A failure, told so that it can be seen again: graph, inputs, versions, command."""

from __future__ import annotations

import io
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from onnx_mapper.conformance.run.items import Item
from onnx_mapper.conformance.run.oracle import Outcome
from onnx_mapper.errors import from_here
from onnx_mapper.language.arrays import Array
from onnx_mapper.version import VERSION

LONGEST_ARRAY = 4000


def reproduction(item: Item, outcome: Outcome) -> str:
    """Return all that is needed to see a failure again: graph, inputs, versions, command."""
    lines = [f"FAILED {item.id}", f"  {outcome.problem}", f"  row: {item.row.title}"]
    if outcome.graph is not None:
        lines += ["  graph:", *(f"    {line}" for line in _printed(outcome.graph.outputs))]
    if outcome.feed is not None:
        lines += ["  inputs:", *(f"    {line}" for line in _arrays(outcome.feed))]
    lines.append(f"  versions: {versions()}")
    lines.append(f'  again: onnx-mapper test {_file_of(item)}-k "{item.id}"')
    return "\n".join(lines)


def _file_of(item: Item) -> str:
    """Return the file that a command must name to test an item: none for the package's own."""
    if item.row.shipped or item.row.file is None:
        return ""
    return f"{shlex.quote(from_here(item.row.file))} "


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

    listed = [("onnx-mapper", VERSION), ("pytensor", pytensor.__version__)]
    listed += [("onnx", onnx.__version__), ("onnxruntime", onnxruntime.__version__)]
    listed += [("numpy", np.__version__), ("python", sys.version.split()[0])]
    return ", ".join(f"{name} {version}" for name, version in listed)
