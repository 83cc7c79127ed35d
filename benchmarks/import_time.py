"""What importing onnx_mapper costs over PyTensor, ONNX and NumPy, and what the first export does.

Run `python benchmarks/import_time.py`; it exits with 1 where the import costs more than 150 ms.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

ALLOWED_MILLISECONDS = 150
RUNS = 7

PROGRAM = """
import time
import numpy, onnx, onnx.checker, onnx.helper, onnx.numpy_helper, onnx.shape_inference
import pytensor, pytensor.tensor as pt
begin = time.process_time()
import onnx_mapper
imported = time.process_time()
x = pt.fvector("x")
f = pytensor.function([x], pt.exp(x), mode="FAST_COMPILE")
compiled = time.process_time()
onnx_mapper.export(f)
first = time.process_time()
onnx_mapper.export(f)
print(imported - begin, first - compiled, time.process_time() - first)
"""


def main() -> int:
    """Print the medians; return the exit status."""
    runs = []
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, check=True
    )
    for _ in range(RUNS):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        runs.append([float(part) * 1000 for part in done.stdout.split()])
    imported, first, second = (statistics.median(column) for column in zip(*runs, strict=True))
    print(f"import onnx_mapper:  {imported:7.1f} ms (at most {ALLOWED_MILLISECONDS})")
    print(f"first export:        {first:7.1f} ms, which reads and checks the table")
    print(f"second export:       {second:7.1f} ms")
    return 0 if imported <= ALLOWED_MILLISECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
