"""Where a model and its function part: the first Apply node whose value differs."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, helper

from onnx_mapper.capture import Captured
from onnx_mapper.compare import Difference, compare_arrays, tolerance_of
from onnx_mapper.errors import MapperError, PrecisionWarning
from onnx_mapper.explain import explain
from onnx_mapper.export import trace
from onnx_mapper.runtime import open_session
from onnx_mapper.value import Array


@dataclass(frozen=True)
class FirstDifference:
    """The first Apply node, in order of computation, whose value differs.

    Attributes:
        op: The PyTensor Op, as PyTensor prints it.
        row: The row that made the node, `conv.yaml:2`.
        node: The ONNX node that gives the value.
        difference: Its worst element.
    """

    op: str
    row: str
    node: str
    difference: Difference

    def __str__(self) -> str:
        d = self.difference
        return (
            f"The numbers part at {self.op} (row {self.row or 'unknown'}, node {self.node!r}): "
            f"{d.problem}; at {d.where} {d.found}, PyTensor has {d.expected}."
        )


def first_difference(
    model: ModelProto,
    captured: Captured,
    feed: Mapping[str, Array],
    arrays: Sequence[Array],
    mappings: Sequence[str | Path],
    rtol: float | None,
    atol: float | None,
    narrowed: bool,
) -> FirstDifference | None:
    """Compare the graph's intermediate values one by one, in order of computation.

    Returns:
        The first that differs, or None where the model's tensors can't be told apart: it was
        changed since the export, or made with rows that `mappings` doesn't name.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PrecisionWarning)
            names = trace(captured, model, mappings)
    except MapperError:
        return None
    produced = {output for node in model.graph.node for output in node.output}
    wanted = list(dict.fromkeys(name for name in names.values() if name in produced))
    results = _run_with(model, wanted, feed)
    rows = {node.name: node.row for node in explain(model)}
    for node, outputs in _evaluate(captured, arrays):
        for variable, expected in zip(node.outputs, outputs, strict=True):
            name = names.get(variable)
            if name not in results or not isinstance(expected, np.ndarray | np.generic):
                continue
            found, exact = results[name], np.asarray(expected)
            if found.dtype != exact.dtype and found.dtype.kind == exact.dtype.kind == "f":
                exact = exact.astype(found.dtype)
            limits = tolerance_of(found, rtol, atol, narrowed)
            difference = compare_arrays(name, found, exact, *limits)
            if not difference.ok:
                return FirstDifference(str(node.op), rows.get(name, ""), name, difference)
    return None


def _run_with(
    model: ModelProto, names: Sequence[str], feed: Mapping[str, Array]
) -> dict[str, Array]:
    """Run a model with further tensors as outputs."""
    extended = ModelProto()
    extended.CopyFrom(model)
    present = {port.name for port in model.graph.output}
    extended.graph.output.extend(
        helper.make_empty_tensor_value_info(name) for name in names if name not in present
    )
    session = open_session(extended)
    ports = [port.name for port in session.get_outputs()]
    return dict(zip(ports, session.run(None, dict(feed)), strict=True))


def _evaluate(captured: Captured, arrays: Sequence[Array]) -> Iterator[tuple[Any, list[Any]]]:
    """Yield every Apply node with what PyTensor's own `perform` gives for it."""
    values: dict[Any, Any] = {
        input_.variable: array for input_, array in zip(captured.inputs, arrays, strict=True)
    }
    for parameter in captured.parameters:
        values[parameter.variable] = parameter.value
    for node in captured.applies():
        inputs = [
            values[variable] if variable in values else getattr(variable, "data", None)
            for variable in node.inputs
        ]
        storage: list[list[Any]] = [[None] for _ in node.outputs]
        try:
            node.op.perform(node, [copy.deepcopy(value) for value in inputs], storage)
        except Exception:
            return
        results = [cell[0] for cell in storage]
        values.update(zip(node.outputs, results, strict=True))
        yield node, results
