"""How much memory and time does a model take whose weights pass what one file holds?

Run `python benchmarks/large_weights.py [GIB]`; it writes a model of ten matrices to a temporary folder,
as they are and as float64 that becomes float32, and prints what the process holds before, the most that it
held while it exported, and the time beside that of copying the file. It exits with 1 where an export takes
more than 0.2 GB on top of the weights.
"""

from __future__ import annotations

import resource
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt
from pytensor.graph.fg import FunctionGraph

from onnx_mapper import export

ALLOWED_BYTES = 2e8


def resident() -> int:
    """Return the bytes of memory that the process holds now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * resource.getpagesize()


class Peak:
    """Watches how much memory the process holds."""

    def __enter__(self) -> Peak:
        """Begin to watch."""
        self.most = self.before = resident()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *details: object) -> None:
        """Stop."""
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.005):
            self.most = max(self.most, resident())


def matrices(gib: float, dtype: str) -> tuple[FunctionGraph, list[Any]]:
    """Return a chain of ten products, and its weights."""
    size = int((gib * 2**30 / 10 / np.dtype(dtype).itemsize) ** 0.5)
    x = pt.tensor("x", dtype=dtype, shape=(None, size))
    numbers = np.random.default_rng(0).random((size, size)).astype(dtype)
    weights = [pytensor.shared(numbers + i, name=f"w{i}", borrow=True) for i in range(10)]
    y = x
    for w in weights:
        y = y @ w
    return FunctionGraph([x, *weights], [y], clone=False), weights


def measure(gib: float, dtype: str) -> int:
    """Print a table; return how many bytes the export took on top of the weights."""
    export(matrices(0.001, dtype)[0], dtype="float32")
    graph, _weights = matrices(gib, dtype)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        with Peak() as peak:
            start = time.perf_counter()
            export(graph, path, dtype="float32", external_data=True)
            took = time.perf_counter() - start
        data = max(Path(folder).iterdir(), key=lambda file: file.stat().st_size)
        start = time.perf_counter()
        shutil.copyfile(data, Path(folder) / "copy")
        copying = time.perf_counter() - start
    more = peak.most - peak.before
    print(f"weights          {gib:.2f} GiB of {dtype}, as float32")
    print(f"held before      {peak.before / 1e9:.2f} GB")
    print(f"more, at most    {more / 1e9:.3f} GB")
    print(f"export           {took:.1f} s, {took / copying:.1f} times copying the file")
    return more


def main(arguments: list[str]) -> int:
    """Print the tables; return the exit status."""
    gib = float(arguments[0]) if arguments else 2.5
    return int(max(measure(gib, dtype) for dtype in ("float32", "float64")) > ALLOWED_BYTES)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
