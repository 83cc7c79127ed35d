"""`loop(…)` and guarded statements in rows: the same numbers, unrolled or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from helpers import RAW, assert_same, operators, run_model
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op

from onnx_mapper import Refused, RowError, export


class Powers(Op):
    """x to the power n, and all powers before, stacked."""

    __props__ = ("n",)

    def __init__(self, n: int | None) -> None:
        self.n = n

    def make_node(self, x: Any, *count: Any) -> Apply:
        x = pt.as_tensor_variable(x)
        stacked = pt.tensor(dtype=x.dtype, shape=(None, *x.type.shape))
        return Apply(self, [x, *map(pt.as_tensor_variable, count)], [x.type(), stacked])

    def perform(self, node: Apply, inputs: list[Any], outputs: list[Any]) -> None:
        x, *count = inputs
        n = int(count[0]) if count else self.n or 0
        powers = [np.asarray(x**k, dtype=x.dtype) for k in range(n + 1)]
        outputs[0][0] = powers[-1]
        outputs[1][0] = np.stack(powers[:-1]) if n else np.zeros((0, *x.shape), dtype=x.dtype)


class Halvings(Op):
    """How often the largest number can be halved before it is 1 or less, at most 1000 times."""

    __props__ = ()

    def make_node(self, x: Any) -> Apply:
        x = pt.as_tensor_variable(x)
        return Apply(self, [x], [pt.lscalar()])

    def perform(self, node: Apply, inputs: list[Any], outputs: list[Any]) -> None:
        largest, n = inputs[0].max(), 0
        while largest > 1:
            largest, n = largest / 2, n + 1
        outputs[0][0] = np.asarray(n, dtype="int64")


ROWS = f"""
- op: {__name__}:Powers
  summary: A power, and all powers before.
  inputs: [x, "count?"]
  onnx:
    - steps = n if count is None else count
    - one = Div(x, x)
    - last, before = loop(steps, [Mul(y, x), y], y=one)
    - "[last, before]"

- op: {__name__}:Halvings
  summary: How often the largest number can be halved.
  inputs: [x]
  onnx:
    - largest = ReduceMax(x, keepdims=0)
    - loop(1000, [Div(y, 2), Add(n, 1)], Greater(y, 1), y=largest, n=constant(0, 'int64'))[1]
"""


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.yaml"
    path.write_text(ROWS, encoding="utf-8")
    return path


ARRAY = np.array([0.5, -1.25, 2.0])


@pytest.mark.parametrize("n", [1, 3, 8, 9, 30])
@pytest.mark.slow
def test_steps_that_are_known_at_export(n: int, rows: Path) -> None:
    x = pt.dvector("x")
    function = pytensor.function([x], Powers(n)(x), mode=RAW)
    model = export(function, mappings=[rows])
    assert_same(run_model(model, ARRAY), function(ARRAY), 1e-12)
    assert ("Loop" in operators(model)) is (n > 8)


def test_steps_that_only_the_model_knows(rows: Path) -> None:
    x, count = pt.dvector("x"), pt.lscalar("count")
    function = pytensor.function([x, count], Powers(None)(x, count), mode=RAW)
    model = export(function, mappings=[rows])
    for n in (1, 2, 12):
        arrays = [ARRAY, np.array(n)]
        assert_same(run_model(model, *arrays), function(*arrays), 1e-12)
    assert operators(model) == ["Div", "Loop"]


def test_steps_that_may_be_none(tmp_path: Path) -> None:
    """As docs/formulas.md says it: what is collected is told its sizes."""
    path = tmp_path / "rows.yaml"
    sized = "Reshape(before, Concat(Unsqueeze(steps, [0]), Shape(x), axis=0), allowzero=1)"
    path.write_text(ROWS.replace("[last, before]", f"[last, {sized}]"), encoding="utf-8")
    x, count = pt.dvector("x"), pt.lscalar("count")
    function = pytensor.function([x, count], Powers(None)(x, count), mode=RAW)
    model = export(function, mappings=[path])
    for n in (0, 1, 12):
        arrays = [ARRAY, np.array(n)]
        assert_same(run_model(model, *arrays), function(*arrays), 1e-12)


def test_no_steps_known_at_export_collect_nothing(rows: Path) -> None:
    x = pt.dvector("x")
    function = pytensor.function([x], Powers(0)(x), mode=RAW)
    with pytest.raises(Refused, match="2 names can't take the tensor"):
        export(function, mappings=[rows])


def test_a_loop_that_ends_by_itself(rows: Path) -> None:
    x = pt.dvector("x")
    function = pytensor.function([x], Halvings()(x), mode=RAW)
    model = export(function, mappings=[rows])
    for array in (ARRAY, ARRAY * 1000, ARRAY / 2):
        assert_same(run_model(model, array), [function(array)])


WRONG = {
    "a state that changes its dtype": (
        "loop(30, [Cast(y, to='int64'), y], y=x)",
        "Input element type of 7 does not match",
    ),
    "too few of a state": ("loop(3, [x], y=x, z=x)", "a step of a loop gives 1 tensors, and its"),
    "a condition that is no tensor": (
        "loop(30, [y, y], True, y=x)",
        "goes on while a tensor is true, not True",
    ),
    "the step asked of a condition": (
        "loop(30, [Add(y, 1), y], Less(i, 3), y=x)",
        "'i' is not defined here; there are: n?",
    ),
}


def written(folder: Path, loop: str) -> Path:
    """Return the path of a row for `Powers` that is one loop."""
    path = folder / "rows.yaml"
    text = ROWS[: ROWS.index("    - steps")] + f'    - "{loop}"\n'
    path.write_text(text + "  attributes: {n: {ignore: It does not matter here.}}\n")
    return path


@pytest.mark.parametrize("which", WRONG)
@pytest.mark.slow
def test_wrong_loops_are_told(which: str, tmp_path: Path) -> None:
    body, says = WRONG[which]
    path = written(tmp_path, body)
    x = pt.dvector("x")
    function = pytensor.function([x], Powers(3)(x), mode=RAW)
    with pytest.raises(Refused, match=rf"rows\.yaml:\d+: onnx/0: .*({says})"):
        export(function, mappings=[path])


@pytest.mark.parametrize("loop", ["loop(30, [Mul(y, i), y], i=x, y=x)", "loop(3, [i, i], i=x)"])
def test_no_state_is_called_as_the_step(loop: str, tmp_path: Path) -> None:
    x = pt.dvector("x")
    function = pytensor.function([x], Powers(3)(x), mode=RAW)
    with pytest.raises(RowError, match=r"rows\.yaml:\d+: onnx/0: .*'i' is the number of the step"):
        export(function, mappings=[written(tmp_path, loop)])


def test_a_condition_sees_no_step_of_a_loop_around(tmp_path: Path) -> None:
    inner = "loop(30, Add(y, y), Less(i, 3), y=z)"
    path = written(tmp_path, f"loop(30, [{inner}, z], z=x)")
    x = pt.dvector("x")
    function = pytensor.function([x], Powers(3)(x), mode=RAW)
    with pytest.raises(Refused, match=r"rows\.yaml:\d+: onnx/0: 'i' is not defined here"):
        export(function, mappings=[path])
