"""ONNX's operators, as onnx.defs describes them: what they take, and in which dtypes."""

from __future__ import annotations

import math
import re
from functools import cache
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, GraphProto, NodeProto, helper
from onnx.defs import OpSchema
from onnx.numpy_helper import from_array

from onnx_mapper.language.tensors import Value
from onnx_mapper.language.values import DTYPES, StaticError, Unknown, Vector, as_static, describe
from onnx_mapper.opsets import OPSETS

NEVER_NEGATIVE = frozenset({"batch_dims"})
"""Attributes that shape inference trusts not to be negative."""

NAN_ATTRIBUTES = frozenset({"value_float", "value_floats"})
"""Attributes that are numbers of a tensor."""


@cache
def schema_of(op_type: str, opset: int) -> OpSchema:
    """Return an ONNX operator's schema at an opset.

    Raises:
        StaticError: When the operator does not exist there.
    """
    try:
        return onnx.defs.get_schema(op_type, opset, "")
    except onnx.defs.SchemaError:
        raise StaticError(f"{op_type} is no ONNX operator at opset {opset}") from None


def formal(schema: OpSchema, position: int) -> tuple[str, bool]:
    """Return the type variable of an input, and whether its repetitions share one dtype."""
    parameter = schema.inputs[min(position, len(schema.inputs) - 1)]
    return parameter.type_str, parameter.is_homogeneous


@cache
def _variables_by_version(name: str, since: int) -> dict[str, frozenset[str]]:
    schema = onnx.defs.get_schema(name, since, "")
    return {
        constraint.type_param_str: frozenset(
            filter(None, map(_numpy_name, constraint.allowed_type_strs))
        )
        for constraint in schema.type_constraints
    }


def type_variables(schema: OpSchema) -> dict[str, frozenset[str]]:
    """Return an operator's type variables, each with the dtypes that ONNX allows it."""
    return _variables_by_version(schema.name, schema.since_version)


def allowed_dtypes(schema: OpSchema, variable: str) -> frozenset[str]:
    """Return the dtypes that ONNX allows a type variable, or a fixed type like tensor(int64)."""
    variables = type_variables(schema)
    if variable in variables:
        return variables[variable]
    name = _numpy_name(variable)
    return frozenset({name} if name else ())


_ONNX_NAMES = {"float": "float32", "double": "float64"}


def _numpy_name(type_string: str) -> str | None:
    match = re.fullmatch(r"tensor\((\w+)\)", type_string)
    if not match:
        return None
    name = _ONNX_NAMES.get(match.group(1), match.group(1))
    return name if name in DTYPES else None


def attribute_value(op_type: str, schema: OpSchema, name: str, item: Any) -> Any:
    """Check a static value against the attribute's type and return it as ONNX wants it."""
    if name not in schema.attributes:
        raise StaticError(
            f"{op_type} has no attribute {name!r}; it has: {', '.join(sorted(schema.attributes))}"
        )
    refuse_unknown(item)
    kind = attribute_kind(schema, name)
    _refuse_deadly(op_type, name, item)
    if kind == "INT":
        if isinstance(item, str) and item in DTYPES:
            return int(helper.np_dtype_to_tensor_dtype(np.dtype(item)))
        if isinstance(item, bool | int):
            return int(item)
    elif kind == "FLOAT" and isinstance(item, bool | int | float):
        return float(item)
    elif kind == "STRING" and isinstance(item, str):
        return item
    elif kind == "INTS" and isinstance(item, Vector) and all(isinstance(i, int) for i in item):
        return [int(i) for i in item]
    elif kind == "FLOATS" and isinstance(item, Vector):
        return [float(i) for i in item]
    elif kind == "STRINGS" and isinstance(item, Vector):
        return list(item)
    elif kind == "TENSOR" and isinstance(item, Value) and item.known is not None:
        return from_array(item.known)
    elif kind == "GRAPH" and isinstance(item, GraphProto):
        return item
    raise StaticError(f"{op_type}'s attribute {name!r} is of type {kind}, not {describe(item)}")


