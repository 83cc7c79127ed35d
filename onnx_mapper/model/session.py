"""ONNX Runtime, opened the same way everywhere: one thread, silent, on the CPU."""

from __future__ import annotations

from typing import Any

from onnx import ModelProto


def open_session(model: ModelProto) -> Any:
    """Return an `onnxruntime.InferenceSession` of a model.

    Raises:
        onnxruntime.capi.onnxruntime_pybind11_state.Fail: When ONNX Runtime can't load it.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
