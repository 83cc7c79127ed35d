"""Graphs that draw random numbers: refused by default, or computed from base noise that is an input.

The oracle is SciPy's quantile function of each distribution: what a draw is for a given uniform
number. PyTensor's own draws can't be one, as no model repeats NumPy's generator.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
import scipy.stats as st
from helpers import RAW, run_model

from onnx_mapper import Refused, export

U = np.array([0.02, 0.11, 0.31, 0.5, 0.62, 0.87, 0.985])
Z = st.norm.ppf(U)

DRAWS: dict[str, tuple[Any, Any]] = {
    "normal": (lambda r: r.normal(1.5, 2.5, size=7), st.norm(1.5, 2.5)),
    "halfnormal": (lambda r: r.halfnormal(1.5, 2.5, size=7), None),
    "lognormal": (lambda r: r.lognormal(0.5, 0.75, size=7), st.lognorm(0.75, scale=np.exp(0.5))),
    "uniform": (lambda r: r.uniform(-1.5, 2.5, size=7), st.uniform(-1.5, 4.0)),
    "exponential": (lambda r: r.exponential(2.5, size=7), st.expon(scale=2.5)),
    "weibull": (lambda r: r.weibull(1.7, size=7), st.weibull_min(1.7)),
    "pareto": (lambda r: r.pareto(1.7, 2.5, size=7), st.pareto(1.7, scale=2.5)),
    "laplace": (lambda r: r.laplace(1.5, 2.5, size=7), st.laplace(1.5, 2.5)),
    "logistic": (lambda r: r.logistic(1.5, 2.5, size=7), st.logistic(1.5, 2.5)),
    "gumbel": (lambda r: r.gumbel(1.5, 2.5, size=7), st.gumbel_r(1.5, 2.5)),
    "cauchy": (lambda r: r.cauchy(1.5, 2.5, size=7), st.cauchy(1.5, 2.5)),
    "halfcauchy": (lambda r: r.halfcauchy(1.5, 2.5, size=7), st.halfcauchy(1.5, 2.5)),
    "triangular": (lambda r: r.triangular(-1.0, 0.5, 4.0, size=7), st.triang(0.3, -1.0, 5.0)),
}


def drawing(build: Any) -> Any:
    stream = pt.random.RandomStream(7)
    return pytensor.function([], build(stream), mode=RAW)


@pytest.mark.parametrize("name", DRAWS)
def test_a_draw_is_the_quantile_of_its_noise(name: str) -> None:
    build, distribution = DRAWS[name]
    model = export(drawing(build), random="input")
    (port,) = model.graph.input
    normal = any("standard normal" in entry.value for entry in model.metadata_props)
    (found, *_) = run_model(model, Z if normal else U)
    expected = distribution.ppf(U) if distribution else 1.5 + 2.5 * np.abs(Z)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    documented = {entry.key: entry.value for entry in model.metadata_props}
    assert any(port.name in key or port.name in value for key, value in documented.items())


def test_bernoulli_and_integers() -> None:
    for build, expected in (
        (lambda r: r.bernoulli(0.3, size=7), st.bernoulli(0.3).mean()),
        (lambda r: r.integers(2, 9, size=7), 5.0),
    ):
        model = export(drawing(build), random="input")
        noise = (np.arange(7) + 0.5) / 7
        (found, *_) = run_model(model, noise.astype(_input_dtype(model)))
        assert found.dtype == np.int64
        assert abs(found.mean() - expected) < 0.15


def _input_dtype(model: Any) -> Any:
    from onnx import helper

    (port,) = model.graph.input
    return helper.tensor_dtype_to_np_dtype(port.type.tensor_type.elem_type)


@pytest.mark.parametrize("name", DRAWS)
def test_drawing_is_refused_by_default_with_the_way_out(name: str) -> None:
    with pytest.raises(Refused, match=r'random="input"'):
        export(drawing(DRAWS[name][0]))


def test_a_distribution_without_a_closed_quantile_function_is_refused() -> None:
    with pytest.raises(Refused, match=r"gamma|Gamma"):
        export(drawing(lambda r: r.gamma(2.0, 1.0, size=3)), random="input")
