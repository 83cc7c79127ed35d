"""Models in float16 or bfloat16: what they hold is rounded, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytensor
import pytensor.tensor as pt
import pytest
from helpers import RAW, operators, run_model
from onnx import ModelProto, TensorProto, helper
from pytensor.ifelse import ifelse

import onnx_mapper
from onnx_mapper import InvalidRequest, Mismatch, Refused, explain, export, export_graph, verify
from onnx_mapper.cli.main import main
from onnx_mapper.model.metadata import told_by

RNG = np.random.default_rng(8)
BFLOAT16 = helper.tensor_dtype_to_np_dtype(TensorProto.BFLOAT16)
ROUNDED: dict[str, Any] = {"float16": np.float16, "bfloat16": BFLOAT16}
CODES = {"float16": TensorProto.FLOAT16, "bfloat16": TensorProto.BFLOAT16}
HALVES = pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
X = pt.dmatrix("x")


def shared(name: str, *shape: int) -> Any:
    return pytensor.shared(RNG.normal(size=shape), name=name)


def network() -> tuple[Any, list[Any]]:
    """Return a small network, and its weights."""
    weights = [shared("first", 30, 40), shared("bias", 40), shared("second", 40, 20)]
    first, bias, second = weights
    hidden = pt.maximum(X @ first + bias, 0)
    return pt.tanh(hidden @ second / 10), weights


def rounded(array: Any, dtype: str) -> Any:
    return np.asarray(array).astype(ROUNDED[dtype]).astype("float64")


def dtypes(model: ModelProto) -> dict[str, int]:
    """Return the dtypes of inputs, outputs and initializers."""
    ports = [*model.graph.input, *model.graph.output]
    held = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    return held | {port.name: port.type.tensor_type.elem_type for port in ports}


def held_bytes(model: ModelProto) -> int:
    return sum(len(tensor.raw_data) for tensor in model.graph.initializer)


@HALVES
@pytest.mark.parametrize("opset", [18, 21, 28])
def test_what_is_held_is_rounded_and_nothing_else(dtype: Any, opset: int) -> None:
    y, weights = network()
    function = pytensor.function([X], y.copy(name="y"), mode=RAW)
    model = export(function, dtype=dtype, opset=opset)
    assert verify(model, function).ok
    whole = export(function, dtype="float32", opset=opset)
    assert held_bytes(model) - 4 == (held_bytes(whole) - 4) / 2  # the 10 stays as it is
    port = TensorProto.FLOAT16 if dtype == "float16" else TensorProto.FLOAT
    assert dtypes(model)["x"] == dtypes(model)["y"] == port
    assert {dtypes(model)[name] for name in ("first", "bias_folded", "second")} <= {CODES[dtype]}
    x = RNG.normal(size=(5, 30))
    x = rounded(x, dtype) if dtype == "float16" else x.astype("float32")
    for weight in weights:
        weight.set_value(rounded(weight.get_value(), dtype))
    (found,) = run_model(model, x.astype("float16" if dtype == "float16" else "float32"))
    expected = function(x.astype("float64"))
    tolerance = 2.0**-10 if dtype == "float16" else 1e-5
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * 1e-2)


def test_the_model_tells_what_stayed_wider() -> None:
    y, _ = network()
    model = export_graph([X], [y], dtype="float16")
    assert told_by(model)["onnx_mapper.wider"] == "Gemm, MatMul, Mul, Relu, Tanh"
    assert "onnx_mapper.wider_weights" not in told_by(model)
    assert "onnx_mapper.wider" not in told_by(export_graph([X], [y], dtype="float32"))


def test_nodes_with_kernels_compute_in_float16_without_casts() -> None:
    table, index = shared("table", 50, 8), pt.lvector("index")
    y = pt.concatenate([table[index], X[:, :8]]).T.reshape((4, -1))
    model = export_graph([X, index], [y.copy(name="y")], dtype="float16")
    casts = [n for n in model.graph.node if n.op_type == "Cast" and "float32" in n.name]
    assert not casts
    assert "onnx_mapper.wider" not in told_by(model)
    x = RNG.normal(size=(3, 10)).astype("float16")
    (found,) = run_model(model, x, np.array([3, 49, 0]))
    held = table.get_value().astype("float16")[[3, 49, 0]]
    assert found.dtype == "float16"
    np.testing.assert_array_equal(found, np.concatenate([held, x[:, :8]]).T.reshape(4, -1))


def test_bfloat16_weights_move_as_they_are() -> None:
    table, index = shared("table", 50, 8), pt.lvector("index")
    model = export_graph([index], [table[index].T], dtype="bfloat16")
    assert operators(model)[-1] == "Cast"
    assert operators(model).count("Cast") == 1
    (found,) = run_model(model, np.array([3, 49, 0]))
    np.testing.assert_array_equal(found, rounded(table.get_value(), "bfloat16")[[3, 49, 0]].T)


def test_weights_that_float16_cannot_hold_stay_float32() -> None:
    large = pytensor.shared(RNG.normal(size=(10, 5)) * 1e6, name="large")
    tiny = pytensor.shared(RNG.normal(size=(10, 5)) * 1e-9, name="tiny")
    mixed = pytensor.shared(np.append(RNG.normal(size=49), 1e-9).reshape(10, 5), name="mixed")
    y = X @ large + pt.exp(X) @ tiny + X @ mixed
    model = export_graph([X], [y.copy(name="y")], dtype="float16")
    found = dtypes(model)
    assert [found[name] for name in ("large", "mixed", "tiny")] == [
        *(TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.FLOAT)
    ]
    assert told_by(model)["onnx_mapper.wider_weights"] == "large, tiny"
    other = dtypes(export_graph([X], [y.copy(name="y")], dtype="bfloat16"))
    assert {other[name] for name in ("large", "mixed", "tiny")} == {TensorProto.BFLOAT16}


def test_states_and_random_numbers_keep_their_digits() -> None:
    count = pytensor.shared(np.zeros(40), name="count")
    draw = pt.random.uniform(size=40, rng=pytensor.shared(np.random.default_rng(3)))
    total = count + X.sum()
    function = pytensor.function([X], [total.sum() + draw], updates={count: total}, mode=RAW)
    model = export(function, dtype="float16", random="input")
    (noise,) = [port.name for port in model.graph.input if "noise" in port.name]
    found = dtypes(model)
    assert found["count"] == found["count_next"] == found[noise] == TensorProto.FLOAT
    assert found["x"] == TensorProto.FLOAT16


@HALVES
def test_loops_and_branches_read_halved_weights(dtype: Any) -> None:
    weight, other = shared("weight", 6, 6), shared("other", 6, 6)

    def step(before: Any, w: Any) -> Any:
        return pt.tanh(before @ w)

    scanned = pytensor.scan(
        step, outputs_info=[X], non_sequences=[weight], n_steps=12, return_updates=False
    )
    chosen = ifelse(X.sum() > 0, X @ other, X - 1)
    model = export_graph([X], [scanned[-1].copy(name="last"), chosen], dtype=dtype)
    assert dtypes(model)["weight"] == dtypes(model)["other"] == CODES[dtype]
    x = RNG.normal(size=(2, 6)).astype("float16").astype("float64")
    for sign in (1, -1):
        given = np.abs(x) * sign
        found = run_model(model, given.astype("float16" if dtype == "float16" else "float32"))
        expected = given
        for _ in range(12):
            expected = np.tanh(expected @ rounded(weight.get_value(), dtype))
        np.testing.assert_allclose(found[0], expected, rtol=2e-3, atol=1e-3)
        product = given @ rounded(other.get_value(), dtype) if sign > 0 else given - 1
        np.testing.assert_allclose(found[1], product, rtol=2e-3, atol=1e-3)


def test_no_constant_is_left_that_nothing_reads() -> None:
    model = export_graph([X], [pt.concatenate([X, [[0.5] * 10]])], dtype="float16")
    (held,) = model.graph.initializer
    assert held.data_type == TensorProto.FLOAT16
    assert held.name in model.graph.node[0].input


@HALVES
def test_weights_in_a_file_of_their_own(dtype: Any, tmp_path: Path) -> None:
    y, _ = network()
    function = pytensor.function([X], y, mode=RAW)
    export(function, tmp_path / "model.onnx", dtype=dtype, external_data=True)
    (beside,) = tmp_path.glob("*.data")
    assert beside.stat().st_size < 2 * (30 * 40 + 40 + 40 * 20) + 3 * 4096
    assert verify(tmp_path / "model.onnx", function).ok
    assert {node.op for node in explain(tmp_path / "model.onnx") if node.operator == "Cast"}
    program = onnx_mapper.compile(function, dtype=dtype, external_data=True, frozen=True)
    x = RNG.normal(size=(2, 30))
    np.testing.assert_allclose(program(x), function(x), rtol=0.05, atol=0.02)


def test_verify_notices_another_function() -> None:
    y, _ = network()
    model = export_graph([X], [y], dtype="float16")
    with pytest.raises(Mismatch, match="elements differ"):
        verify(model, pytensor.function([X], y + 0.05, mode=RAW))


def test_what_can_not_be_is_refused() -> None:
    y, _ = network()
    with pytest.raises(InvalidRequest, match=r"ONNX Runtime Web has no kernel.*bfloat16"):
        export_graph([X], [y], dtype="bfloat16", runtime="web")
    with pytest.raises(Refused, match="wide='ok'"):
        export_graph([X], [pt.gammaln(X)], dtype="float16")
    model = export_graph([X], [pt.gammaln(X)], dtype="float16", wide="ok")
    (found,) = run_model(model, np.array([[0.5, 20.0]], "float16"))
    np.testing.assert_allclose(found, [[0.5724, 39.34]], rtol=1e-3)


def test_the_command_line_tells_what_stayed_wider(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "scoring.py"
    source.write_text(
        "import numpy as np, pytensor, pytensor.tensor as pt\n"
        "x = pt.dmatrix('x')\n"
        "w = pytensor.shared(np.ones((20, 3)), name='w')\n"
        "f = pytensor.function([x], x @ w, mode='FAST_COMPILE')\n",
        encoding="utf-8",
    )
    target = tmp_path / "model.onnx"
    assert main(["export", f"{source}:f", str(target), "--dtype", "float16"]) == 0
    assert "computed in float32, where float16 is held: MatMul" in capsys.readouterr().out
    assert onnx.load(target).graph.input[0].type.tensor_type.elem_type == TensorProto.FLOAT16


@pytest.mark.parametrize("sizes", [(1, 1), (0, 30), (7, 30)])
def test_any_number_of_rows(sizes: Sequence[int]) -> None:
    w = shared("w", sizes[1], 20)
    model = export_graph([X], [(X @ w).max(axis=1)], dtype="float16")
    session = onnxruntime.InferenceSession(model.SerializeToString())
    x = np.ones(sizes, "float16")
    (found,) = session.run(None, {"x": x})
    expected = (x.astype("float64") @ rounded(w.get_value(), "float16")).max(axis=1)
    np.testing.assert_allclose(found, expected, rtol=2e-3)


SAME_BYTES = """
import hashlib, numpy as np, pytensor, pytensor.tensor as pt
from onnx_mapper import export_graph
x = pt.dmatrix("x")
many = [pytensor.shared(np.full((6, 6), i / 40), name=f"w{i}") for i in range(6)]
step = lambda before, *weights: pt.tanh(sum(before @ w for w in weights))
last = pytensor.scan(step, outputs_info=[x], non_sequences=many, n_steps=12, return_updates=False)[-1]
model = export_graph([x], [last, pt.concatenate([x, [[0.5] * 6]])], dtype="float16")
print(hashlib.sha256(model.SerializeToString()).hexdigest(), [t.name for t in model.graph.initializer])
"""


@pytest.mark.slow
def test_same_bytes_under_another_hash_seed() -> None:
    printed = [
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", SAME_BYTES],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert printed[0] == printed[1]
    assert "_float16'" in printed[0]
