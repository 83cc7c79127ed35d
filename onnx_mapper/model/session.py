"""ONNX Runtime, opened the same way everywhere: one thread, silent, on the CPU."""

from __future__ import annotations

from typing import Any

from onnx import ModelProto

SILENT = 4


def open_session(model: ModelProto | bytes, optimize: bool = True) -> Any:
    """Return an `onnxruntime.InferenceSession` of a model.

    Args:
        model: The model, or its bytes.
        optimize: Whether ONNX Runtime may rewrite the graph.

    Raises:
        onnxruntime.capi.onnxruntime_pybind11_state.Fail: When ONNX Runtime can't load it.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = SILENT
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    if not optimize:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    data = model if isinstance(model, bytes) else model.SerializeToString()
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
