"""Incomplete gamma and beta functions and their gradients, as models of probabilities use them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from helpers import RAW, assert_same, exported_like_pytensor, run_model
from scipy import special

from onnx_mapper import export, export_graph

A = [0.4, 0.9, 2.5, 7.0, 11.0, 30.0, 3.0]
X = [0.7, 2.0, 9.5, 5.0, 31.0, 35.0, 0.02]
P = [0.6, 1.5, 2.5, 7.0, 11.0, 0.8]
Q = [1.7, 0.5, 3.5, 6.0, 2.0, 9.0]
Y = [0.2, 0.6, 0.41, 0.55, 0.9, 0.07]
FUNCTIONS: list[tuple[Any, Sequence[Any]]] = [
    (pt.gammainc, [A, X]),
    (pt.gammaincc, [A, X]),
    (pt.betainc, [P, Q, Y]),
]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("function", "rows"), FUNCTIONS)
def test_gradients_of_all_arguments(function: Any, rows: Sequence[Any], dtype: str) -> None:
    """PyTensor's gradients end where they have found some digits, not all."""
    names = "abx"[-len(rows) :]
    inputs = [pt.vector(name, dtype=dtype) for name in names]
    gradients = pt.grad(pt.log(function(*inputs)).sum(), inputs)
    arrays = [np.array(row, dtype=dtype) for row in rows]
    expected = pytensor.function(inputs, gradients, mode=RAW)(*arrays)
    rtol = 1e-7 if dtype == "float64" else 1e-3
    assert_same(run_model(export_graph(inputs, gradients), *arrays), expected, rtol, 0)
    if dtype == "float64":
        compiled = pytensor.function(inputs, gradients)
        assert_same(run_model(export(compiled), *arrays), expected, rtol, 0)


@pytest.mark.parametrize(("function", "rows"), FUNCTIONS)
@pytest.mark.slow
def test_float32_has_all_digits_of_float32(function: Any, rows: Sequence[Any]) -> None:
    inputs = [pt.fvector() for _ in rows]
    exact = getattr(special, function(*inputs).owner.op.scalar_op.name)
    arrays = [np.array(row, dtype="float32") for row in rows]
    (found,) = run_model(export_graph(inputs, [function(*inputs)]), *arrays)
    expected = exact(*(array.astype("float64") for array in arrays)).astype("float32")
    np.testing.assert_array_max_ulp(found, expected, 1)


@pytest.mark.slow
@pytest.mark.parametrize(("function", "rows"), FUNCTIONS)
def test_shapes(function: Any, rows: Sequence[Any]) -> None:
    scalars = [pt.dscalar() for _ in rows]
    numbers = [np.array(row[2]) for row in rows]
    exported_like_pytensor(scalars, [function(*scalars)], numbers, 1e-12, 0)
    first, *others = [pt.dmatrix(), *(pt.drow() for _ in rows[1:])]
    arrays = [
        np.array([row[:2], row[2:4]]) if i == 0 else np.array([row[4:6]])
        for i, row in enumerate(rows)
    ]
    exported_like_pytensor([first, *others], [function(first, *others)], arrays, 1e-12, 0)
    empty = [np.zeros((0, 3)), *(np.ones((1, 3)) for _ in rows[1:])]
    exported_like_pytensor([first, *others], [function(first, *others)], empty)


def test_large_parameters_where_scipy_has_few_digits() -> None:
    """The numbers are sums of the series in 60 digits."""
    a, x = pt.dvectors("a", "x")
    model = export_graph([a, x], [pt.gammainc(a, x)])
    (found,) = run_model(
        model,
        np.array([970054.0, 8727660.0, 100010.0, 3000.0]),
        np.array([965528.0, 8707660.0, 91010.0, 2500.0]),
    )
    expected = [
        2.0906929153303674e-6,
        6.222590369393913e-12,
        9.030367263761487e-190,
        1.7368408303344989e-22,
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-11)


@pytest.mark.slow
def test_probabilities_are_never_beyond_0_and_1() -> None:
    generator = np.random.default_rng(3)
    a, b = 10 ** generator.uniform(-12, 4, (2, 5000))
    u = generator.uniform(0, 1, 5000)
    p, q, x = pt.dvectors("p", "q", "x")
    outputs = [pt.betainc(p, q, x), pt.gammainc(p, q), pt.gammaincc(p, q)]
    for found in run_model(export_graph([p, q, x], outputs), a, b, u):
        assert found.min() >= 0
        assert found.max() <= 1


@pytest.mark.slow
def test_what_does_not_converge_is_no_number() -> None:
    p, q, x = pt.dvectors("p", "q", "x")
    model = export_graph([p, q, x], [pt.betainc(p, q, x)])
    (found,) = run_model(model, np.array([1e15, 2.0]), np.array([1e15, 3]), np.array([0.5, 0.5]))
    np.testing.assert_allclose(found, [np.nan, 0.6875], rtol=1e-14)


def test_polygamma_of_open_orders_is_no_number_where_it_is_not_composed() -> None:
    orders, x = pt.lvector("orders"), pt.vector("x")
    model = export_graph([orders, x], [pt.polygamma(orders, x)])
    (found,) = run_model(model, np.array([0, 1, 2, 2]), np.array([-2.5, -2.5, 2.5, -1]))
    np.testing.assert_allclose(
        found, [special.psi(-2.5), np.nan, special.polygamma(2, 2.5), -np.inf]
    )
