"""What models of a row whose body is one node must be made of."""

from __future__ import annotations

import ast

from onnx_mapper.model.builder import CAST
from onnx_mapper.rows.model import Rewrite, Row


def only_operator(row: Row) -> str | None:
    """Return the operator of a row that is one node of its inputs as they are, or None.

    Casts are not told: dtypes that ONNX Runtime lacks put some beside every operator.

    Example:
        `onnx: Log(x)` gives `Log`; `onnx: Log(Abs(x))` and `onnx: log_of(x)` give None.
    """
    if len(row.body) != 1 or row.finish or row.rewrite or row.outputs:
        return None
    if any(isinstance(attribute.verb, Rewrite) for attribute in row.attributes):
        return None
    call = row.body[0].formula.tree
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        return None
    fed = [argument.id for argument in call.args if isinstance(argument, ast.Name)]
    whole = len(fed) == len(call.args) and set(fed) <= set(row.input_names())
    operator = call.func.id
    return operator if whole and operator[0].isupper() and operator != CAST else None
