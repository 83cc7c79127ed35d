"""Graphs with solvers as people write them: compiled in the default mode, and as symbolic graphs.

ONNX has no solver, so what these models hold is composed: nodes for each column of a small matrix,
a Loop over the columns of others. Numbers are held to PyTensor's at float64's accuracy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from helpers import RAW, assert_same, operators, run_model

from onnx_mapper import Refused, export, export_graph

RNG = np.random.default_rng(20260211)
SIZES = pytest.mark.parametrize("size", [None, 5, 12], ids=["unknown", "small", "large"])


def numbers(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape)


def tensor(name: str, *shape: int | None) -> Any:
    return pt.tensor(name, dtype="float64", shape=shape)


def definite(size: int) -> np.ndarray:
    root = numbers(size, size)
    return root @ root.T + size * np.eye(size)


def check(
    inputs: Sequence[Any], outputs: Sequence[Any], arrays: Sequence[Any], rtol: float = 1e-9
) -> list[str]:
    """Hold the compiled function's model and the symbolic graph's to PyTensor's own Python.

    Returns:
        The operators of the compiled function's model.
    """
    expected = pytensor.function(list(inputs), list(outputs), mode=RAW)(*arrays)
    of_function = export(pytensor.function(list(inputs), list(outputs)))
    assert_same(run_model(of_function, *arrays), expected, rtol, rtol)
    of_graph = export_graph(list(inputs), list(outputs))
    assert_same(run_model(of_graph, *arrays), expected, rtol, rtol)
    return operators(of_function)


def covariance(x: Any, y: Any, length: Any, scale: Any) -> Any:
    """The squared exponential kernel between two sets of points."""
    distance = (x[:, None, :] - y[None, :, :]) / length
    return scale**2 * pt.exp(-0.5 * (distance**2).sum(axis=-1))


class Process:
    """A Gaussian process: its inputs, arrays for them, and the Cholesky factor of its covariance."""

    def __init__(self, size: int | None) -> None:
        count = size or 7
        self.points = tensor("points", size, 2)
        self.observed = tensor("observed", size)
        self.length, self.scale, self.noise = pt.dscalars("length", "scale", "noise")
        self.inputs = [self.points, self.observed, self.length, self.scale, self.noise]
        self.arrays: list[Any] = [numbers(count, 2), numbers(count)]
        self.arrays += [np.asarray(number) for number in (0.9, 1.3, 0.4)]
        own = covariance(self.points, self.points, self.length, self.scale)
        self.covariance = own + self.noise**2 * pt.eye(self.points.shape[0])
        self.root = pt.linalg.cholesky(self.covariance)

    def log_likelihood(self) -> Any:
        whitened = pt.linalg.solve_triangular(self.root, self.observed, lower=True)
        half_log_det = pt.log(pt.diagonal(self.root)).sum()
        constant = 0.5 * self.observed.shape[0] * np.log(2 * np.pi)
        return -0.5 * (whitened**2).sum() - half_log_det - constant


@SIZES
@pytest.mark.slow
def test_gaussian_process_mean_and_variance(size: int | None) -> None:
    process = Process(size)
    new = tensor("new", None, 2)
    cross = covariance(process.points, new, process.length, process.scale)
    weights = pt.linalg.cho_solve((process.root, True), process.observed)
    mean = cross.T @ weights
    explained = pt.linalg.solve_triangular(process.root, cross, lower=True)
    variance = process.scale**2 - (explained**2).sum(axis=0)
    found = check([*process.inputs, new], [mean, variance], [*process.arrays, numbers(4, 2)])
    assert ("Loop" in found) == (size != 5)


@SIZES
@pytest.mark.slow
def test_gaussian_process_likelihood_and_its_gradient(size: int | None) -> None:
    process = Process(size)
    likelihood = process.log_likelihood()
    gradients = pt.grad(likelihood, [process.length, process.scale, process.noise])
    check(process.inputs, [likelihood, *gradients], process.arrays, 1e-8)


@SIZES
@pytest.mark.slow
def test_normal_density_by_solve_and_determinant(size: int | None) -> None:
    x, sigma = tensor("x", size), tensor("sigma", size, size)
    _, log_det = pt.linalg.slogdet(sigma)
    density = -0.5 * (x @ pt.linalg.solve(sigma, x, b_ndim=1) + log_det)
    count = size or 6
    check([x, sigma], [density], [numbers(count), definite(count)])


@SIZES
@pytest.mark.slow
def test_solve_and_the_gradient_that_reuses_its_factors(size: int | None) -> None:
    a, b = tensor("a", size, size), tensor("b", size)
    x = pt.linalg.solve(a, b, b_ndim=1)
    cost = (x**2).sum()
    count = size or 6
    check([a, b], [x, *pt.grad(cost, [a, b])], [numbers(count, count), numbers(count)], 1e-7)


@SIZES
@pytest.mark.slow
def test_symmetric_solves_with_one_matrix(size: int | None) -> None:
    a, b, c = tensor("a", size, size), tensor("b", size, 2), tensor("c", size)
    first = pt.linalg.solve(a, b, assume_a="pos")
    second = pt.linalg.solve(a, c, assume_a="pos", b_ndim=1)
    count = size or 6
    check([a, b, c], [first, second], [definite(count), numbers(count, 2), numbers(count)])


def test_ridge_regression_by_inverse() -> None:
    x, y = tensor("x", None, 3), tensor("y", None)
    coefficients = pt.linalg.inv(x.T @ x + 0.1 * pt.eye(3)) @ x.T @ y
    found = check([x, y], [coefficients], [numbers(20, 3), numbers(20)])
    assert "Loop" not in found


def test_determinants_and_inverses_of_a_batch() -> None:
    a = tensor("a", None, 4, 4)
    outputs = [pt.linalg.det(a), pt.linalg.inv(a), pt.linalg.cholesky(a @ a.mT + pt.eye(4))]
    check([a], outputs, [numbers(3, 4, 4)])


def test_batch_of_gaussian_processes() -> None:
    points, observed = tensor("points", None, 5), tensor("observed", None, 5)
    distance = points[:, :, None] - points[:, None, :]
    own = pt.exp(-(distance**2)) + 0.1 * pt.eye(5)
    root = pt.linalg.cholesky(own)
    whitened = pt.linalg.solve_triangular(root, observed, lower=True, b_ndim=1)
    check([points, observed], [(whitened**2).sum(axis=-1)], [numbers(3, 5), numbers(3, 5)])


def test_products_of_every_kind() -> None:
    a, b, t = tensor("a", 3, 4), tensor("b", None, 4), tensor("t", 2, 4, 5)
    outputs = [
        a @ b.T,
        pt.dot(a, t),
        pt.tensordot(a, t, axes=[[1], [1]]),
        pt.einsum("ij,kj->ki", a, b),
        pt.linalg.kron(a, b),
        pt.linalg.matrix_power(a @ a.T, 3),
        pt.linalg.norm(a),
        pt.outer(a[0], b[0]),
        pt.diagonal(a @ a.T).sum(),
    ]
    check([a, b, t], outputs, [numbers(3, 4), numbers(3, 4), numbers(2, 4, 5)])


@pytest.mark.parametrize("size", [3, 11])
def test_what_pytensor_raises_for_is_nan_in_a_model(size: int) -> None:
    a, b = tensor("a", size, size), tensor("b", size, 1)
    singular = np.ones((size, size))
    outputs = [pt.linalg.cholesky(a), pt.linalg.solve(a, b), pt.linalg.inv(a)]
    found = run_model(export_graph([a, b], outputs), singular, numbers(size, 1))
    assert all(np.isnan(result).all() for result in found)


def test_blas_calls_drop_what_a_factor_of_zero_multiplies() -> None:
    blas = pytest.importorskip("pytensor.tensor.blas")
    z, x, y, beta = pt.dmatrix("z"), pt.dmatrix("x"), pt.dmatrix("y"), pt.dscalar("beta")
    one = pt.constant(1.0, dtype="float64")
    model = export(
        pytensor.function([z, x, y, beta], blas.gemm_no_inplace(z, one, x, y, beta), mode=RAW)
    )
    arrays = [np.full((2, 4), np.nan), numbers(2, 3), numbers(3, 4)]
    (dropped,) = run_model(model, *arrays, np.asarray(0.0))
    np.testing.assert_allclose(dropped, arrays[1] @ arrays[2], rtol=1e-12)
    (kept,) = run_model(model, *arrays, np.asarray(0.5))
    assert np.isnan(kept).all()


@pytest.mark.parametrize("size", [3, 12, None])
@pytest.mark.slow
def test_exponentials_of_matrices_and_their_gradient(size: int | None) -> None:
    x = tensor("x", size, size)
    array = numbers(size or 5, size or 5)
    y = pt.linalg.expm(x) if hasattr(pt.linalg, "expm") else pt.slinalg.expm(x)
    check([x], [y, y @ y], [array])
    gradient = pt.grad((y**2).sum(), x)
    if pytensor.__version__.startswith("2."):
        with pytest.raises(Refused, match="no tensors of dtype complex128"):
            export_graph([x], [gradient])
    else:
        check([x], [gradient], [array])


@pytest.mark.slow
@pytest.mark.parametrize("size", [3, 12, None])
def test_eigenvalues_and_what_vectors_make_of_them(size: int | None) -> None:
    """Principal components, a matrix's root, and gradients of both; vectors have signs of their own."""
    x = tensor("x", size, size)
    w, v = pt.linalg.eigh(x @ x.T)
    root = (v * pt.sqrt(w)) @ v.T
    array = numbers(size or 5, size or 5)
    check([x], [w, root, v.T @ v, v**2], [array], 1e-7)
    check([x], [pt.grad(w[-1] + (v[:, 0] ** 4).sum(), x)], [array], 1e-7)


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "columns"), [(9, 4), (4, 9), (20, 20), (1, 3)])
@pytest.mark.parametrize("known", [True, False])
def test_singular_values_pseudo_inverses_and_norms(rows: int, columns: int, known: bool) -> None:
    x = tensor("x", rows, columns) if known else pt.dmatrix("x")
    u, s, vt = pt.linalg.svd(x, full_matrices=False)
    outputs = [s, (u * s) @ vt, u.T @ u, vt @ vt.T, *(pt.linalg.norm(x, ord=o) for o in ("nuc", 2))]
    check([x], outputs, [numbers(rows, columns)])
    any_size = pt.dmatrix(
        "x"
    )  # PyTensor 2.36 says that a pseudo-inverse has the matrix's own shape
    check([any_size], [pt.linalg.pinv(any_size)], [numbers(rows, columns)])


