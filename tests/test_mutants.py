"""Lies about rows: what is lied about, who notices, and what is said of those that nobody notices."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from onnx_mapper.conformance.mutants import runs
from onnx_mapper.conformance.mutants.formula_mutants import changes
from onnx_mapper.conformance.mutants.row_mutants import mutants_of
from onnx_mapper.conformance.mutants.runs import (
    EQUIVALENT,
    EVERY_LIE,
    KILLED,
    SURVIVED,
    WRONG,
    Lies,
    mutant_jobs,
    run_mutants,
)
from onnx_mapper.conformance.run.coverage import mark_of
from onnx_mapper.conformance.run.oracle import Prepared
from onnx_mapper.conformance.run.workers import Died, run_jobs
from onnx_mapper.conformance.runner import run_rows
from onnx_mapper.conformance.select import selector
from onnx_mapper.conformance.subject import find_subject

LIES = {
    "Sub(x, y)": ["Sub(x, y) => Add(x, y)", "Sub(x, y) => Sub(y, x)"],
    "Add(x, y)": ["Add(x, y) => Sub(x, y)"],
    "Neg(x)": ["Neg(x) => Abs(x)", "Neg(x) => x"],
    "Cast(x, to='int64')": [
        "Cast(x, to='int64') => x",
        "Cast(x, to='int64') => Cast(x)",
        "'int64' => 'int32'",
    ],
    "x if n == 0 else y": [
        "x if n == 0 else y => x",
        "x if n == 0 else y => y",
        "n == 0 => n != 0",
        "0 => 1",
    ],
    "a < b and not c": [
        "a < b and (not c) => not c",
        "a < b and (not c) => a < b",
        "a < b => a <= b",
        "not c => c",
    ],
    "axis in [0, 1]": ["axis in [0, 1] => axis not in [0, 1]", "0 => 1", "1 => 2"],
    "[v - 1 for v in w if v]": [
        "[v - 1 for v in w if v] => [v - 1 for v in w]",
        "v - 1 => v + 1",
        "1 => 2",
    ],
    "y = min(dims(x))": ["min(dims(x)) => max(dims(x))"],
    "[0, 0.5]": ["[0, 0.5] => [0.5, 0]", "0 => 1", "0.5 => 1.0"],
    "ReduceSum(x, axes, keepdims=0)": [
        "ReduceSum(x, axes, keepdims=0) => ReduceProd(x, axes, keepdims=0)",
        "ReduceSum(x, axes, keepdims=0) => ReduceSum(axes, x, keepdims=0)",
        "ReduceSum(x, axes, keepdims=0) => ReduceSum(x, axes)",
        "0 => 1",
    ],
}


@pytest.mark.parametrize("formula", LIES)
def test_lies_about_a_formula(formula):
    assert [change.label for change in changes(formula)] == LIES[formula]


def test_equal_lies_are_told_apart():
    labels = [change.label for change in changes("Concat([0], [0], axis=0)")]
    assert [label for label in labels if label.startswith("0")] == [
        "0 => 1",
        "0 => 1 (2)",
        "0 => 1 (3)",
    ]


ROWS = """
- define: doubled(x)
  summary: Twice x.
  onnx: Add(x, x)

- op: pytensor.scalar.basic:Sqr
  summary: Square of x.
  inputs: [x]
  promote: dtype(out)
  onnx: Mul(x, x)
  cases: {dtypes: {T: floats}, domain: {x: [-3, 3]}}
  equivalent: %s

- op: pytensor.scalar.basic:Add
  summary: Sum of numbers.
  inputs: ["*xs"]
  promote: dtype(out)
  onnx: doubled(xs[0]) if len(xs) == 1 else Add(xs[0], Add(xs[1], xs[2])) if len(xs) == 3 else Add(*xs)
  cases: {dtypes: {T: floats}, domain: {xs: [-3, 3]}}
