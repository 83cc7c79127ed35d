"""Kinds of PyMC models, as in its galleries: each density, gradient and quantity leaves as a model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytensor
import pytest
from helpers import assert_same, run_model

from onnx_mapper import export, export_graph

pm = pytest.importorskip("pymc", reason="no PyMC goes with this PyTensor")
from pymc_models import (  # noqa: E402
    MODELS,
    broken_stick,
    growth,
    mixture,
    named_axes,
    neighbours,
    switch_point,
    volatility,
)

RNG = np.random.default_rng(8)


def point_of(model: Any) -> dict[str, np.ndarray]:
    """Return a point beside a model's first, other in each number; whole numbers stay."""
    start = {name: np.asarray(value) for name, value in model.initial_point().items()}
    return {
        name: value + RNG.normal(size=value.shape) * 0.1 if value.dtype.kind == "f" else value
        for name, value in start.items()
    }


@pytest.mark.slow
@pytest.mark.parametrize("build", MODELS, ids=lambda build: build.__name__)
def test_density_gradient_and_quantities(build: Any) -> None:
    """Of the unconstrained values, as PyMC gives the graphs, without warnings about digits."""
    model = build()
    inputs, point = model.value_vars, point_of(model)
    outputs = [model.logp(), model.dlogp(), *model.replace_rvs_by_values(model.deterministics)]
    function = pytensor.function(inputs, outputs, mode="FAST_COMPILE", on_unused_input="ignore")
    arrays = [point[variable.name] for variable in inputs]
    exported = export_graph(inputs, outputs, strict=True)
    assert_same(run_model(exported, *arrays), function(*arrays), 1e-8, 1e-9)


COMPILED = [mixture, growth, switch_point, neighbours, volatility, broken_stick, named_axes]


@pytest.mark.slow
@pytest.mark.parametrize("build", COMPILED, ids=lambda build: build.__name__)
def test_what_samplers_call(build: Any) -> None:
    """The function that PyMC compiles for its samplers: all parameters in one vector."""
    if build is broken_stick and pm.__version__.startswith("5.") and not pytensor.config.cxx:
        pytest.skip("without C, PyTensor 2's fused ops take `not True`, -2 in Python, for true")
    model = build()
    point = point_of(model)
    function = model.logp_dlogp_function(ravel_inputs=True)
    function.set_extra_values(point)
    compiled = function._pytensor_function
    parts = [point[variable.name].ravel() for variable in model.continuous_value_vars]
    joined = np.concatenate(parts)
    assert_same(run_model(export(compiled), joined), compiled(joined), 1e-8, 1e-9)
