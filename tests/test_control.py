"""Inner graphs, branches and loops: PyTensor's OpFromGraph, IfElse and Scan on both lines.

What single graphs compute is tested by the cases of the rows. Here are the forms that only compiled
functions have, what branches keep lazy, and graphs as people write them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytensor
import pytensor.tensor as pt
import pytest
from helpers import RAW, assert_same, run_model, scan
from onnx import GraphProto, ModelProto
from pytensor.compile.builders import OpFromGraph
from pytensor.ifelse import ifelse
from pytensor.scan.utils import until

from onnx_mapper import PrecisionWarning, Refused, explain, export, export_graph

RNG = np.random.default_rng(20260103)


def numbers(*shape: int, dtype: str = "float64") -> np.ndarray:
    return RNG.normal(size=shape).astype(dtype)


def graphs_in(node: onnx.NodeProto) -> dict[str, GraphProto]:
    return {a.name: a.g for a in node.attribute if a.HasField("g")}


def only(graph: GraphProto, operator: str) -> onnx.NodeProto:
    (found,) = [node for node in graph.node if node.op_type == operator]
    return found


def check(
    inputs: Sequence[Any], outputs: Sequence[Any], *feeds: Sequence[Any], **options: Any
) -> list[ModelProto]:
    """Hold the symbolic graph and the compiled function against PyTensor's own Python."""
    reference = pytensor.function(list(inputs), list(outputs), mode=RAW, on_unused_input="ignore")
    models = [
        export_graph(inputs, outputs, **options),
        export(pytensor.function(list(inputs), list(outputs), on_unused_input="ignore"), **options),
    ]
    for feed in feeds:
        arrays = [np.asarray(a, v.type.dtype) for a, v in zip(feed, inputs, strict=True)]
        expected = reference(*arrays)
        for model in models:
            assert_same(run_model(model, *arrays), expected, rtol=1e-5, atol=1e-6)
    return models


X = pt.dmatrix("x")
START = pt.dvector("start")


def simple_scan() -> Any:
    return scan(lambda s, h: pt.tanh(h * 0.5 + s), sequences=[X], outputs_info=[START])


# Branches


def test_each_branch_computes_what_only_it_needs() -> None:
    x, c = pt.dvector("x"), pt.bscalar("c")
    shared = pt.exp(x)
    y = ifelse(c, pt.sqrt(shared + 1), pt.sin(shared) * x)
    for model in check([x, c], [y, shared + 2], ([1.0, -2.0], 1), ([1.0, -2.0], 0)):
        outside = [node.op_type for node in model.graph.node]
        assert "Exp" in outside
        assert not {"Sqrt", "Sin"} & set(outside)
        branches = graphs_in(only(model.graph, "If"))
        assert [n.op_type for n in branches["then_branch"].node] == ["Add", "Sqrt"]
        assert sorted(n.op_type for n in branches["else_branch"].node) == ["Mul", "Sin"]


def test_a_branch_that_is_not_taken_can_not_fail() -> None:
    """The branch would raise in ONNX Runtime if it were computed."""
    x, i = pt.dvector("x"), pt.lscalar("i")
    y = ifelse(pt.lt(i, x.shape[0]), x[i], pt.constant(np.float64(-1)))
    model = export_graph([x, i], [y])
    assert run_model(model, np.array([3.0, 4.0]), np.array(1))[0] == 4
    assert run_model(model, np.array([3.0, 4.0]), np.array(7))[0] == -1


def test_sizes_that_one_branch_takes_for_equal_stay_apart() -> None:
    """PyTensor's Python computes both branches, and would raise here: the numbers are by hand."""
    x, y = pt.dvector("x"), pt.dvector("y")
    z = ifelse(pt.eq(x.shape[0], y.shape[0]), (x + y).sum(), pt.ones_like(y).sum() + x[0])
    for model in (export_graph([x, y], [z]), export(pytensor.function([x, y], z))):
        assert run_model(model, np.array([1.0, 2.0]), np.array([3.0, 4.0]))[0] == 10
        assert run_model(model, np.array([1.0, 2.0]), np.array([3.0, 4.0, 5.0]))[0] == 4


def test_branches_nest_and_are_explained() -> None:
    x, c, d = pt.dvector("x"), pt.bscalar("c"), pt.bscalar("d")
    y = ifelse(c, ifelse(d, pt.cos(x), pt.sin(x)), x)
    for model in check([x, c, d], [y], *[([0.5], a, b) for a in (0, 1) for b in (0, 1)]):
        assert [node.op_type for node in model.graph.node][-1] == "If"
        assert {"Cos", "Sin", "If"} <= {node.operator for node in explain(model)}
        assert all(node.row for node in explain(model))


# Inner graphs


