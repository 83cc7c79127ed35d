"""Graphs of tensors with named axes leave as models of plain tensors."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytensor
import pytest
from helpers import assert_same, run_model

from onnx_mapper import Refused, export, export_graph

with warnings.catch_warnings():
    warnings.simplefilter("ignore", UserWarning)  # of PyTensor 2.36: they are experimental
    import pytensor.xtensor as px
    from pytensor.xtensor.type import xtensor

RNG = np.random.default_rng(4)


def graph() -> tuple[list[Any], list[Any]]:
    x = xtensor("x", dims=("time", "place"), shape=(None, 3))
    offset = xtensor("offset", dims=("place",), shape=(3,))
    weights = xtensor("weights", dims=("place", "kind"), shape=(3, 2))
    scaled = px.math.exp(x - x.mean("time")) + offset
    return [x, offset, weights], [scaled.dot(weights), scaled.sum("place"), scaled.max()]


def expected(x: np.ndarray, offset: np.ndarray, weights: np.ndarray) -> list[Any]:
    scaled = np.exp(x - x.mean(axis=0)) + offset
    return [scaled @ weights, scaled.sum(axis=1), scaled.max()]


@pytest.mark.parametrize("compiled", [True, False])
def test_models_take_and_give_plain_tensors(compiled: bool) -> None:
    inputs, outputs = graph()
    arrays = [RNG.normal(size=(4, 3)), RNG.normal(size=3), RNG.normal(size=(3, 2))]
    function = pytensor.function(inputs, outputs)
    model = export(function) if compiled else export_graph(inputs, outputs)
    assert [port.name for port in model.graph.input] == ["x", "offset", "weights"]
    assert_same(run_model(model, *arrays), expected(*arrays), 1e-12, 1e-12)


def test_what_is_not_lowered_is_refused_with_the_way_out() -> None:
    inputs, outputs = graph()
    with pytest.raises(Refused, match="give `export` a compiled function"):
        export(pytensor.graph.fg.FunctionGraph(inputs, outputs, clone=True))
