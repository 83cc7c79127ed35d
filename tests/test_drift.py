"""A PyTensor that has gone on: classes that moved, attributes and inputs that came, went or changed places.

PyTensor's own classes are changed here as releases have changed them; each change holds for one test.
"""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from helpers import assert_same, operators, run_model
from pytensor.graph.fg import FunctionGraph
from pytensor.tensor import extra_ops
from pytensor.tensor.basic import Eye
from pytensor.tensor.extra_ops import CumOp
from pytensor.tensor.pad import Pad

from onnx_mapper import DriftWarning, Refused, check, explain, export, export_graph
from onnx_mapper.checking.drift import find_drift
from onnx_mapper.cli.main import main
from onnx_mapper.rows import fingerprints
from onnx_mapper.rows.fingerprints import fingerprint_of
from onnx_mapper.rows.fit import installed_class
from onnx_mapper.rows.op_classes import props_of
from onnx_mapper.rows.table import load_table

X = np.array([[3.0, -1, 2], [0.5, 4, -2]])


@pytest.fixture(autouse=True)
def warnings_are_errors() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error", DriftWarning)
        yield


def graph(*outputs: Any, inputs: Any) -> FunctionGraph:
    """Return a graph as a compiled function holds it, without a rewrite."""
    return FunctionGraph(list(inputs), list(outputs), clone=False)


def totals() -> tuple[FunctionGraph, Any]:
    """Return a graph with an op whose class the tests change, and that op."""
    x = pt.dmatrix("x")
    total = pt.cumsum(x, axis=1)
    return graph(pt.exp(total), inputs=[x]), total.owner.op


def add_attribute(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `Max` got its `initial`: a new attribute, with a default."""
    made = CumOp.__init__

    def init(self: Any, axis: Any = None, mode: str = "add", exclusive: bool = False) -> None:
        made(self, axis, mode)
        self.exclusive = exclusive

    monkeypatch.setattr(CumOp, "__init__", init)
    monkeypatch.setattr(CumOp, "__props__", ("axis", "mode", "exclusive"))


def test_a_new_attribute_at_its_default_is_told_of_and_taken_as_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    add_attribute(monkeypatch)
    function, _ = totals()
    with pytest.warns(
        DriftWarning,
        match=r"CumOp.exclusive is new. It is False, as by default, so the op is taken as before "
        rf"\(reduce.yaml:\d+\); the row was tested with PyTensor .*, and this is {pytensor.__version__}",
    ) as caught:
        model = export(function)
    assert len(caught) == 1
    assert_same(run_model(model, X), [np.exp(np.cumsum(X, axis=1))], 1e-12)


def test_strict_refuses_a_new_attribute_at_its_default_too(monkeypatch: pytest.MonkeyPatch) -> None:
    add_attribute(monkeypatch)
    function, _ = totals()
    with pytest.raises(Refused, match=r"CumOp.exclusive is False, as by default, and the row at"):
        export(function, strict=True)


def test_a_new_attribute_at_another_value_is_refused_with_the_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    add_attribute(monkeypatch)
    function, op = totals()
    op.exclusive = True
    with pytest.raises(Refused) as caught:
        export(function)
    (refusal,) = caught.value.refusals
    assert refusal.row.startswith("reduce.yaml:")
    assert "CumOp.exclusive is True, and the row at reduce.yaml:" in refusal.reason
    assert f"and this is {pytensor.__version__}" in refusal.reason
    assert check(function).refusals == (refusal,)


def test_what_does_not_fit_stops_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CumOp, "__props__", ("axis",))
    x = pt.dmatrix("x")
    model = export(graph(pt.exp(x).sum(axis=0), inputs=[x]))
    assert_same(run_model(model, X), [np.exp(X).sum(axis=0)], 1e-12)


def test_a_lost_attribute_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    function, _ = totals()
    monkeypatch.setattr(CumOp, "__props__", ("axis",))
    with pytest.raises(Refused, match=r"CumOp has no attribute 'mode' here.*; it has: axis"):
        export(function)


def move(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `Dot22` moved: it is defined in a new module, and the old one still exports it."""
    home = ModuleType("pytensor.tensor.running")
    home.CumOp = CumOp  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, home.__name__, home)
    monkeypatch.setattr(CumOp, "__module__", home.__name__)


def test_a_class_that_moved_is_found_through_its_old_home(monkeypatch: pytest.MonkeyPatch) -> None:
    move(monkeypatch)
    function, _ = totals()
    model = export(function)
    assert_same(run_model(model, X), [np.exp(np.cumsum(X, axis=1))], 1e-12)
    assert {n.op for n in explain(model)} >= {"pytensor.tensor.running:CumOp"}


def test_a_class_whose_old_home_is_gone_has_no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    function, _ = totals()
    move(monkeypatch)
    monkeypatch.delattr(extra_ops, "CumOp")
    with pytest.raises(Refused, match=r"no row maps pytensor\.tensor\.running:CumOp"):
        export(function)