def test_a_matrix_of_low_rank_has_singular_values_of_0() -> None:
    x = pt.dmatrix("x")
    u, s, vt = pt.linalg.svd(x)
    array = numbers(8, 2) @ numbers(2, 6)
    values, left, right = run_model(export_graph([x], [s, u, vt]), array)
    np.testing.assert_allclose(values, np.linalg.svd(array)[1], rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose((left[:, :6] * values) @ right, array, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(left.T @ left, np.eye(8), atol=1e-13)
    np.testing.assert_allclose(right @ right.T, np.eye(6), atol=1e-13)


@pytest.mark.slow
def test_gradients_of_singular_values_and_of_a_pseudo_inverse() -> None:
    x = pt.dmatrix("x")
    u, s, vt = pt.linalg.svd(x, full_matrices=False)
    low_rank = (u[:, :2] * s[:2]) @ vt[:2]
    costs = [s.sum(), (low_rank**2).sum() + low_rank[0, 1], (pt.linalg.pinv(x) ** 2).sum()]
    check([x], [pt.grad(cost, x) for cost in costs], [numbers(5, 3)], 1e-7)


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "columns"), [(9, 4), (4, 9), (20, 20), (1, 3)])
@pytest.mark.parametrize("mode", ["full", "economic", "r"])
def test_qr_has_the_signs_of_lapack(rows: int, columns: int, mode: str) -> None:
    x = pt.dmatrix("x")
    found = pt.linalg.qr(x, mode=mode)
    outputs = list(found) if isinstance(found, list | tuple) else [found]
    array = numbers(rows, columns)
    check([x], outputs, [array])
    pivoted = pt.linalg.qr(x, mode=mode, pivoting=True)
    check([x], list(pivoted), [array * np.arange(1, columns + 1) ** 2])


@pytest.mark.slow
def test_least_squares() -> None:
    x, y = pt.dmatrix("x"), pt.dmatrix("y")
    lstsq = pt.linalg.lstsq if hasattr(pt.linalg, "lstsq") else pt.nlinalg.lstsq
    check([x, y], lstsq(x, y, 1e-10), [numbers(7, 3), numbers(7, 2)])
    low = numbers(7, 1) @ numbers(1, 3)
    check([x, y], lstsq(x, y, 1e-10), [low, numbers(7, 2)])


def test_eigenvalues_of_what_is_not_finite_are_nan() -> None:
    """PyTensor raises an error, which no model can; finite numbers would be wrong."""
    x = pt.dmatrix("x")
    model = export_graph([x], [pt.linalg.eigh(x)[0]])
    for bad in (np.nan, np.inf):
        (found,) = run_model(model, np.array([[1.0, bad, 0.0], [bad, 3.0, 1.0], [0.0, 1.0, 2.0]]))
        assert np.isnan(found).all()
