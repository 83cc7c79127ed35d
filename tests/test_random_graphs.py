"""Random small graphs out of mapped ops: what is exported computes what PyTensor computes.

ONNX_MAPPER_GRAPHS is the number of graphs of the slow test, ONNX_MAPPER_SEED chooses others.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import replace

import numpy as np
import onnxruntime
import pytensor
import pytest
import random_graphs
from hypothesis import HealthCheck, given, seed, settings
from pytensor.graph.basic import Apply
from pytensor.graph.fg import FunctionGraph
from pytensor.graph.op import Op
from pytensor.graph.traversal import ancestors
from pytensor.printing import debugprint
from random_graphs import RECIPES, Recipe, Step, build

from onnx_mapper import FallbackWarning, PrecisionWarning, export, export_graph
from onnx_mapper.conformance.cases.model import Tolerance
from onnx_mapper.conformance.run.compare import compare

GRAPHS = int(os.environ.get("ONNX_MAPPER_GRAPHS", "240"))
SEED = int(os.environ.get("ONNX_MAPPER_SEED", "20260101"))
SHARDS = 4
RAW = pytensor.compile.mode.Mode(linker="py", optimizer=None)
TOLERANCES = {
    "float64": Tolerance(rtol=1e-9, atol=1e-9, because="Several operations in a row."),
    "float32": Tolerance(rtol=2e-4, atol=2e-4, because="Several operations in a row."),
}


def settled(count: int) -> settings:
    return settings(
        max_examples=count,
        deadline=None,
        database=None,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
    )


def expected_of(inputs, outputs, arrays, mode=RAW):
    """Compute with PyTensor's own Python; None where it raises, such as for an empty maximum."""
    function = pytensor.function(inputs, outputs, mode=mode, on_unused_input="ignore")
    try:
        with np.errstate(all="ignore"):
            results = function(*arrays)
    except (ValueError, IndexError, AssertionError, OverflowError):
        return None
    return [np.asarray(result) for result in results]


def run(model, arrays):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [port.name for port in session.get_inputs()]
    return session.run(None, dict(zip(names, arrays, strict=True)))


def computed(recipe: Recipe):
    """Build a graph and compute with it; without the steps at which PyTensor raises."""
    found = _computed(recipe)
    if found is not None:
        return found
    kept: tuple[Step, ...] = ()
    for step in recipe.steps:
        longer = _computed(replace(recipe, steps=(*kept, step)))
        if longer is not None:
            found, kept = longer, (*kept, step)
    return found


def _computed(recipe: Recipe):
    inputs, outputs, feeds = build(recipe)
    runs = [(arrays, expected_of(inputs, outputs, arrays)) for arrays in feeds if outputs]
    runs = [(arrays, expected) for arrays, expected in runs if expected is not None]
    return (inputs, outputs, runs) if runs else None


def check(recipe: Recipe) -> bool:
    """Compare a graph's models with PyTensor; return whether PyTensor has such a graph."""
    found = computed(recipe)
    if found is None:
        return False
    inputs, outputs, runs = found
    names = [f"y{position}" for position in range(len(outputs))]
    for way in ("rewritten", "raw"):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            if way == "raw":
                model = export(FunctionGraph(inputs, outputs, clone=True), output_names=names)
            else:
                model = export_graph(inputs, outputs, output_names=names)
        narrowed = any(issubclass(w.category, PrecisionWarning) for w in caught)
        single = narrowed or any(v.dtype == "float32" for v in ancestors(outputs))
        tolerance = TOLERANCES["float32" if single else "float64"]
        graph = debugprint(outputs, file="str", print_type=True)
        for arrays, expected in runs:
            results = run(model, arrays)
            problem = first_problem(results, expected, tolerance, narrowed)
            if problem and way == "rewritten":
                # x - (n + x) is -n also for unsigned n, once PyTensor has rewritten it, and its
                # own Python raises at that: the function that users compile decides.
                expected = expected_of(inputs, outputs, arrays, mode=None)
                problem = expected and first_problem(results, expected, tolerance, narrowed)
            assert not problem, f"{way}, {problem}\n{graph}\n{arrays}"
    return True


def first_problem(results, expected, tolerance, narrowed):
    """Return which output differs first, and how, or nothing."""
    for position, (found, wanted) in enumerate(zip(results, expected, strict=True)):
        problem = compare(np.asarray(found), wanted, tolerance, narrowed).problem
        if problem:
            return f"output {position}: {problem}"
    return ""


def assert_most_were_compared(compared: list[bool]) -> None:
    """Graphs that PyTensor refuses show nothing: too many of them, and the test is empty.

    What is left are graphs of which no step takes any of the inputs, or all raise in PyTensor.
    """
    assert len(compared) >= 20
    assert sum(compared) >= 0.9 * len(compared)


def test_random_graphs():
    compared = []

    @seed(SEED)
    @settled(60)
    @given(RECIPES)
    def some(recipe):
        compared.append(check(recipe))

    some()
    assert_most_were_compared(compared)


@pytest.mark.slow
@pytest.mark.parametrize("shard", range(SHARDS))
def test_many_random_graphs(shard):
    compared = []

    @seed(SEED + 1 + shard)
    @settled(GRAPHS // SHARDS)
    @given(RECIPES)
    def many(recipe):
        compared.append(check(recipe))

    many()
    assert_most_were_compared(compared)


class Opaque(Op):
    """Gives what it gets; no row maps it."""

    __props__ = ()

    def make_node(self, x):
        return Apply(self, [x], [x.type()])

    def perform(self, node, inputs, output_storage):
        output_storage[0][0] = np.array(inputs[0])


@pytest.mark.slow
def test_random_graphs_of_which_parts_run_in_pytensor(monkeypatch):
    """Ops without a row stand anywhere in them; the mode `ONNX` runs the others in models."""
    made, opaque, random = random_graphs._made, Opaque(), np.random.default_rng(SEED)
    compared, parted = [], []

    def sometimes_opaque(step, tensors):
        tensor = made(step, tensors)
        if tensor is None or random.random() > 0.3:
            return tensor
        return replace(tensor, variable=opaque(tensor.variable))

    def agrees(recipe):
        found = computed(recipe)
        if found is None:
            return False
        inputs, outputs, runs = found
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            function = pytensor.function(inputs, outputs, mode="ONNX", on_unused_input="ignore")
        parted.append(any(issubclass(w.category, FallbackWarning) for w in caught))
        for arrays, expected in runs:
            results = function(*arrays)
            if first_problem(results, expected, TOLERANCES["float32"], False):
                expected = expected_of(inputs, outputs, arrays, mode=None)  # see `check`
                assert not first_problem(results, expected, TOLERANCES["float32"], False)
        return True

    monkeypatch.setattr(random_graphs, "_made", sometimes_opaque)

    @seed(SEED)
    @settled(60)
    @given(RECIPES)
    def some(recipe):
        compared.append(agrees(recipe))

    some()
    assert_most_were_compared(compared)
    assert sum(parted) > len(parted) / 3
