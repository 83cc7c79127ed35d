"""What a model of this package tells of itself, beside the options that it was made with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from onnx import ModelProto, ValueInfoProto, helper

from onnx_mapper.opsets import DEFAULT_OPSET
from onnx_mapper.options import KEY, Dims, Options

CONTENT_KEY = f"{KEY}content"
DEVIATES_KEY = f"{KEY}deviates"
NARROWED_KEY = f"{KEY}narrowed"
NOISE_KEY = f"{KEY}noise."


def type_told(port: ValueInfoProto) -> str:
    """Return the dtype and the sizes of an input or output, as `float32[batch, 3]`."""
    type_ = port.type.tensor_type
    sizes = ", ".join(dim.dim_param or str(dim.dim_value) for dim in type_.shape.dim)
    return f"{helper.tensor_dtype_to_np_dtype(type_.elem_type).name}[{sizes}]"


def told_by(model: ModelProto) -> dict[str, str]:
    """Return a model's metadata by its keys."""
    return {entry.key: entry.value for entry in model.metadata_props}


def noise_of(model: ModelProto) -> dict[str, str]:
    """Return the inputs that take random numbers, each with what it must be fed."""
    return {
        key.removeprefix(NOISE_KEY): text
        for key, text in told_by(model).items()
        if key.startswith(NOISE_KEY)
    }


def is_narrowed(model: ModelProto) -> bool:
    """Tell whether a model computes in fewer digits than its function."""
    told = told_by(model)
    return NARROWED_KEY in told or told.get(f"{KEY}dtype", "keep") != "keep"


def is_float32(model: ModelProto) -> bool:
    """Tell whether every float64 of its function is float32 in a model."""
    return told_by(model).get(f"{KEY}dtype") == "float32"


def options_of_model(
    model: ModelProto, inputs: set[str], mappings: Sequence[str | Path]
) -> Options:
    """Return the options that a model was made with.

    Args:
        model: The model.
        inputs: Those of its inputs that are the function's.
        mappings: The folders of further rows, which a model doesn't tell.
    """
    opset = next((entry.version for entry in model.opset_import if not entry.domain), DEFAULT_OPSET)
    dims: Dims = {
        port.name: [d.dim_value or d.dim_param for d in port.type.tensor_type.shape.dim]
        for port in model.graph.input
        if port.name in inputs
    }
    return Options.of_metadata(told_by(model), opset, dims, mappings)
