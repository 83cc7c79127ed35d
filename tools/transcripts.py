"""docs/command_line.md: what commands print, run one after the other in a folder of their own."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

from onnx_mapper.cli.main import main

# Exact in any processor's arithmetic, so that every machine prints the same.
PROGRAM = """\
# model.py
import numpy as np
import pytensor
import pytensor.tensor as pt

x = pt.matrix("x", dtype="float32")
scale = pytensor.shared(np.array([1, -2, 0.5], dtype="float32"), name="scale")
good = pytensor.function([x], pt.maximum(x * scale, 0), mode="FAST_COMPILE")
other = pytensor.function([x], pt.minimum(x * scale, 0), mode="FAST_COMPILE")
bad = pytensor.function([x], pt.linalg.eig(x)[0], mode="FAST_COMPILE")
"""

SECTIONS = {
    "Before an export": ["check model.py:good", "check model.py:bad"],
    "An export, and what it is made of": [
        "export model.py:good model.onnx --dims x=batch,3 --output-names y --verify",
        "explain model.onnx",
        "verify model.onnx model.py:good",
        "verify model.onnx model.py:good --json --domain x=-1,1",
    ],
    "What is different": [
        "export model.py:other other.onnx --dims x=batch,3 --output-names y --opset 18",
        "diff model.onnx other.onnx",
        "verify other.onnx model.py:good",
    ],
    "In the browser": ["bundle model.py:good site"],
    "Rows": [
        "rows ArcTan2",
        "rows --missing",
        "new pytensor.tensor.sort:SortOp -o sort.yaml",
        "lint sort.yaml",
    ],
    "What goes wrong": [
        "explain nowhere.onnx",
        "export model.py:nothing model.onnx",
        "export model.py:good model.onnx --dims z=batch,3",
    ],
}

HEAD = f"""\
# The command line

Every command takes `--help`, and `--debug`, which adds the traceback of an error. Output is plain text where
it is piped, and tables that fit the terminal where `pip install 'onnx-mapper[cli]'` has brought rich. With
`--json` it is for programs. `eval "$(onnx-mapper completion bash)"` completes commands and options.

The exit status is 0 where all is well, 1 for obstacles and differences, 2 for a wrong call or what can't be
written, 3 where your own code fails, and 130 after Ctrl-C, which leaves nothing behind. What follows was
printed by these commands, run in this order, on this file:

```python
{PROGRAM}```
"""


def command_line_page() -> str:
    """Return the page."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            Path("model.py").write_text(PROGRAM, encoding="utf-8")
            return "\n".join([HEAD, *_sections()])
        finally:
            os.chdir(before)


def _sections() -> Iterator[str]:
    for title, commands in SECTIONS.items():
        yield f"## {title}\n\n```console"
        for command in commands:
            yield printed_by(command)
        yield "```\n"


def printed_by(command: str) -> str:
    """Return a command as it is typed, what it prints, and its exit status where that is not 0."""
    printed, status = _run(command)
    lines = [f"$ onnx-mapper {command}", *([printed] if printed else [])]
    return "\n".join([*lines, *([f"$ echo $?\n{status}"] if status else [])])


def _run(command: str) -> tuple[str, int]:
    printed = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(printed):
        warnings.simplefilter("ignore")
        with contextlib.redirect_stderr(printed):
            status = main(shlex.split(command))
    return printed.getvalue().rstrip(), status
