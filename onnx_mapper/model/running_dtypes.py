"""Which dtype a node computes in, given the kernels that there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from onnx.defs import OpSchema

from onnx_mapper.language.values import StaticError
from onnx_mapper.model.kernels import KernelTable
from onnx_mapper.model.operators import allowed_dtypes

EXACTLY_WIDER = {
    "bool": ("uint8", "int32", "int64"),
    "int8": ("int16", "int32", "int64"),
    "int16": ("int32", "int64"),
    "int32": ("int64",),
    "uint8": ("uint16", "int32", "int64"),
    "uint16": ("int32", "int64"),
    "uint32": ("int64",),
    "float16": ("float32", "float64"),
    "float32": ("float64",),
}
NARROWER = {"float64": ("float32",)}


def running_dtype(
    schema: OpSchema, variable: str, dtype: str, kernels: KernelTable, opset: int
) -> str:
    """Return the dtype in which a node computes what it is given in another one.

    That itself where there is a kernel for it; else the nearest wider one, which holds its numbers
    exactly; else a narrower one, which has fewer digits.

    Args:
        schema: The operator's.
        variable: One of its type variables.
        dtype: The dtype of what the node is given.
        kernels: The runtime's.
        opset: The model's, for the message.

    Raises:
        StaticError: When there is none of them.

    Example:
        >>> from onnx_mapper.model.kernels import kernel_table
        >>> from onnx_mapper.model.operators import schema_of
        >>> running_dtype(schema_of("Conv", 18), "T", "float16", kernel_table(), 18)
        'float32'
    """
    allowed = allowed_dtypes(schema, variable)
    candidate: str
    if schema.name in kernels.excluded:
        return dtype  # `check_given` refuses it
    for candidate in (dtype, *EXACTLY_WIDER.get(dtype, ()), *NARROWER.get(dtype, ())):
        if candidate in allowed and kernels.runs(
            schema.name, schema.since_version, {variable: candidate}
        ):
            return candidate
    raise StaticError(
        f"{kernels.name}'s {schema.name} does not compute in {dtype} at opset {opset}, "
        "nor in a dtype that holds it"
    )


def asked_dtypes(
    schema: OpSchema,
    given: Sequence[str],
    variables: Mapping[str, str],
    chosen: Mapping[str, str],
) -> list[str]:
    """Return the dtypes that a node's outputs are asked for in.

    Args:
        schema: The operator's.
        given: Those in which the node gives them.
        variables: The dtype of what the node is given, by the operator's type variables.
        chosen: The dtypes in which it computes.

    Example:
        >>> from onnx_mapper.model.operators import schema_of
        >>> asked_dtypes(schema_of("Conv", 18), ["float32"], {"T": "float16"}, {"T": "float32"})
        ['float16']
    """
    asked = []
    for position, dtype in enumerate(given):
        variable = schema.outputs[min(position, len(schema.outputs) - 1)].type_str
        changed = variable in variables and chosen[variable] == dtype
        asked.append(variables[variable] if changed else dtype)
    return asked


def check_given(
    schema: OpSchema,
    given: Sequence[str],
    chosen: Mapping[str, str],
    kernels: KernelTable,
    opset: int,
) -> None:
    """Check that a model may have a node, and that there is a kernel for what an attribute alone decides.

    Args:
        schema: The operator's.
        given: The dtypes of its outputs.
        chosen: The dtypes in which it takes its inputs, by the operator's type variables.
        kernels: The runtime's.
        opset: The model's, for the message.

    Raises:
        StaticError: When it may not, or there is none.
    """
    if schema.name in kernels.excluded:
        raise StaticError(f"it takes the operator {schema.name}, which the model is to be without")
    variables = {constraint.type_param_str for constraint in schema.type_constraints}
    for dtype, output in zip(given, schema.outputs, strict=False):
        if output.type_str in chosen or output.type_str not in variables:
            continue
        bindings = {**chosen, output.type_str: dtype}
        if not kernels.runs(schema.name, schema.since_version, bindings):
            raise StaticError(
                f"{kernels.name}'s {schema.name} gives no {dtype} at opset {opset}: let it give another "
                "dtype, and cast that"
            )


def is_narrower(dtype: str, than: str) -> bool:
    """Tell whether a dtype has fewer digits than another one that it stands in for."""
    return dtype in NARROWER.get(than, ())
