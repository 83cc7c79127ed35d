"""What flows into a node, against what its operator takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from onnx.defs import OpSchema

from onnx_mapper.language.tensors import Value
from onnx_mapper.language.values import StaticError, describe
from onnx_mapper.model.operators import allowed_dtypes, formal, type_variables


def bind_inputs(
    op_type: str, schema: OpSchema, inputs: Sequence[Any], literal: Callable[[Any, str], Value]
) -> list[tuple[str, Value | None]]:
    """Pair each input with its type variable, turning numbers into constants.

    Inputs that may be of any dtypes, each of its own, have an empty type variable.

    Args:
        op_type: The operator.
        schema: Its schema.
        inputs: Tensors, numbers and vectors; None where an input is left out.
        literal: Makes a constant of a number, in a dtype.

    Raises:
        StaticError: When there are too few or too many, dtypes differ that must be one, or the
            dtype of a number is open.
    """
    if not schema.min_input <= len(inputs) <= schema.max_input:
        raise StaticError(
            f"{op_type} takes {schema.min_input} to {schema.max_input} inputs, not {len(inputs)}"
        )
    formals = [formal(schema, position) for position in range(len(inputs))]
    dtypes: dict[str, str] = {}
    for (variable, homogeneous), item in zip(formals, inputs, strict=True):
        if isinstance(item, Value) and homogeneous:
            before = dtypes.setdefault(variable, item.dtype)
            if before != item.dtype and variable in type_variables(schema):
                raise StaticError(
                    f"{op_type} takes inputs of one dtype, not {before} and {item.dtype}: "
                    "use Cast, or the row's `promote`"
                )
    bound: list[tuple[str, Value | None]] = []
    for (variable, homogeneous), item in zip(formals, inputs, strict=True):
        if item is None or isinstance(item, Value):
            bound.append((variable if homogeneous else "", item))
            continue
        allowed = allowed_dtypes(schema, variable)
        dtype = dtypes.get(variable) or (next(iter(allowed)) if len(allowed) == 1 else None)
        if dtype is None and allowed == {"int32", "int64"}:
            dtype = "int64"
        if dtype is None and isinstance(item, bool):
            dtype = "bool"
        if dtype is None:
            raise StaticError(
                f"{op_type}: the dtype of {describe(item)} is open; "
                "say it with constant(number, dtype)"
            )
        bound.append((variable, literal(item, dtype)))
    return bound
