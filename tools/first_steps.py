"""docs/first_steps.md: from one's own Op, which nothing knows of, to a model that runs elsewhere.

The page is made by doing what it says, in a folder of its own.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from transcripts import printed_by

WRAPPING = '''\
# wrapping.py
import numpy as np
import pytensor
import pytensor.tensor as pt
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op


class Wrap(Op):
    """Angles, wrapped into a period around 0."""

    __props__ = ("period",)

    def __init__(self, period):
        self.period = period

    def make_node(self, x):
        x = pt.as_tensor_variable(x)
        return Apply(self, [x], [x.type()])

    def perform(self, node, inputs, output_storage):
        half = np.asarray(self.period / 2, inputs[0].dtype)
        output_storage[0][0] = np.mod(inputs[0] + half, 2 * half) - half


angle = pt.vector("angle", dtype="float32")
f = pytensor.function([angle], Wrap(6.0)(angle * 3), mode="FAST_COMPILE")
'''

ROW = """\
- op: wrapping:Wrap
  summary: Angles, wrapped into a period around 0.
  inputs: [x]
  onnx:
    - shifted = Add(x, period / 2)
    - Sub(shifted_remainder(Mod(shifted, period, fmod=1), period), period / 2)
  cases:
    inputs: {x: "T[n]"}
    dtypes: {T: floats}
    grid: {period: [6.0, 1.5]}
    domain: {x: [-20, 20]}
"""

EQUIVALENT = """\
  equivalent:
    - {mutant: "onnx/0: Add(x, period / 2) => Sub(x, period / 2)", because: They are a whole period apart.}
"""


def first_steps_page() -> str:
    """Return the page."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        sys.path.insert(0, folder)
        try:
            return "\n".join(_page())
        finally:
            os.chdir(before)
            sys.path.remove(folder)
            sys.modules.pop("wrapping", None)


def _page() -> Iterator[str]:
    yield "# First steps\n"
    yield """\
`make demo` exports a trained network and compares it, in one command; the [first page](index.md)
has the call for a function of one's own. Here is what comes next: an Op that nobody has heard of, a
row for it, its tests, and the model elsewhere. All of it was run as it stands.
"""
    yield "## An Op that has no row\n"
    yield _written("wrapping.py", WRAPPING, "python")
    yield _run("check wrapping.py:f")
    yield "Nothing is guessed, and nothing exported. `new` begins a row, from the class:\n"
    yield _run("new wrapping:Wrap -o wrap.yaml")
    yield f"```yaml\n{Path('wrap.yaml').read_text(encoding='utf-8')}```\n"
    yield _run("lint wrap.yaml")
    yield "## A row for it\n"
    yield """\
In ONNX, `Mod` of floats has the sign of the dividend. `onnx-mapper rows Mod` shows how PyTensor's
own is written, and the definition that a row may borrow from it, `shifted_remainder`. The formula
reads `period`, so that it needs no verb; the cases say what to test.
"""
    yield _written("wrap.yaml", ROW, "yaml")
    yield _run("lint wrap.yaml --import wrapping")
    yield "## Its tests, and lies about it\n"
    yield _run("test wrap.yaml --import wrapping --mutants")
    yield """\
24 graphs give PyTensor's numbers. Of eleven lies about the row ten are noticed, and one makes no
difference: half a period more or half a period less is the same after wrapping. That is true, so
the row says so:
"""
    yield _written("wrap.yaml", ROW + EQUIVALENT, "yaml", shown=EQUIVALENT)
    yield _run("test wrap.yaml --import wrapping --mutants")
    yield "## The model\n"
    yield _run("export wrapping.py:f wrap.onnx --mappings wrap.yaml --dims angle=batch --verify")
    yield _run("explain wrap.onnx")
    yield "## In the browser\n"
    yield _run("bundle wrapping.py:f site --mappings wrap.yaml --dims angle=batch")
    yield """\
The page that is served there runs the model and says whether the numbers are PyTensor's. Without a
browser, in `site`, `npm install onnxruntime-web && node check.mjs` does so, and prints:

```
output_0, inputs 1: 5 numbers as PyTensor's
output_0, inputs 2: 12 numbers as PyTensor's
output_0, inputs 3: 3 numbers as PyTensor's
```

More on rows is in [rows](rows.md), on other places in [running a model elsewhere](deploy.md).
"""


def _written(name: str, text: str, language: str, shown: str = "") -> str:
    """Write a file, and return how the page shows it."""
    Path(name).write_text(text, encoding="utf-8")
    return f"```{language}\n{shown or text}```\n"


def _run(command: str) -> str:
    return f"```console\n{printed_by(command)}\n```\n"
