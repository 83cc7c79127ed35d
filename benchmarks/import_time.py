"""What importing onnx_mapper costs over importing PyTensor, ONNX and NumPy, and what the first export costs.

Run `python benchmarks/import_time.py`; it exits with 1 where the import costs more than 150 ms.
"""

from __future__ import annotations

import statistics
import subprocess
import sys

ALLOWED_MILLISECONDS = 150
RUNS = 7

PROGRAM = """
import time
import numpy, onnx, onnx.checker, onnx.helper, onnx.numpy_helper, onnx.shape_inference
import pytensor, pytensor.tensor as pt
begin = time.perf_counter()
import onnx_mapper
imported = time.perf_counter()
x = pt.fvector("x")
f = pytensor.function([x], pt.exp(x), mode="FAST_COMPILE")
compiled = time.perf_counter()
onnx_mapper.export(f)
first = time.perf_counter()
onnx_mapper.export(f)
print(imported - begin, first - compiled, time.perf_counter() - first)
"""


def main() -> int:
    """Print the medians; return the exit status."""
    runs = []
    for _ in range(RUNS):
        done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
        runs.append([float(part) * 1000 for part in done.stdout.split()])
    imported, first, second = (statistics.median(column) for column in zip(*runs, strict=True))
    print(f"import onnx_mapper:  {imported:7.1f} ms (at most {ALLOWED_MILLISECONDS})")
    print(f"first export:        {first:7.1f} ms, which reads and checks the table")
    print(f"second export:       {second:7.1f} ms")
    return 0 if imported <= ALLOWED_MILLISECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
