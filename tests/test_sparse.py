"""Graphs with sparse matrices that are known when the model is made."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytensor
import pytensor.sparse as ps
import pytensor.tensor as pt
import pytest
from onnx import TensorProto
from pytensor.compile.mode import Mode
from scipy.sparse import csr_matrix
from scipy.sparse import random as random_matrix

from onnx_mapper import Refused, export, export_graph, verify

MATRIX = random_matrix(60, 30, density=0.1, format="csr", random_state=1)
DENSE = random_matrix(40, 30, density=0.6, format="csc", random_state=2)
RNG = np.random.default_rng(3)

DOUBLE = TensorProto.DOUBLE

MATRIX_OF_30 = RNG.normal(size=(30, 4))
MATRIX_OF_60 = RNG.normal(size=(3, 60))
VECTOR = RNG.normal(size=30)
LONG_VECTOR = RNG.normal(size=60)


def _ran(model: Any, *arrays: Any) -> Any:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    names = [port.name for port in session.get_inputs()]
    return session.run(None, dict(zip(names, arrays, strict=True)))[0]


def _agrees(inputs: list[Any], output: Any, *arrays: Any) -> Any:
    """Export variables and the function of them, hold both against PyTensor, return a model."""
    function = pytensor.function(inputs, output, mode=Mode("py", "fast_run"))
    wanted = function(*arrays)
    for model in (export_graph(inputs, [output]), export(function)):
        found = _ran(model, *arrays)
        assert found.dtype == wanted.dtype
        np.testing.assert_allclose(found, wanted, rtol=1e-11, atol=1e-12)
    return model


def _known() -> Any:
    return ps.as_sparse_variable(MATRIX)


@pytest.mark.parametrize("kind", ["csr", "csc"])
@pytest.mark.parametrize("held", ["constant", "shared"])
@pytest.mark.slow
def test_products_with_a_known_sparse_matrix(kind: str, held: str) -> None:
    matrix = MATRIX.asformat(kind)
    known = pytensor.shared(matrix, name="design") if held == "shared" else matrix
    sparse = known if held == "shared" else ps.as_sparse_variable(matrix)
    x, v = pt.matrix("x"), pt.vector("v")
    _agrees([x], ps.dot(sparse, x), MATRIX_OF_30)
    _agrees([x], ps.dot(x, sparse), MATRIX_OF_60)
    _agrees([x], ps.dot(sparse.T, x), MATRIX_OF_60.T)
    _agrees([x], ps.structured_dot(sparse, x), MATRIX_OF_30)
    _agrees([v], ps.dot(sparse, v), VECTOR)
    _agrees([v], ps.dot(v, sparse), LONG_VECTOR)


def test_gradients_of_products_with_a_known_sparse_matrix() -> None:
    x = pt.matrix("x")
    for product, array in (
        (ps.dot(_known(), x), MATRIX_OF_30),
        (ps.dot(x, _known()), MATRIX_OF_60),
        (ps.structured_dot(_known(), x), MATRIX_OF_30),
    ):
        _agrees([x], pytensor.grad((product**3).sum(), x), array)


def test_scaling_and_sums_of_a_known_sparse_matrix_with_gradients() -> None:
    v = pt.vector("v")
    by_rows = ps.row_scale(_known(), v)
    by_columns = ps.col_scale(_known(), v)
    _agrees([v], ps.dense_from_sparse(by_rows), LONG_VECTOR)
    _agrees([v], ps.dense_from_sparse(by_columns), VECTOR)
    _agrees([v], ps.sp_sum(by_columns, axis=1), VECTOR)
    _agrees([v], ps.sp_sum(by_rows, axis=0), LONG_VECTOR)
    _agrees([v], ps.sp_sum(by_rows), LONG_VECTOR)
    gradient = pytensor.grad((ps.sp_sum(by_columns, axis=1) ** 2).sum(), v)
    _agrees([v], gradient, VECTOR)


def test_numbers_of_a_sparse_matrix_may_be_an_input() -> None:
    data, x = pt.vector("data"), pt.matrix("x")
    matrix = ps.CSR(data, MATRIX.indices, MATRIX.indptr, np.array(MATRIX.shape))
    product = ps.structured_dot(matrix, x)
    _agrees([data, x], product, MATRIX.data + 1, MATRIX_OF_30)
    gradient = pytensor.grad((product**2).sum(), data)
    _agrees([data, x], gradient, MATRIX.data + 1, MATRIX_OF_30)


def test_what_is_not_finite_goes_no_further_than_in_pytensor() -> None:
    x = pt.matrix("x")
    holes = np.where(np.arange(120).reshape(30, 4) % 17 == 3, np.inf, MATRIX_OF_30)
    for known in (MATRIX, DENSE):
        product = ps.dot(ps.as_sparse_variable(known), x)
        assert np.isfinite(_ran(_agrees([x], product, holes), holes)).any()


def test_a_model_holds_the_numbers_and_their_places_and_no_dense_matrix() -> None:
    v = pt.vector("v")
    tall = random_matrix(3000, 400, density=0.01, format="csr", random_state=4)
    for sparse in (ps.as_sparse_variable(tall), pytensor.shared(tall, name="design")):
        model = export_graph([v], [ps.dot(sparse, v)])
        assert len(model.SerializeToString()) < 4 * tall.nnz * 8
        array = RNG.normal(size=400)
        np.testing.assert_allclose(_ran(model, array), tall @ array, rtol=1e-11)
    assert "design" in [tensor.name for tensor in model.graph.initializer]


def test_a_known_matrix_that_is_used_twice_is_held_once() -> None:
    v = pt.vector("v")
    product = ps.dot(_known(), v)
    model = export_graph([v], [product, ps.dot(product, _known())])
    numbers = [tensor for tensor in model.graph.initializer if tensor.data_type == DOUBLE]
    assert [tensor.dims[0] for tensor in numbers if tensor.dims].count(MATRIX.nnz) == 1


def test_float32_models_hold_float32_numbers() -> None:
    v = pt.vector("v")
    model = export_graph([v], [ps.dot(_known(), v)], dtype="float32")
    found = _ran(model, VECTOR.astype("float32"))
    assert found.dtype == "float32"
    np.testing.assert_allclose(found, MATRIX @ VECTOR, rtol=1e-5, atol=1e-5)


def test_sparse_inputs_and_outputs_are_refused() -> None:
    sparse, v = ps.csr_matrix("design"), pt.vector("v")
    with pytest.raises(Refused, match=r"the input 'design'.*dense tensors"):
        export_graph([sparse, v], [ps.dot(sparse, v)])
    with pytest.raises(Refused, match=r"the output .*dense tensors"):
        export_graph([v], [ps.col_scale(_known(), v)])


def test_sparse_shared_variables_that_are_updated_are_refused() -> None:
    design = pytensor.shared(csr_matrix(np.eye(3)), name="design")
    v = pt.vector("v")
    function = pytensor.function(
        [v], ps.dot(design, v), updates={design: design.T.T}, mode="FAST_COMPILE"
    )
    with pytest.raises(Refused, match=r"'design'.*by CSR or CSC"):
        export(function)


def test_verify_finds_sizes_that_fit_a_known_matrix() -> None:
    v = pt.vector("v")
    shared = pytensor.shared(MATRIX, name="design")
    for sparse in (_known(), shared):
        function = pytensor.function([v], ps.dot(sparse, v), mode=Mode("py", "fast_run"))
        assert verify(export(function), function).ok
