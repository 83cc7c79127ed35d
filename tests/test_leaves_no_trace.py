"""Exporting, checking and verifying leave PyTensor, ONNX and the user's own things as they were."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx.defs
import pytensor
import pytensor.tensor as pt
import pytest
from helpers import RAW
from pytensor.compile.mode import optdb
from pytensor.graph.fg import FunctionGraph

from onnx_mapper import check, export, export_graph, verify

RNG = np.random.default_rng(20261126)


def of_process() -> dict[str, Any]:
    """Return what belongs to the process and no export may change."""
    return {
        "PyTensor's rewrites": {name: len(optdb.__db__[name]) for name in list(optdb.__db__)},
        "PyTensor's flags": str(pytensor.config),
        "ONNX's operators": len(onnx.defs.get_all_schemas_with_history()),
        "NumPy's random numbers": str(np.random.get_state()),
        "NumPy's errors": np.geterr(),
        "NumPy's printing": str(np.get_printoptions()),
        "warnings": list(warnings.filters),
        "environment": dict(os.environ),
        "folder": os.getcwd(),
    }


def training_step() -> tuple[Any, Any, Any]:
    """Return a function that changes its weights and draws random numbers, and what it holds."""
    weights = pytensor.shared(RNG.normal(size=3), name="w")
    generator = pytensor.shared(np.random.default_rng(5), name="rng")
    x = pt.dvector("x")
    after, noise = pt.random.normal(size=3, rng=generator).owner.outputs
    loss = ((weights - x) ** 2).sum()
    updates = [(weights, weights - 0.1 * pt.grad(loss, weights)), (generator, after)]
    function = pytensor.function([x], loss, updates=updates[:1])
    drawing = pytensor.function([x], x + noise, updates=updates[1:])
    return function, drawing, (weights, generator)


USES: dict[str, Callable[[Any], Any]] = {
    "export": export,
    "export and verify": lambda fn: export(fn, verify=True),
    "check": check,
    "verify twice": lambda fn: [verify(export(fn), fn) for _ in range(2)],
}


@pytest.mark.parametrize("use", USES.values(), ids=USES.keys())
def test_weights(use: Callable[[Any], Any]) -> None:
    function, _, (weights, _) = training_step()
    array = weights.get_value(borrow=True)
    numbers, before = array.copy(), of_process()
    use(function)
    assert of_process() == before
    assert weights.get_value(borrow=True) is array
    np.testing.assert_array_equal(array, numbers)
    x = np.array([1.0, -2.0, 0.5])
    assert function(x) == pytest.approx(((numbers - x) ** 2).sum())
    np.testing.assert_allclose(weights.get_value(), numbers - 0.2 * (numbers - x))


def test_random_states() -> None:
    _, drawing, (_, generator) = training_step()
    before = generator.get_value(borrow=True).bit_generator.state
    export(drawing, random="input")
    check(drawing)
    assert generator.get_value(borrow=True).bit_generator.state == before


def test_the_users_graph() -> None:
    x, y = pt.dmatrix("x"), pt.dvector("y")
    out = pt.log(pt.exp(x).sum(axis=1)) + y
    graph = FunctionGraph([x, y], [out], clone=False)
    compiled = pytensor.function([x, y], out, mode=RAW)

    def story() -> tuple[Any, ...]:
        return (
            [str(node) for node in graph.toposort()],
            [id(node) for node in graph.toposort()],
            {id(v): list(graph.clients[v]) for v in graph.variables},
            list(graph._features),
            [str(node) for node in compiled.maker.fgraph.toposort()],
            x.name, y.name, out.name, dict(out.tag.__dict__).keys(),
        )  # fmt: skip

    told = story()
    before = of_process()
    export(graph)
    export(compiled)
    export_graph([x, y], [out])
    check(graph)
    verify(export(graph), graph)
    assert story() == told
    assert of_process() == before


def test_defaults_of_inputs() -> None:
    x, rate = pt.dvector("x"), pt.dscalar("rate")
    try:
        function = pytensor.function([x, pytensor.In(rate, value=0.5)], x * rate, mode=RAW)
    except ValueError:
        pytest.skip("PyTensor 3.3 has no inputs with default values any more")
    verify(export(function), function)
    np.testing.assert_array_equal(function(np.array([2.0])), [1.0])