def is_deterministic(schema: OpSchema) -> bool:
    """Tell whether an operator gives the same for the same, so that it may be computed at export."""
    determinism = schema.node_determinism  # type: ignore[attr-defined]
    return bool(determinism != OpSchema.NodeDeterminism.NonDeterministic)


def _refuse_deadly(op_type: str, name: str, item: Any) -> None:
    """Refuse values over which ONNX's shape inference or ONNX Runtime may end the process."""
    for number in item if isinstance(item, Vector) else [item]:
        if isinstance(number, int) and not -(2**31) <= number < 2**31:
            raise StaticError(f"{op_type}'s {name} is {number}, which does not fit 32 bits")
        if isinstance(number, float) and math.isnan(number) and name not in NAN_ATTRIBUTES:
            raise StaticError(f"{op_type}'s {name} can't be nan")
        if isinstance(number, int) and number < 0 and name in NEVER_NEGATIVE:
            raise StaticError(f"{op_type}'s {name} is {number}; it must be 0 or more")


def given_attributes(node: NodeProto) -> dict[str, Any]:
    """Return a node's attributes as formulas see them: texts, numbers and vectors; graphs as they are."""
    return {entry.name: _as_seen(entry) for entry in node.attribute}


@cache
def default_attributes(op_type: str, opset: int) -> dict[str, Any]:
    """Return the values that an operator's attributes have by default, as formulas see them."""
    defaults = {
        name: attribute.default_value
        for name, attribute in schema_of(op_type, opset).attributes.items()
    }
    return {name: _as_seen(entry) for name, entry in defaults.items() if entry.name}


def _as_seen(entry: AttributeProto) -> Any:
    value = helper.get_attribute_value(entry)
    return value.decode() if isinstance(value, bytes) else as_static(value)


def attribute_kind(schema: OpSchema, name: str) -> str:
    """Return the type of an operator's attribute: INT, FLOATS, STRING and so on."""
    kind: Any = schema.attributes[name].type
    return str(kind.name)


def refuse_unknown(item: Any) -> None:
    """Raise StaticError where a number is not known at export, or is a tensor."""
    if isinstance(item, Unknown):
        raise StaticError(f"{item} is not known at export")
    if isinstance(item, Vector):
        for part in item:
            refuse_unknown(part)
        if any(isinstance(part, Value) for part in item):
            raise StaticError("a vector of tensors is no tensor: use Concat")


def plain(number: Any) -> Any:
    """Return vectors as plain lists, for NumPy."""
    return [plain(part) for part in number] if isinstance(number, Vector) else number


@cache
def dtype_of_code(code: int) -> str:
    """Return NumPy's name of an ONNX dtype code.

    Raises:
        StaticError: When there is no such code.
    """
    try:
        return str(helper.tensor_dtype_to_np_dtype(code).name)
    except KeyError:
        raise StaticError(f"{code} is no dtype of ONNX") from None


@cache
def attributes_of(op_type: str) -> frozenset[str]:
    """Return every attribute that an operator has at some supported opset."""
    schemas = [schema_of(op_type, opset) for opset in opsets_of(op_type)]
    return frozenset(name for schema in schemas for name in schema.attributes)


@cache
def required_attributes(op_type: str) -> frozenset[str]:
    """Return the attributes without which an operator is no node, at any supported opset."""
    schemas = [schema_of(op_type, opset) for opset in opsets_of(op_type)]
    required = [{n for n, a in schema.attributes.items() if a.required} for schema in schemas]
    return frozenset(set.intersection(*required)) if required else frozenset()


@cache
def opsets_of(op_type: str) -> tuple[int, ...]:
    """Return the supported opsets that have an operator; none for a name that ONNX lacks."""
    found = []
    for opset in OPSETS:
        try:
            deprecated = schema_of(op_type, opset).deprecated
        except StaticError:
            continue
        if not deprecated:
            found.append(opset)
    return tuple(found)


@cache
def all_operators() -> tuple[str, ...]:
    """Return the names of the operators of ONNX's own domain at the supported opsets."""
    names = {
        schema.name for schema in onnx.defs.get_all_schemas_with_history() if not schema.domain
    }
    return tuple(sorted(name for name in names if opsets_of(name)))