def test_a_users_row_for_an_old_home_goes_before_the_shipped_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    move(monkeypatch)
    monkeypatch.setattr(pt, "CumOp", CumOp, raising=False)
    (tmp_path / "rows.yaml").write_text(
        """
- op: pytensor.tensor:CumOp
  summary: Not what it says.
  inputs: [x]
  attributes:
    axis: {ignore: It is only a test.}
    mode: {ignore: It is only a test.}
  onnx: Neg(x)
""",
        encoding="utf-8",
    )
    function, _ = totals()
    assert operators(export(function, mappings=[tmp_path])) == ["Neg", "Exp"]


def test_an_input_that_came_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    function, _ = totals()
    monkeypatch.setattr(CumOp, "make_node", lambda self, x, start: None)
    with pytest.raises(Refused, match=r"CumOp takes x, start here, and the row names x"):
        export(function)


def test_an_input_that_became_an_attribute_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    n = pt.lscalar("n")
    function = graph(pt.eye(n, 3, 1), inputs=[n])
    monkeypatch.setattr(Eye, "__props__", ("dtype", "k"))
    with pytest.raises(Refused, match="Eye takes 'k' as an attribute here, and the row takes it"):
        export(function)


def test_an_op_with_an_inner_graph_goes_by_it_where_its_row_does_not_fit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x = pt.tensor("x", dtype="float64", shape=(2, 3))
    padded = pt.pad(x, [[1, 0], [2, 1]], mode="edge")
    function = graph(padded, inputs=[x])
    assert any(node.row.startswith("pad.yaml") for node in explain(export(function)))
    monkeypatch.setattr(Pad, "__props__", (*props_of(Pad), "reversed"), raising=False)
    padded.owner.op.reversed = True
    model = export(function)
    assert not any(node.row.startswith("pad.yaml") for node in explain(model))
    assert_same(run_model(model, X), [np.pad(X, [[1, 0], [2, 1]], mode="edge")])


def test_a_constant_that_is_joined_to_a_tensor_is_not_taken_for_the_axis() -> None:
    x = pt.dvector("x")
    y = pt.concatenate([[0.0], x])
    for model in (export_graph([x], [y]), export(pytensor.function([x], y))):
        assert_same(run_model(model, X[0]), [np.concatenate([[0.0], X[0]])])


def test_this_release_is_as_tested() -> None:
    """The committed fingerprints are those of the classes that are installed."""
    known = fingerprints.tested()[pytensor.__version__]
    for row in load_table().rows:
        cls = installed_class(row, import_modules=True)
        assert known.get(row.ops[0]) == (cls and fingerprint_of(cls)), row.title


def test_drift_finds_nothing_in_a_tested_release(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rows", "--drift"]) == 0
    told = capsys.readouterr().out
    assert told.startswith(f"PyTensor {pytensor.__version__}; the rows are tested with 2.36.2, ")
    assert "don't fit" not in told


def test_drift_tells_of_each_change(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    add_attribute(monkeypatch)
    monkeypatch.setattr(Eye, "__module__", "pytensor.tensor.matrices")
    monkeypatch.delattr("pytensor.tensor.basic.Eye")
    monkeypatch.setattr(extra_ops.Repeat, "make_node", lambda self, x, repeats, more=None: None)
    drift = find_drift()
    assert {(r.op, r.problem.split(":")[0]) for r in drift.unfit} == {
        ("pytensor.tensor.extra_ops:CumOp", "CumOp's attribute 'exclusive' has no verb")
    }
    assert drift.unknown == ("pytensor.tensor.matrices:Eye",)
    assert [row.op for row in drift.lost] == ["pytensor.tensor.basic:Eye"]
    assert [row.op for row in drift.changed] == ["pytensor.tensor.extra_ops:Repeat"]
    assert "parameters of make_node: x, repeats in" in drift.changed[0].problem
    assert main(["rows", "--drift"]) == 1
    told = capsys.readouterr().out
    for part in ("Rows that don't fit their class: 2", "pytensor.tensor.matrices:Eye", "Repeat"):
        assert part in told
    assert main(["rows", "--drift", "--json"]) == 1


def test_rows_tell_what_they_are_tested_with(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Eye, "__props__", ("dtype", "order"))
    main(["rows"])
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert pytensor.__version__ in lines["pytensor.tensor.extra_ops:CumOp"]
    assert pytensor.__version__ not in lines["pytensor.tensor.basic:Eye"]


@pytest.mark.slow
def test_named_axes_can_be_imported_after_an_export() -> None:
    """To ask PyTensor's rewrites for a name that comes later would keep it from being registered."""
    program = """
import warnings
warnings.simplefilter("ignore")
import pytensor.tensor as pt
from onnx_mapper import export_graph
x = pt.dvector("x")
export_graph([x], [pt.exp(x)])
import pytensor.xtensor
print(len(export_graph([x], [pt.exp(x)]).graph.node))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "1", done.stderr
