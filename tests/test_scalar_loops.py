"""Loops of scalars, as gradients of special functions are made of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from helpers import RAW, assert_same, exported_like_pytensor, run_model
from pytensor.scalar.basic import float64
from pytensor.scalar.loop import ScalarLoop
from pytensor.tensor.elemwise import Elemwise

from onnx_mapper import export, export_graph
from onnx_mapper.conformance.graphs.language import parse_graph
from onnx_mapper.errors import Place


def _doubled_until_6() -> Any:
    x = float64("x")
    return Elemwise(ScalarLoop(init=[x], update=[x * 2], until=x * 2 > 6))


def test_a_condition_that_no_step_came_to_is_met() -> None:
    """PyTensor's C and its documentation say so; its Python and Numba say the opposite."""
    n, x = pt.lvector("n"), pt.dvector("x")
    model = export_graph([n, x], _doubled_until_6()(n, x))
    doubled, met = run_model(model, np.array([0, -2, 1, 9, 2]), np.array([1.0, 9, 1, 1, 2]))
    np.testing.assert_array_equal(doubled, [1, 9, 2, 8, 8])
    np.testing.assert_array_equal(met, [True, True, False, True, True])


def test_a_loop_in_a_compiled_function() -> None:
    n, x = pt.lvector("n"), pt.dvector("x")
    doubled, met = _doubled_until_6()(n, x)
    function = pytensor.function([n, x], [pt.exp(-doubled) * 2, met | (n < 1)])
    arrays = np.array([0, -2, 1, 9, 2]), np.array([1.0, 9, 1, 1, 2])
    assert_same(run_model(export(function), *arrays), function(*arrays), 1e-12, 0)


def test_elements_of_any_rank_and_none_at_all() -> None:
    n, x = pt.lscalar("n"), pt.dscalar("x")
    exported_like_pytensor([n, x], _doubled_until_6()(n, x), [np.array(9), np.array(0.3)], 1e-15, 0)
    many = pt.dtensor3("x")
    empty = np.zeros((2, 0, 3))
    exported_like_pytensor([n, many], _doubled_until_6()(n, many), [np.array(9), empty], 1e-15, 0)


def test_a_loop_inside_a_loop() -> None:
    """PyTensor's own Python gives 0 for these."""
    x, y = float64("x"), float64("y")
    inner = ScalarLoop(init=[x], constant=[y], update=[x + y], until=x + y > 4)
    a, b = float64("a"), float64("b")
    outer = ScalarLoop(init=[a], constant=[b], update=[inner(3, a * 0.5, b)[0]])
    n, u, v = pt.lvector("n"), pt.dvector("u"), pt.dscalar("v")
    model = export_graph([n, u, v], [Elemwise(outer)(n, u, v)])
    (found,) = run_model(model, np.array([0, 1, 2, 3]), np.array([1.0, 2, 3, 7]), np.array(0.75))
    np.testing.assert_array_equal(found, [1, 3.25, 4.125, 4.4375])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.slow
def test_the_gradient_of_the_hypergeometric_function(dtype: str) -> None:
    parameters = [pt.vector(name, dtype=dtype) for name in "abc"]
    z = pt.vector("z", dtype=dtype)
    gradients = pt.grad(pt.hyp2f1(*parameters, z).sum(), parameters)
    numbers = [[1.5, 0.5, 2, -2], [2, 2.5, 1, 1.5], [3, 4.5, 2.5, 3.5], [0.3, -0.6, 0, 0.5]]
    arrays = [np.array(row, dtype=dtype) for row in numbers]
    expected = pytensor.function([*parameters, z], gradients, mode=RAW)(*arrays)
    rtol = 1e-10 if dtype == "float64" else 2e-5
    assert_same(run_model(export_graph([*parameters, z], gradients), *arrays), expected, rtol, 0)
    compiled = pytensor.function([*parameters, z], gradients)
    assert_same(run_model(export(compiled), *arrays), expected, rtol, 0)


@pytest.mark.parametrize(
    "text",
    [
        "loop([a + 1], a=earlier(x))",
        "loop([a + 1], a=x, n_steps=2)",
        "loop([a + 1], a=earlier(x, -2, -1), n_steps=2)",
        "loop([a + b], a=earlier(x), b=each(x, 0, 1), n_steps=2)",
    ],
)
def test_a_case_says_what_a_loop_reads(text: str) -> None:
    formula = parse_graph(text, Place("rows.yaml", 1))
    with pytest.raises(TypeError, match="takes earlier"):
        formula.build({"x": pt.dvector("x"), "op": ScalarLoop})
