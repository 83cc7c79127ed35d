"""PyTensor's functions in the mode `ONNX`."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from helpers import RAW, operators
from pytensor.ifelse import ifelse

import onnx_mapper
from onnx_mapper import FallbackWarning, Refused, parts
from onnx_mapper.model.session import open_session

X = pt.dmatrix("x")
A = np.array([[1.0, -2.0, 0.5], [0.25, 3.0, -1.0]])


def test_outputs_are_those_of_the_default_mode() -> None:
    for outputs in (pt.tanh(X) @ X.T, [X.sum(axis=0), X.argmax(axis=1), X], [X + 1, X + 1]):
        found = pytensor.function([X], outputs, mode="ONNX")(A)
        wanted = pytensor.function([X], outputs, mode=RAW)(A)
        assert isinstance(found, list) == isinstance(wanted, list)
        pairs = zip(found, wanted, strict=True) if isinstance(found, list) else [(found, wanted)]
        for one, other in pairs:
            assert one.dtype == other.dtype
            np.testing.assert_allclose(one, other, rtol=1e-14)


def test_the_mode_can_be_given_as_an_object() -> None:
    found = pytensor.function([X], pt.exp(X), mode=onnx_mapper.mode())(A)
    np.testing.assert_allclose(found, np.exp(A))


def test_it_runs_in_onnx_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []

    def open_(model: Any, **arguments: Any) -> Any:
        opened.append(model)
        return open_session(model, **arguments)

    monkeypatch.setattr(parts, "open_session", open_)
    pytensor.function([X], pt.sort(X, axis=1), mode="ONNX")(A)
    assert "TopK" in operators(opened[0])


def test_shared_variables_are_read_and_updated() -> None:
    weights = pytensor.shared(np.array([0.5, 2.0, -1.5]), name="weights")
    steps = pytensor.shared(0, name="steps")
    loss = ((X @ weights - 1) ** 2).sum()
    updates = {weights: weights - 0.01 * pt.grad(loss, weights), steps: steps + 1}
    step = pytensor.function([X], loss, updates=updates, mode="ONNX")
    before = weights.get_value()
    np.testing.assert_allclose(step(A), ((A @ before - 1) ** 2).sum())
    np.testing.assert_allclose(
        weights.get_value(), before - 0.02 * A.T @ (A @ before - 1), rtol=1e-12
    )
    assert steps.get_value() == 1
    weights.set_value(np.zeros(3))
    assert step(A) == 2.0


def test_loops_and_functions_without_inputs() -> None:
    start = pt.constant(np.float64(1.0))
    last = _scanned(lambda row, total: total * 0.5 + row.sum(), sequences=[X], outputs_info=[start])
    np.testing.assert_allclose(
        pytensor.function([X], last, mode="ONNX")(A), pytensor.function([X], last, mode=RAW)(A)
    )
    shared = pytensor.shared(np.arange(4.0))
    assert pytensor.function([], shared.sum(), mode="ONNX")() == 6.0


def _scanned(step: Any, **arguments: Any) -> Any:
    if "return_updates" in inspect.signature(pytensor.scan).parameters:
        return pytensor.scan(step, return_updates=False, **arguments)
    return pytensor.scan(step, **arguments)[0]


def test_where_nothing_converts_or_all_must_it_is_refused() -> None:
    eigenvalues = pt.linalg.eig(X)[0]
    with pytest.raises(Refused, match="Eig"):
        pytensor.function([X], eigenvalues, mode="ONNX")
    whole = onnx_mapper.mode(partly=False)
    with pytest.raises(Refused, match="Eig"):
        pytensor.function([X], pt.exp(X) + eigenvalues.real, mode=whole)
    function = pytensor.function([X], pt.exp(X), mode=whole)
    np.testing.assert_allclose(function(A), np.exp(A))


def parted() -> dict[str, list[Any]]:
    """Return graphs with ops that don't convert between others that do."""
    values = pt.linalg.eig(pt.exp(X) @ pt.exp(X).T)[0].real
    again = pt.linalg.eig(pt.outer(values, values) + pt.eye(2))[0].real
    largest = values.argmax()
    return {
        "between": [(values.sum() + X.sum()) * 2, pt.tanh(X)],
        "twice": [pt.sort(again) * 3, X],
        "slices": [X[largest:] * 2, X[:largest], pt.cumsum(X[largest:] + values[largest])],
        "branches": [ifelse(X.sum() > 0, values.sum(), X.sum())],
        "outputs": [pt.linalg.eig(X[:, :2])[0], X + 1, pt.constant(3.0)],
    }


@pytest.mark.parametrize("name", list(parted()))
@pytest.mark.slow
def test_what_does_not_convert_runs_in_pytensor(name: str) -> None:
    outputs = parted()[name]
    with pytest.warns(FallbackWarning, match=r"nodes run in PyTensor.*\n  - .*complex128"):
        function = pytensor.function([X], outputs, mode="ONNX")
    expected = pytensor.function([X], outputs, mode=RAW)
    first = function(A)
    for array in (A, A - 0.5):
        for one, other in zip(function(array), expected(array), strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)
    for one, other in zip(first, expected(A), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)


def test_draws_run_in_pytensor_and_move_their_generator() -> None:
    def drawing(mode: Any) -> Any:
        state = pytensor.shared(np.random.default_rng(5))
        after, draw = pt.random.normal(X, 1.0, rng=state).owner.outputs
        return pytensor.function([X], pt.exp(draw) * 2, updates={state: after}, mode=mode)

    with pytest.warns(FallbackWarning, match="1 of .* nodes run in PyTensor.*\n.*NormalRV needs"):
        ours = drawing("ONNX")
    theirs = drawing(RAW)
    for _ in range(3):
        np.testing.assert_allclose(ours(A), theirs(A), rtol=1e-12)


def test_errors_of_a_call_are_onnx_runtimes() -> None:
    function = pytensor.function([X], X @ np.ones((3, 2)), mode="ONNX")
    with pytest.raises(Exception, match="MatMul dimension mismatch"):
        function(A[:, :2])
