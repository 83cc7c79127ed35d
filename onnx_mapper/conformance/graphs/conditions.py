"""Which numbers a deviation is about: the graph language over NumPy arrays."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from onnx_mapper.conformance.graphs.language import GraphEvaluator, GraphFormula
from onnx_mapper.language.arrays import Array
from onnx_mapper.language.vocabulary import CONSTANTS

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "isnan": lambda x: (
        np.isnan(x) if np.asarray(x).dtype.kind == "f" else np.zeros(np.shape(x), bool)
    ),
    "isinf": lambda x: (
        np.isinf(x) if np.asarray(x).dtype.kind == "f" else np.zeros(np.shape(x), bool)
    ),
    "isfinite": np.isfinite,
    "signbit": lambda x: np.signbit(x) if np.asarray(x).dtype.kind == "f" else np.asarray(x) < 0,
    "abs": np.abs,
    "floor": np.floor,
    "size": np.size,
    "any": np.any,
    "all": np.all,
}


def holds_for(condition: GraphFormula, names: Mapping[str, Any]) -> Array:
    """Evaluate a condition over the inputs' arrays.

    Args:
        condition: The condition.
        names: The arrays by input name, and static values.

    Returns:
        Booleans, of a shape that broadcasts to that of the result.

    Raises:
        RowError: When it is no condition on these arrays.
    """
    with np.errstate(all="ignore"):
        evaluator = _Arrays(condition.place, {**CONSTANTS, **FUNCTIONS, **names})
        return np.asarray(evaluator.visit(condition.tree), bool)


class _Arrays(GraphEvaluator):
    """Evaluates a checked tree over arrays; only the functions above can be called."""

    def _call(self, node: ast.Call) -> Any:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name not in FUNCTIONS or node.keywords:
            listed = ", ".join(FUNCTIONS)
            raise self.refuse(node, f"only these can be called here: {listed}")
        return FUNCTIONS[name](*self._items(node.args))

    def _attribute(self, node: ast.Attribute) -> Any:
        raise self.refuse(node, "arrays have no attributes here")