def test_inner_graphs_are_inlined_in_their_stable_form() -> None:
    """log(1 + exp(x)) overflows as it is written; PyTensor rewrites inner graphs too."""
    x = pt.dvector("x")
    op = OpFromGraph([x], [pt.log(1 + pt.exp(x)), x.sum()])
    outputs = op(x)
    model = export_graph([x], outputs)
    big = np.array([1000.0, -1000.0, 0.5])
    assert_same(run_model(model, big), [np.logaddexp(0, big), big.sum()], rtol=1e-12)


# Loops


@pytest.mark.parametrize("steps", [6, 1, 0])
def test_a_recurrence_keeps_all_results(steps: int) -> None:
    check([X, START], [simple_scan()], (numbers(steps, 3), numbers(3)))


@pytest.mark.parametrize("wanted", [-1, slice(-2, None), slice(None, 2), 1])
@pytest.mark.slow
def test_compiled_functions_keep_a_part_of_the_results(wanted: Any) -> None:
    """PyTensor cuts the buffer to what is read, and goes round in it."""
    for steps in (6, 2):
        check([X, START], [simple_scan()[wanted]], (numbers(steps, 3), numbers(3)))


def test_several_taps_of_results_and_sequences() -> None:
    first, k = pt.dmatrix("first"), pt.lvector("k")

    def step(k0: Any, k1: Any, a: Any, b: Any, g: Any) -> Any:
        return a - 0.5 * b * g, k0 * 2 - k1

    y, z = scan(
        step,
        sequences=[{"input": k, "taps": [0, 2]}],
        outputs_info=[{"initial": first, "taps": [-3, -1]}, None],
        non_sequences=[pt.constant(1.5)],
    )
    check([first, k], [y, z, y[-1]], (numbers(3, 2), np.arange(7)), (numbers(3, 2), np.arange(3)))


@pytest.mark.parametrize("most", [-1.0, 4.0, 1000.0])
@pytest.mark.slow
def test_steps_end_on_a_condition(most: float) -> None:
    limit = pt.dscalar("limit")
    y = scan(lambda a, m: (a * 1.5, until(a > m)), outputs_info=[pt.constant(np.float64(1))],
             non_sequences=[limit], n_steps=9)  # fmt: skip
    check([limit], [y], (most,))
    check([limit], [y[-1]], (most,))


def test_scans_nest() -> None:
    def row_sum(row: Any, total: Any) -> Any:
        return scan(lambda e, t: t + e * e, sequences=[row], outputs_info=[total])[-1]

    y = scan(row_sum, sequences=[X], outputs_info=[pt.constant(np.float64(0))])
    for model in check([X], [y], (numbers(3, 4),)):
        body = graphs_in(only(model.graph, "Loop"))["body"]
        assert only(body, "Loop")


def test_a_shared_variable_that_steps_update() -> None:
    count = pytensor.shared(np.arange(3.0), name="count")
    with pytest.warns(DeprecationWarning, match="updates"):
        y, updates = pytensor.scan(lambda s: ([s * count], {count: count + 1}), sequences=[X])
    data = numbers(4, 3)
    function = pytensor.function([X], y, updates=updates)
    model = export(function)
    assert [port.name for port in model.graph.output][-1] == "count_next"
    found = run_model(model, data)
    start = np.arange(3.0)
    assert_same(found, [data * (start + np.arange(4)[:, None]), start + 4])


def test_both_directions() -> None:
    y = scan(lambda s, h: h * 0.5 + s, sequences=[X], outputs_info=[START], go_backwards=True)
    check([X, START], [y], (numbers(4, 3), numbers(3)))


@pytest.mark.slow
def test_gradients_of_a_recurrence() -> None:
    w = pt.dmatrix("w")
    h = scan(lambda s, h, w: pt.tanh(h @ w + s), sequences=[X], outputs_info=[START],
             non_sequences=[w])  # fmt: skip
    for cost in ((h[-1] ** 2).sum(), (h**2).sum()):
        gradients = pt.grad(cost, [X, START, w])
        for steps in (5, 1):
            check([X, START, w], gradients, (numbers(steps, 3), numbers(3), numbers(3, 3)))


