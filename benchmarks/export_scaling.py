"""Is the export linear in the number of nodes? Time per Apply node, as a ratio in one run.

Run `python benchmarks/export_scaling.py`; it exits with 1 where a node of the largest graph costs
more than 1.5 times what a node of the thousand-node graph costs.
"""

from __future__ import annotations

import os
import sys
import time

os.environ.setdefault("PYTENSOR_FLAGS", "cxx=")

import numpy as np
import pytensor.tensor as pt
from pytensor.graph.fg import FunctionGraph

from onnx_mapper import export

SIZES = (100, 1_000, 10_000, 30_000, 100_000)
ALLOWED_RATIO = 1.5


def chain(nodes: int) -> FunctionGraph:
    """Return a chain of Apply nodes of a few kinds, each of which reads the one before."""
    x = pt.fvector("x")
    y = x
    for position in range(nodes // 2):
        y = pt.tanh(y) if position % 2 else pt.exp(y)
        y = y * pt.constant(np.float32(1 + position % 7 / 10), ndim=1)
    return FunctionGraph([x], [y], clone=False)


def main() -> int:
    """Print the table; return the exit status."""
    export(chain(100))
    seconds = {}
    for size in SIZES:
        graph = chain(size)
        begin = time.perf_counter()
        model = export(graph)
        seconds[size] = (time.perf_counter() - begin) / len(graph.apply_nodes)
        print(
            f"{len(graph.apply_nodes):>6} Apply nodes, {len(model.graph.node):>6} ONNX nodes: "
            f"{seconds[size] * 1e6:7.1f} µs per node"
        )
    ratio = seconds[SIZES[-1]] / seconds[1_000]
    print(f"ratio of {SIZES[-1]} to 1000 nodes: {ratio:.2f} (at most {ALLOWED_RATIO})")
    return 0 if ratio <= ALLOWED_RATIO else 1


if __name__ == "__main__":
    sys.exit(main())
