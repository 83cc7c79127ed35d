"""`verify`: which numbers it tries, what it says of them, and where it says that the numbers part."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytensor
import pytensor.tensor as pt
import pytest

from onnx_mapper import (
    InvalidRequest,
    Mismatch,
    Verification,
    VerificationWarning,
    export,
    export_graph,
    verify,
)

RNG = np.random.default_rng(20261126)
A, X, Y, I = pt.dmatrix("A"), pt.dvector("x"), pt.dvector("y"), pt.lvector("i")  # noqa: E741
TABLE = pytensor.shared(np.arange(20.0).reshape(10, 2), name="table")

# A function, and a model of another one that gives the same numbers where the inputs are chosen badly.
ALIKE: dict[str, tuple[Any, Any, Any]] = {
    "positive definite matrices": ([A], pt.linalg.cholesky(A), A * np.nan),
    "numbers far from 0": ([X], pt.log(X - 100), pt.sqrt(X - 200)),
    "all rows of a table": ([I], TABLE[I], pt.as_tensor(np.arange(6.0).reshape(3, 2))[I]),
    "halves": ([X], pt.round(X), pt.round(X, mode="half_away_from_zero")),
    "probabilities": ([X], pt.log(X) + pt.log1p(-X), pt.log(X) - X),
    "two positive inputs": ([X, Y], pt.sqrt(X) * pt.log(Y), pt.sqrt(X) * pt.log(Y + 1)),
    "negative numbers": ([X], pt.log(-X), pt.log(1 - X)),
    "sizes other than 1": ([A], A.sum(axis=0), A[0]),
    "negative integers": ([I], abs(I), I),
}


@pytest.mark.parametrize("which", ALIKE)
def test_inputs_reach_what_the_function_does(which: str) -> None:
    inputs, right, wrong = ALIKE[which]
    function = pytensor.function(inputs, right)
    assert verify(export(function), function).ok
    with pytest.raises(Mismatch):
        verify(export_graph(inputs, [wrong]), function)


def test_where_nothing_can_be_compared_it_says_so() -> None:
    function = pytensor.function([X], [pt.log(-(X**2) - 1), X * 0 + 7])
    model = export(function)
    with pytest.warns(VerificationWarning, match="output_0: of .* numbers 0 are finite") as told:
        report = verify(model, function)
    assert "output_1: all 20 numbers are the same" in str(told[0].message)
    assert not report.ok
    assert [output.finite for output in report.outputs] == [0, 20]
    assert str(report).count("says little") == 2
    with pytest.raises(Mismatch, match="Pass inputs="):
        verify(model, function, strict=True)
    with pytest.raises(Mismatch, match="says little of the model"):
        export(function, verify=True, strict=True)


def test_open_sizes_are_tried_with_several() -> None:
    """The model takes x's first five numbers for all of them."""
    function = pytensor.function([X], X.sum())
    assert verify(export(function), function).outputs[0].count == 3
    with pytest.raises(Mismatch):
        verify(export_graph([X], [X[:5].sum()]), function)


def with_other_operator(model: onnx.ModelProto, before: str, after: str) -> onnx.ModelProto:
    next(node for node in model.graph.node if node.op_type == before).op_type = after
    return model


FUSED: dict[str, Callable[[Any], Any]] = {
    "fused": lambda hidden: pt.exp(hidden).sum(axis=1),
    "fused deeply": lambda hidden: (pt.exp(pt.sin(hidden) * 2) + 1).sum(axis=1),
    "not fused": lambda hidden: hidden @ np.array([1.0, 2.0, 3.0]),
}