@pytest.mark.slow
def test_second_derivatives_of_a_recurrence() -> None:
    first = pt.grad((simple_scan()[-1] ** 2).sum(), START)
    check([X, START], pt.grad((first * START[::-1]).sum(), [X, START]), (numbers(4, 3), numbers(3)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.slow
def test_a_gated_recurrent_unit(dtype: str) -> None:
    """As people write one: shared weights, a batch axis, states and the last state."""
    features, units = 3, 5
    x = pt.tensor("x", dtype=dtype, shape=(None, None, features))

    def weight(name: str, *shape: int) -> Any:
        return pytensor.shared(numbers(*shape, dtype=dtype), name=name)

    wz, wr, wh = (weight(f"w_{g}", features, units) for g in "zrh")
    uz, ur, uh = (weight(f"u_{g}", units, units) for g in "zrh")
    b = weight("b", units)

    def step(inputs: Any, state: Any, *weights: Any) -> Any:
        update = pt.sigmoid(inputs @ wz + state @ uz)
        reset = pt.sigmoid(inputs @ wr + state @ ur)
        proposal = pt.tanh(inputs @ wh + (reset * state) @ uh + b)
        return (1 - update) * state + update * proposal

    start = pt.zeros((x.shape[1], units), dtype=dtype)
    states = scan(step, sequences=[x], outputs_info=[start], strict=False)
    for outputs in ([states], [states[-1]], [states, states[-1]]):
        for model in check([x], outputs, (numbers(4, 2, features, dtype=dtype),)):
            names = {tensor.name for tensor in model.graph.initializer}
            assert {"w_z", "u_h"} <= names
            assert names & {"b", "b_folded"}


@pytest.mark.parametrize("opset", [18, 21, 28])
@pytest.mark.slow
def test_loops_at_other_opsets(opset: int) -> None:
    check([X, START], [simple_scan()], (numbers(4, 3), numbers(3)), opset=opset)


def test_the_model_is_as_small_as_one_written_by_hand() -> None:
    x, a = (
        pt.tensor("x", dtype="float32", shape=(4, 3)),
        pt.tensor("a", dtype="float32", shape=(3,)),
    )
    model = export_graph([x, a], [scan(lambda s: s * a, sequences=[x])])
    loop = only(model.graph, "Loop")
    assert len(model.graph.node) == 1
    body = [node.op_type for node in graphs_in(loop)["body"].node]
    assert [name for name in body if name != "Identity"] == ["Gather", "Mul"]


# What a subgraph must keep to


def test_refusals_and_warnings_inside_a_body_are_told() -> None:
    class Unheard(pt.Op):
        __props__ = ()

        def make_node(self, x: Any) -> Any:
            return pytensor.graph.basic.Apply(self, [x], [x.type()])

        def perform(self, node: Any, inputs: Any, outputs: Any) -> None:
            outputs[0][0] = inputs[0]

    y = scan(lambda s: Unheard()(s) + Unheard()(s * 2), sequences=[X])
    with pytest.raises(Refused) as caught:
        export_graph([X, START], [y, Unheard()(START)])
    assert sum(refusal.count for refusal in caught.value.refusals) == 3
    assert all("Unheard" in str(refusal) for refusal in caught.value.refusals)


def test_narrowed_nodes_inside_a_body_are_warned_of(tmp_path: Any) -> None:
    """ONNX Runtime has no Erf of float64."""
    (tmp_path / "rows.yaml").write_text(
        "- op: pytensor.scalar.math:Erf\n  summary: Error function, in whatever digits there are.\n"
        "  inputs: [x]\n  onnx: Erf(x)\n"
    )
    with pytest.warns(PrecisionWarning, match="Erf has no float64 kernel"):
        model = export_graph([X], [scan(pt.erf, sequences=[X])], mappings=[tmp_path])
    body = graphs_in(only(model.graph, "Loop"))["body"]
    assert [n.op_type for n in body.node].count("Cast") == 2


@pytest.mark.slow
def test_the_same_bytes_in_another_process() -> None:
    program = (
        "import pytensor, pytensor.tensor as pt, hashlib\n"
        "from pytensor.ifelse import ifelse\n"
        "from onnx_mapper import export_graph\n"
        "x, a = pt.dmatrix('x'), pt.dvector('a')\n"
        "y = pytensor.scan(lambda s, h: pt.tanh(h + s), sequences=[x], outputs_info=[a],\n"
        "                  return_updates=False)\n"
        "g = pt.grad(ifelse(a[0] > 0, y.sum(), pt.exp(y[-1]).sum()), [x, a])\n"
        "model = export_graph([x, a], [y, *g])\n"
        "print(hashlib.sha256(model.SerializeToString(deterministic=True)).hexdigest())\n"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(found) == 1


def test_what_no_steps_collect_has_the_sizes_that_are_known() -> None:
    """As in PyTensor's default mode: (0, 3), where its own Python alone says (0, 0)."""
    each = scan(lambda row: pt.tanh(row) * 2, sequences=[X])
    w = pt.dmatrix("w")
    outputs = [each, each.sum(axis=0), pt.concatenate([each, X]), each @ w]
    for model in (export_graph([X, w], outputs), export(pytensor.function([X, w], outputs))):
        found = run_model(model, np.zeros((0, 3)), np.ones((3, 2)))
        assert [array.shape for array in found] == [(0, 3), (3,), (0, 3), (0, 2)]
