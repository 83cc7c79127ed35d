"""What a model of this package tells of itself, beside the options that it was made with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from onnx import ModelProto, ValueInfoProto, helper

from onnx_mapper.model.operators import is_deterministic, schema_of
from onnx_mapper.model.prune import nodes_of, subgraphs
from onnx_mapper.opsets import DEFAULT_OPSET
from onnx_mapper.options import KEY, Dims, Options

CONTENT_KEY = f"{KEY}content"
DEVIATES_KEY = f"{KEY}deviates"
NARROWED_KEY = f"{KEY}narrowed"
NOISE_KEY = f"{KEY}noise."
WIDER_KEY = f"{KEY}wider"
WIDER_WEIGHTS_KEY = f"{KEY}wider_weights"


def type_told(port: ValueInfoProto) -> str:
    """Return the dtype and the sizes of an input or output, as `float32[batch, 3]`."""
    type_ = port.type.tensor_type
    sizes = ", ".join(dim.dim_param or str(dim.dim_value) for dim in type_.shape.dim)
    return f"{helper.tensor_dtype_to_np_dtype(type_.elem_type).name}[{sizes}]"


def told_by(model: ModelProto) -> dict[str, str]:
    """Return a model's metadata by its keys."""
    return {entry.key: entry.value for entry in model.metadata_props}


def opset_of(model: ModelProto) -> int:
    """Return the opset of ONNX's own operators in a model."""
    return next((entry.version for entry in model.opset_import if not entry.domain), DEFAULT_OPSET)


def noise_of(model: ModelProto) -> dict[str, str]:
    """Return the inputs that take random numbers, each with what it must be fed."""
    return {
        key.removeprefix(NOISE_KEY): text
        for key, text in told_by(model).items()
        if key.startswith(NOISE_KEY)
    }


def told_of_draws(model: ModelProto) -> str:
    """Say where a model that draws gets its random numbers; empty for one that doesn't."""
    noises = noise_of(model)
    if noises:
        return f"the model takes its random numbers as inputs ({', '.join(noises)})"
    opset = opset_of(model)
    drawing = {
        node.op_type
        for node in nodes_of(model.graph)
        if not node.domain
        and not any(subgraphs(node))  # the nodes in them tell
        and not is_deterministic(schema_of(node.op_type, opset))
    }
    return (
        f"the model draws random numbers itself ({', '.join(sorted(drawing))})" if drawing else ""
    )


def dtype_of(model: ModelProto) -> str:
    """Return the dtype that a model was asked to have in place of wider ones, or "keep"."""
    return told_by(model).get(f"{KEY}dtype", "keep")


def wider_operators(model: ModelProto) -> list[str]:
    """Return the operators that compute in float32 in a model of float16 or bfloat16."""
    told = told_by(model).get(WIDER_KEY, "")
    return told.split(", ") if told else []


def narrowed_to(model: ModelProto) -> str:
    """Return the dtype that a model computes in, or holds, with fewer digits than its function; or ""."""
    dtype = dtype_of(model)
    if dtype != "keep":
        return dtype
    return "float32" if NARROWED_KEY in told_by(model) else ""


def options_of_model(
    model: ModelProto, inputs: set[str], mappings: Sequence[str | Path]
) -> Options:
    """Return the options that a model was made with.

    Args:
        model: The model.
        inputs: Those of its inputs that are the function's.
        mappings: The folders of further rows, which a model doesn't tell.
    """
    dims: Dims = {
        port.name: [d.dim_value or d.dim_param for d in port.type.tensor_type.shape.dim]
        for port in model.graph.input
        if port.name in inputs
    }
    return Options.of_metadata(told_by(model), opset_of(model), dims, mappings)