@pytest.mark.parametrize("which", FUSED)
@pytest.mark.slow
def test_the_first_node_that_differs_is_named(which: str) -> None:
    """By its op, its row, and the user's name of its tensor, inside what PyTensor fused too."""
    x = pt.tensor("x", shape=(None, 3), dtype="float64")
    hidden = pt.tanh(x)
    hidden.name = "hidden"
    function = pytensor.function([x], FUSED[which](hidden))
    model = with_other_operator(export(function), "Tanh", "Sigmoid")
    with pytest.raises(Mismatch) as raised:
        verify(model, function)
    report = raised.value.report
    assert isinstance(report, Verification)
    first = report.first
    assert first is not None
    assert "tanh" in first.op.lower()
    assert first.row.startswith("elemwise.yaml:")
    made = {output: node.op_type for node in model.graph.node for output in node.output}
    assert made[first.node] == "Sigmoid"


def test_a_model_that_fails_where_pytensor_does_not() -> None:
    function = pytensor.function([I], TABLE[I])
    small = export_graph([I], [pt.as_tensor(np.arange(6.0).reshape(3, 2))[I]])
    with pytest.raises(Mismatch, match="ONNX Runtime fails"):
        verify(small, function, [[0, 9]])


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ([], "0 inputs given; the function has 1"),
        ([["a", "b"]], "what is given for 'i' is no int64 tensor"),
        ([[10]], "PyTensor's function does not take these inputs .IndexError"),
    ],
)
def test_inputs_that_do_not_fit(inputs: Any, says: str) -> None:
    function = pytensor.function([I], TABLE[I], mode="FAST_COMPILE")
    with pytest.raises(InvalidRequest, match=says):
        verify(export(function), function, inputs)


def test_sizes_of_one_name_are_one_size() -> None:
    """The sizes that a model declares hold for what is tried: equal ones, and known ones."""
    x, z = pt.dmatrix("x"), pt.dmatrix("z")
    joined = pytensor.function([x, z], pt.concatenate([x, z], axis=1), mode="FAST_COMPILE")
    model = export(joined, dims={"x": ("n", 3), "z": ("n", "k")})
    report = verify(model, joined)
    assert report.ok
    assert report.outputs[0].count > 100
    squared = pytensor.function([x], pt.linalg.matrix_power(x, 2), mode="FAST_COMPILE")
    assert verify(export(squared, dims={"x": ("n", "n")}), squared).ok


def test_numbers_are_drawn_from_the_domain_that_is_given() -> None:
    x = pt.dvector("x")
    function = pytensor.function(
        [x], pt.switch(pt.ge(x, 18) & pt.le(x, 99), x, np.nan), mode="FAST_COMPILE"
    )
    model = export(function)
    report = verify(model, function, domain={"x": (18, 99)})
    assert report.outputs[0].finite == report.outputs[0].count
    assert report.worst.worst.name == "output_0"
    with pytest.raises(InvalidRequest, match="domain is about 'y'; the function's inputs are x"):
        verify(model, function, domain={"y": (0, 1)})
    with pytest.raises(InvalidRequest, match="it is \\(least, largest\\)"):
        verify(model, function, domain={"x": (1, 0)})


def test_a_state_may_be_an_input_that_each_run_gives() -> None:
    """A session is driven step by step: each run's next state is the next run's state."""
    x = pt.dvector("x")
    total = pytensor.shared(np.array([0.5, -1.0]), name="total")
    function = pytensor.function([x], total * 2, updates={total: total + x}, mode="FAST_COMPILE")
    driven = export(function, state="input", verify=True)
    assert not driven.graph.initializer or "total" not in {
        tensor.name for tensor in driven.graph.initializer
    }
    session = onnxruntime.InferenceSession(driven.SerializeToString())
    state = total.get_value()
    for step in (np.array([1.0, 2.0]), np.array([-3.0, 0.25])):
        doubled, state = session.run(["output_0", "total_next"], {"x": step, "total": state})
        np.testing.assert_array_equal(doubled, function(step))
        np.testing.assert_array_equal(state, total.get_value())
    assert verify(driven, function).ok
    session = onnxruntime.InferenceSession(export(function).SerializeToString())
    assert len(session.run(None, {"x": step})) == 2  # the present value is a default
