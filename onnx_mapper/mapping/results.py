"""What a row gives, held against what PyTensor says that its op gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onnx_mapper.errors import RefusedHere, RowError
from onnx_mapper.language.nodes import Nodes
from onnx_mapper.language.scope import Scope
from onnx_mapper.language.tensors import TensorType, Value
from onnx_mapper.language.values import StaticError
from onnx_mapper.mapping.site import Site
from onnx_mapper.rows.model import Row


def finished(
    row: Row, scope: Scope, site: Site, results: Sequence[Any], nodes: Nodes
) -> tuple[Any, ...]:
    """Return the results as tensors, finished as the row says, with what PyTensor knows of them.

    Raises:
        RowError: When they are not as many, of other dtypes or of other shapes than PyTensor's.
        RefusedHere: When one would have fewer than 0 elements along an axis.
    """
    if len(results) != len(site.outputs):
        raise RowError(
            row.place, f"gives {len(results)} results where {site.op} has {len(site.outputs)}"
        )
    done = []
    for result, type_ in zip(results, site.outputs, strict=True):
        if not type_.dtype:
            done.append(result)
            continue
        value = _as_tensor(row, result, type_, nodes)
        if row.finish is not None:
            scope.names.update(result=value, out=type_)
            value = row.finish.evaluate(scope)
        done.append(_agreeing(row, value, type_, nodes))
    return tuple(done)


def _as_tensor(row: Row, result: Any, type_: TensorType, nodes: Nodes) -> Value:
    if isinstance(result, Value):
        return result
    try:
        return nodes.literal(result, type_.dtype)
    except StaticError as error:
        raise RowError(row.result_place, f"the result is no tensor: {error}") from None


def _agreeing(row: Row, value: Value, type_: TensorType, nodes: Nodes) -> Value:
    """Check a result against what PyTensor says of it, and add what PyTensor knows."""
    if value.dtype != type_.dtype:
        raise RowError(
            row.result_place,
            f"gives {value.dtype} where PyTensor's {row.name} gives {type_.dtype}: add a Cast",
        )
    if type_.shape is None:
        return value
    if value.shape is not None and len(value.shape) != len(type_.shape):
        raise RowError(
            row.result_place,
            f"gives {len(value.shape)} axes where PyTensor's {row.name} gives {len(type_.shape)}",
        )
    for axis, (ours, theirs) in enumerate(zip(value.shape or (), type_.shape, strict=False)):
        if ours is not None and theirs is not None and ours != theirs:
            raise RowError(
                row.result_place,
                f"gives size {ours} along axis {axis} where PyTensor's {row.name} gives {theirs}",
            )
    agreeing = nodes.with_shape(value, type_.shape)
    if any(size is not None and size < 0 for size in agreeing.shape or ()):
        raise RefusedHere(
            f"its result would have the shape {list(agreeing.shape or ())}, and no axis has "
            "fewer than 0 elements: PyTensor fails there too"
        )
    return agreeing
