"""What tests share: run a model in ONNX Runtime, and hold it against PyTensor."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import onnxruntime
import pytensor
import pytest
from onnx import ModelProto
from pytensor.compile import SharedVariable
from pytensor.graph.fg import FunctionGraph
from pytensor.graph.traversal import graph_inputs

from onnx_mapper import export, export_graph
from onnx_mapper.model.metadata import noise_of

RAW = pytensor.compile.mode.Mode(linker="py", optimizer=None)


def forget_modules(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Have modules imported anew in this test, and forgotten after it."""
    for name in names:
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
        del sys.modules[name]


def random_noise(
    model: ModelProto, rng: np.random.Generator, lengths: Mapping[str, int] | None = None
) -> dict[str, np.ndarray]:
    """Return numbers for all inputs of a model that ask for some, of their distributions.

    Open sizes have these lengths.
    """
    found = {}
    for port in model.graph.input:
        if port.name not in noise_of(model):
            continue
        dims = port.type.tensor_type.shape.dim
        sizes = [(lengths or {}).get(dim.dim_param, dim.dim_value) for dim in dims]
        told = port.doc_string.partition(",")[0]
        assert told in ("standard normal", "uniform between 0 and 1")
        uniform = told.startswith("uniform")
        found[port.name] = np.asarray(rng.random(sizes) if uniform else rng.standard_normal(sizes))
    return found


def run_model(model: ModelProto, *arrays: Any) -> list[np.ndarray]:
    """Run a model on arrays in the order of its inputs."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [port.name for port in model.graph.input]
    feed = {name: np.asarray(array) for name, array in zip(names, arrays, strict=False)}
    return [np.asarray(a) for a in session.run(None, feed)]


def assert_same(
    found: Sequence[Any], expected: Sequence[Any], rtol: float = 1e-4, atol: float = 1e-5
) -> None:
    """Assert equal dtypes and shapes, and close values (NaN equals NaN)."""
    assert len(found) == len(expected)
    for position, (ours, theirs) in enumerate(zip(found, expected, strict=True)):
        theirs = np.asarray(theirs)
        assert ours.dtype == theirs.dtype, f"output {position}: {ours.dtype}, not {theirs.dtype}"
        assert ours.shape == theirs.shape, f"output {position}: {ours.shape}, not {theirs.shape}"
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol, err_msg=f"output {position}")


def exported_like_pytensor(
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    arrays: Sequence[Any],
    rtol: float = 1e-4,
    atol: float = 1e-5,
    **options: Any,
) -> ModelProto:
    """Export a graph raw and cleaned, hold both against PyTensor, and return the raw model."""
    function = pytensor.function(list(inputs), list(outputs), mode=RAW, on_unused_input="ignore")
    expected = function(*arrays)
    raw = export(function, **options)
    assert_same(run_model(raw, *arrays), expected, rtol, atol)
    clean = export_graph(list(inputs), list(outputs), **options)
    assert_same(run_model(clean, *arrays), expected, rtol, atol)
    graph = FunctionGraph([*inputs, *_shared_variables(outputs)], list(outputs), clone=True)
    assert_same(run_model(export(graph, **options), *arrays), expected, rtol, atol)
    return raw


def _shared_variables(outputs: Sequence[Any]) -> list[Any]:
    return [v for v in graph_inputs(outputs) if isinstance(v, SharedVariable)]


def scan(*arguments: Any, **options: Any) -> Any:
    """Return what a scan gives, without its updates."""
    return pytensor.scan(*arguments, return_updates=False, **options)


def operators(model: ModelProto) -> list[str]:
    """Return the operators of a model, in order."""
    return [node.op_type for node in model.graph.node]