"""


def verdicts(
    folder: Path, text: str, expression: str = "", workers: int = 0, lies: Lies = EVERY_LIE
):
    path = folder / "rows.yaml"
    path.write_text(text, encoding="utf-8")
    subject = find_subject([path])
    titles = subject.titles()
    items = {titles[title]: found for title, found in subject.items().items()}
    rows = run_rows(items, subject.table, 0, lambda r: None, lambda r: None, marking=True)
    marks = {result.id: result.marks for row in rows for result in row.results if result.passed}
    noticing = {
        title: [(item, marks[item.id]) for item in found if item.id in marks]
        for title, found in items.items()
    }
    jobs = mutant_jobs(subject, noticing, selector(expression), lies)
    found = run_mutants(jobs, workers, lambda label: None, lambda verdicts: None)
    return {verdicts.title: verdicts for verdicts in found}


def unique(tables):
    return list({id(table): table for table in tables}.values())


SQR_SURVIVORS = "[{mutant: 'promote: dropped', because: x has the dtype already.}]"


@pytest.mark.slow
def test_survivors_are_shown_as_a_diff(tmp_path):
    found = verdicts(tmp_path, ROWS % "[]")["rows.yaml::Sqr"]
    assert {verdict.label: verdict.status for verdict in found.verdicts} == {
        "promote: dropped": SURVIVED,
        "onnx: Mul(x, x) => Div(x, x)": KILLED,
    }
    (survivor,) = found.of(SURVIVED)
    assert survivor.label == "promote: dropped"
    assert "-promote: dtype(out)" in survivor.diff
    assert "SURVIVED rows.yaml::Sqr: promote: dropped" in found.stories()[0]


@pytest.mark.parametrize(
    ("entries", "statuses"),
    [
        (SQR_SURVIVORS, {KILLED, EQUIVALENT}),
        (SQR_SURVIVORS.replace("dropped", "d*"), {KILLED, EQUIVALENT, WRONG}),
        (SQR_SURVIVORS.replace("dropped", "lost"), {KILLED, SURVIVED, WRONG}),
        (SQR_SURVIVORS.replace("promote: dropped", "onnx: *"), {KILLED, SURVIVED, WRONG}),
        (SQR_SURVIVORS.replace("because", "pytensor: '99', because"), {KILLED, SURVIVED}),
    ],
)
@pytest.mark.slow
def test_what_a_row_says_of_its_mutants_is_checked(entries, statuses, tmp_path):
    found = verdicts(tmp_path, ROWS % entries)["rows.yaml::Sqr"]
    assert {verdict.status for verdict in found.verdicts} - statuses == set()
    if WRONG in statuses and WRONG in {v.status for v in found.verdicts}:
        assert "WRONG rows.yaml::Sqr: equivalent" in "\n".join(found.stories())


@pytest.mark.slow
@pytest.mark.parametrize("full", [False, True])
def test_what_a_row_declares_is_held_against_a_sample_of_its_items(full, tmp_path, monkeypatch):
    tables = []
    of_the_item = Prepared.check

    def check(prepared, table):
        tables.append(table)
        return of_the_item(prepared, table)

    monkeypatch.setattr(runs, "ITEMS_OF_AN_EQUIVALENT", 3)
    monkeypatch.setattr(Prepared, "check", check)
    found = verdicts(tmp_path, ROWS % SQR_SURVIVORS, "Sqr", lies=Lies(full=full))["rows.yaml::Sqr"]
    assert len(found.of(EQUIVALENT)) == 1
    models = sorted(tables.count(table) for table in unique(tables))
    assert (3 in models) != full


@pytest.mark.slow
def test_a_part_of_the_lies_is_told(tmp_path):
    """Each lie belongs to one part; what is declared of the others is not wrong."""
    every = verdicts(tmp_path, ROWS % SQR_SURVIVORS)
    labels = {(title, v.label) for title, found in every.items() for v in found.verdicts}
    told = []
    for one_in in (2, 3):
        part = verdicts(tmp_path, ROWS % SQR_SURVIVORS, lies=Lies(one_in=one_in))
        told.append({(title, v.label) for title, found in part.items() for v in found.verdicts})
        assert not any(found.of(WRONG) for found in part.values())
    for some in told:
        assert some < labels
        assert len(some) >= len(labels) / 6
    assert told[0] != told[1]


@pytest.mark.slow
def test_definitions_are_lied_about_where_rows_use_them(tmp_path):
    found = verdicts(tmp_path, ROWS % "[]")
    assert "rows.yaml::doubled(x)" not in found  # no case adds a single number
    survivors = [verdict.label for verdict in found["rows.yaml::Add"].of(SURVIVED)]
    assert "onnx: 0 => 1" in survivors  # of doubled(xs[0])


@pytest.mark.parametrize(
    "verb",
    [
        "subsample", "filter_dilation", "num_groups", "border_mode", "filter_flip", "unshared",
    ],
)  # fmt: skip
def test_each_verb_is_lied_about(verb, tmp_path):
    from test_conformance_planted import CONVOLUTION, needs_conv2d

    if needs_conv2d.args[0]:
        pytest.skip("no AbstractConv2d here")
    path = tmp_path / "rows.yaml"
    path.write_text(CONVOLUTION, encoding="utf-8")
    subject = find_subject([path])
    (row,) = subject.rows
    labels = [mutant.label for mutant in mutants_of(row)]
    assert f"attributes/{verb}: ignored" in labels


@pytest.mark.slow
def test_convolution_kills_every_mutant(tmp_path):
    from test_conformance_planted import CONVOLUTION, needs_conv2d

    if needs_conv2d.args[0]:
        pytest.skip("no AbstractConv2d here")
    (found,) = verdicts(tmp_path, CONVOLUTION).values()
    assert {verdict.label for verdict in found.of(SURVIVED)} == {
        "attributes/convdim: ignored",  # the class has no other number of axes
        "attributes/border_mode/table/valid: 0 * extent => 0 // extent",  # 0 in both
    }
    assert len(found.of(KILLED)) >= 30


def test_a_mark_is_the_same_in_every_process():
    assert mark_of("conv.yaml:2 AbstractConv2d", "extent // 2") == 5371346589484873155


class Steps:
    """Steps of which some never end, and some end their process."""

    def __init__(self, *kinds):
        self.kinds = kinds

    def __len__(self):
        return len(self.kinds)

    def step(self, position):
        kind = self.kinds[position]
        if kind == "crash":
            os.kill(os.getpid(), signal.SIGKILL)
        if kind == "hang":
            time.sleep(60)
        return kind


@pytest.mark.parametrize("workers", [1, 2])
def test_a_crash_ends_one_step_only(workers):
    jobs = [Steps("a", "crash", "b"), Steps(), Steps("hang", "c"), Steps("crash")]
    found = {(job, step): result for job, step, result in run_jobs(jobs, workers, 2)}
    assert found[0, 0] == "a"
    assert found[0, 2] == "b"
    assert found[2, 1] == "c"
    assert found[0, 1] == found[3, 0] == Died("its process ended with SIGKILL")
    assert found[2, 0] == Died("it took more than 2 seconds", out_of_time=True)


def test_without_workers_steps_are_done_here():
    assert list(run_jobs([Steps("a", "b")], 0, 1)) == [(0, 0, "a"), (0, 1, "b")]


def test_what_a_family_shares_is_lied_about_only_in_rows_that_read_it(tmp_path):
    text = """
- family: Sums
  op: "pytensor.scalar.basic:*"
  inputs: [x, y]
  promote: dtype(out)
  let: {one: "two - 1", two: "2", three: "3"}
  rows:
    Add: {summary: Sum., onnx: "Add(x, Mul(y, one))"}
    Sub: {summary: Difference., onnx: "Sub(x, Mul(y, three - 2))"}
"""
    path = tmp_path / "rows.yaml"
    path.write_text(text, encoding="utf-8")
    found = [
        {mutant.label.split(":")[0] for mutant in mutants_of(row) if mutant.label.startswith("let")}
        for row in find_subject([path]).rows
    ]
    assert found == [{"let/one", "let/two"}, {"let/three"}]
