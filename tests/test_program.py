"""`compile`: a function that runs in ONNX Runtime, called as PyTensor's is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytensor
import pytensor.tensor as pt
import pytest
from helpers import RAW

import onnx_mapper
from onnx_mapper import FallbackWarning, InvalidRequest, Refused

X = pt.dmatrix("x")
Y = pt.dvector("y")
A = np.array([[1.0, -2.0, 0.5], [0.25, 3.0, -1.0]])
B = np.array([0.5, 2.0, -1.5])


def test_one_output_or_a_list_as_the_function_gives() -> None:
    for outputs in (pt.exp(X) + Y, [pt.exp(X) + Y], [X * Y, X.sum()]):
        function = pytensor.function([X, Y], outputs, mode=RAW)
        for program in (
            onnx_mapper.compile(function),
            onnx_mapper.compile([X, Y], outputs),
        ):
            found, wanted = program(A, B), function(A, B)
            assert isinstance(found, list) == isinstance(wanted, list)
            for one, other in zip(_listed(found), _listed(wanted), strict=True):
                assert one.dtype == other.dtype
                np.testing.assert_allclose(one, other, rtol=1e-14)


def test_a_function_of_updates_alone_has_no_outputs() -> None:
    steps = pytensor.shared(0, name="steps")
    program = onnx_mapper.compile(pytensor.function([], updates={steps: steps + 1}, mode=RAW))
    assert program() == []
    assert steps.get_value() == 1


def _listed(results: Any) -> list[Any]:
    return results if isinstance(results, list) else [results]


def test_inputs_by_position_by_name_and_in_a_dictionary() -> None:
    program = onnx_mapper.compile([X, Y], X - Y)
    for found in (program(A, B), program(A, y=B), program(y=B, x=A), program({"x": A, "y": B})):
        np.testing.assert_array_equal(found, A - B)
    np.testing.assert_array_equal(program([[1, 2]], [3, 4]), [[-2.0, -2.0]])


@pytest.mark.parametrize(
    ("arguments", "named", "says"),
    [
        ((), {}, "no value is given for: x, y"),
        ((A,), {}, "no value is given for: y"),
        ((A, B, B), {}, "3 inputs are given; there are: x, y"),
        ((A, B), {"z": 1}, "there is no input 'z'; there are: x, y"),
        ((A, B), {"y": B}, "the input 'y' is given twice"),
        ((B, B), {}, "the input 'x': Wrong number of dimensions"),
        ((A, "many"), {}, "the input 'y': "),
    ],
)
@pytest.mark.slow
def test_wrong_calls_say_what_is_wrong(arguments: Any, named: Any, says: str) -> None:
    with pytest.raises(TypeError, match=says):
        onnx_mapper.compile([X, Y], X - Y)(*arguments, **named)


def test_shared_variables_are_read_at_each_call_unless_they_are_frozen() -> None:
    weights = pytensor.shared(B, name="weights")
    live = onnx_mapper.compile([X], X @ weights)
    frozen = onnx_mapper.compile([X], X @ weights, frozen=True)
    np.testing.assert_allclose(live(A), A @ B)
    weights.set_value(np.array([3.0, 1.0]))
    np.testing.assert_allclose(live(A[:, :2]), A[:, :2] @ [3.0, 1.0])
    np.testing.assert_allclose(frozen(A), A @ B)


def test_updates_are_applied() -> None:
    def trained() -> tuple[Any, Any, Any]:
        weights = pytensor.shared(B, name="weights")
        steps = pytensor.shared(np.int8(0), name="steps")
        loss = ((X @ weights - 1) ** 2).sum()
        updates = {weights: weights - 0.01 * pt.grad(loss, weights), steps: steps + np.int8(1)}
        return pytensor.function([X], loss, updates=updates, mode=RAW), weights, steps

    function, weights, steps = trained()
    source, others, other_steps = trained()
    program = onnx_mapper.compile(source)
    for _ in range(3):
        np.testing.assert_allclose(program(A), function(A), rtol=1e-12)
    np.testing.assert_allclose(others.get_value(), weights.get_value(), rtol=1e-12)
    assert other_steps.get_value() == steps.get_value() == 3
    assert other_steps.get_value().dtype == "int8"


def test_the_model_is_there_and_can_be_saved(tmp_path: Path) -> None:
    program = onnx_mapper.compile([X], pt.exp(X))
    assert [node.op_type for node in program.model.graph.node] == ["Exp"]
    program.save(tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    np.testing.assert_array_equal(session.run(None, {"x": A})[0], program(A))
    with pytest.raises(InvalidRequest, match="does not exist"):
        program.save(tmp_path / "nowhere" / "model.onnx")


def test_options_are_those_of_an_export() -> None:
    weights = pytensor.shared(B, name="weights")
    program = onnx_mapper.compile([X], X @ weights, dtype="float32", opset=18)
    assert program(A).dtype == "float32"
    np.testing.assert_allclose(program(A), A @ B, rtol=1e-6)
    assert program.model.opset_import[0].version == 18
    with pytest.raises(InvalidRequest, match="opset"):
        onnx_mapper.compile([X], X, opset=3)


def test_weights_in_a_file_of_their_own(tmp_path: Path) -> None:
    weights = pytensor.shared(np.arange(3000.0).reshape(3, 1000), name="weights")
    program = onnx_mapper.compile([X], X @ weights, external_data=True, frozen=True)
    np.testing.assert_allclose(program(A), A @ weights.get_value())
    program.save(tmp_path / "model.onnx")
    assert len(list(tmp_path.iterdir())) == 2


def test_random_numbers_are_given_by_name() -> None:
    draw = pt.random.normal(Y, 2.0, rng=pytensor.shared(np.random.default_rng(1)), name="draw")
    program = onnx_mapper.compile([Y], draw, random="input")
    noise = np.array([0.5, -1.0, 0.0])
    np.testing.assert_allclose(program(B, draw_noise=noise), B + 2 * noise)
    with pytest.raises(TypeError, match="no value is given for: draw_noise"):
        program(B)


def test_draws_may_update_their_generator_and_come_beside_other_updates() -> None:
    rng = pytensor.shared(np.random.default_rng(1), name="rng")
    steps = pytensor.shared(0, name="steps")
    state, draw = pt.random.normal(Y, 2.0, rng=rng).owner.outputs
    function = pytensor.function(
        [Y], [draw.copy(name="draw")], updates={rng: state, steps: steps + 1}, mode=RAW
    )
    program = onnx_mapper.compile(function, random="input")
    noise = next(port.name for port in program.session.get_inputs() if "noise" in port.name)
    np.testing.assert_allclose(program(B, **{noise: np.ones(3)})[0], B + 2)
    assert steps.get_value() == 1


def test_what_does_not_convert_is_refused() -> None:
    with pytest.raises(Refused, match="Eig"):
        onnx_mapper.compile([X], pt.linalg.eig(X)[0].real)
    assert onnx_mapper.compile([X], pt.exp(X), partly=True).refusals == ()


def partly(frozen: bool) -> tuple[Any, Any, Any]:
    """Return a program of a function that does not convert as a whole, and what it holds."""
    scale, steps = pytensor.shared(2.0, name="scale"), pytensor.shared(0, name="steps")
    state = pytensor.shared(np.random.default_rng(5), name="state")
    after, draw = pt.random.normal(pt.linalg.eig(X)[0].real * scale, 1.0, rng=state).owner.outputs
    function = pytensor.function([X], [draw], updates={state: after, steps: steps + 1}, mode=RAW)
    with pytest.warns(FallbackWarning, match="nodes run in PyTensor"):
        return onnx_mapper.compile(function, frozen=frozen, partly=True), scale, steps


@pytest.mark.parametrize("frozen", [False, True])
def test_what_does_not_convert_may_run_in_pytensor(frozen: bool) -> None:
    program, scale, steps = partly(frozen)
    reasons = [refusal.reason for refusal in program.refusals]
    assert len(reasons) == 2
    assert "complex128" in reasons[0]
    assert "can't repeat NumPy's random numbers" in reasons[1]
    with pytest.raises(Refused, match="Eig"):
        program.model  # noqa: B018
    square = np.diag([1.0, 5.0, -3.0])
    generator = np.random.default_rng(5)
    for call, factor in enumerate((2.0, 2.0, 7.0)):
        scale.set_value(factor)
        expected = generator.normal(np.diag(square) * (2.0 if frozen else factor), 1.0)
        np.testing.assert_allclose(program(square)[0], expected, rtol=1e-12)
        assert steps.get_value() == call + 1
    with pytest.raises(TypeError, match="no value is given for: x"):
        program()
