"""ONNX Runtime, opened the same way everywhere: one thread, silent, on the CPU."""

from __future__ import annotations

from typing import Any

from onnx import ModelProto, helper

from onnx_mapper.language.arrays import Array, read
from onnx_mapper.model.weights import Weights

SILENT = 4
FOLDER_OF_WEIGHTS = "session.model_external_initializers_file_folder_path"


def open_session(
    model: ModelProto | bytes,
    optimize: bool = True,
    weights: Weights | None = None,
    keeps_memory: bool = True,
) -> Any:
    """Return an `onnxruntime.InferenceSession` of a model.

    Args:
        model: The model, or its bytes.
        optimize: Whether ONNX Runtime may rewrite the graph.
        weights: Those that the model refers to.
        keeps_memory: Whether the session may keep what it took for one run, for the next.

    Raises:
        onnxruntime.capi.onnxruntime_pybind11_state.Fail: When ONNX Runtime can't load it.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = SILENT
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    if not keeps_memory:
        options.enable_cpu_mem_arena = False
        options.enable_mem_pattern = False
    if not optimize:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    if weights is not None and weights.arrays:
        names = list(weights.arrays)
        given = [_ort_value(read(weights.arrays[name])) for name in names]
        options.add_external_initializers(names, given)
    if weights is not None and weights.folder is not None:
        options.add_session_config_entry(FOLDER_OF_WEIGHTS, str(weights.folder))
    data = model if isinstance(model, bytes) else model.SerializeToString()
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def _ort_value(array: Array) -> Any:
    """Return an array for ONNX Runtime, also one of bfloat16, which is none of NumPy's dtypes."""
    from onnxruntime import OrtValue

    if array.dtype.kind != "V":
        return OrtValue.ortvalue_from_numpy(array)
    code = helper.np_dtype_to_tensor_dtype(array.dtype)
    return OrtValue.ortvalue_from_numpy_with_onnx_type(array.view("uint16"), code)
