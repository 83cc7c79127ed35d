"""Where a model and its function part: the first Apply node whose value differs."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, helper

from onnx_mapper.capture.graph import Captured
from onnx_mapper.checking.compare import Difference, compare_arrays, tolerance_of
from onnx_mapper.checking.explain import explain
from onnx_mapper.errors import MapperError
from onnx_mapper.language.arrays import Array
from onnx_mapper.language.tensors import Value
from onnx_mapper.mapping.build import Built, build
from onnx_mapper.model.metadata import options_of_model
from onnx_mapper.model.session import open_session
from onnx_mapper.model.weights import Weights
from onnx_mapper.rows.table import load_table


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


def rebuilt(model: ModelProto, captured: Captured, mappings: Sequence[str | Path]) -> Built | None:
    """Build a model once more as it says that it was, to learn what each tensor stands for.

    None where that can't be: it was changed since, or made with rows that `mappings` doesn't name.
    """
    inputs = {input_.name for input_ in captured.inputs}
    options = options_of_model(model, inputs, mappings)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return build(load_table(mappings), captured, options)
    except MapperError:
        return None


def first_difference(
    model: ModelProto,
    weights: Weights,
    captured: Captured,
    built: Built | None,
    feed: Mapping[str, Array],
    arrays: Sequence[Array],
    limits: tuple[float | None, float | None, str],
) -> FirstDifference | None:
    """Compare the graph's intermediate values one by one, in order of computation.

    Args:
        model: The model.
        weights: Those that it refers to.
        captured: The graph of its function.
        built: What each of the model's tensors stands for, if that is known.
        feed: The model's inputs.
        arrays: The function's inputs.
        limits: Relative and absolute tolerance, and the dtype with fewer digits that the model computes in.

    Returns:
        The first that differs, inside fused ops too; or None where the model's tensors can't be
        told apart, or ONNX Runtime fails.
    """
    if built is None:
        return None
    try:
        found = _tensors_of(model, weights, built, feed)
    except Exception:  # ONNX Runtime has said in the comparison which node of the model fails
        return None
    rows = {node.name: node.row for node in explain(model)}

    def judged(name: str | None, op: Any, expected: Any) -> FirstDifference | None:
        if name not in found or not isinstance(expected, np.ndarray | np.generic):
            return None
        ours, exact = found[name], np.asarray(expected)
        if ours.dtype != exact.dtype and ours.dtype.kind == exact.dtype.kind == "f":
            exact = exact.astype(ours.dtype)
        difference = compare_arrays(name, ours, exact, *tolerance_of(ours, *limits))
        return (
            None
            if difference.ok
            else FirstDifference(str(op), rows.get(name, ""), name, difference)
        )

    for node, outputs in _evaluate(captured, arrays):
        for variable, expected in zip(node.outputs, outputs, strict=True):
            difference = judged(built.tensors.get(variable), node.op, expected)
            if difference is not None:
                return _inner_difference(node, built, found, judged) or difference
    return None


_Judge = Callable[[str | None, Any, Any], FirstDifference | None]


def _inner_difference(
    outer: Any, built: Built, found: Mapping[str, Array], judged: _Judge
) -> FirstDifference | None:
    """Compare what an op's inner graph computes, each step given the model's own tensors."""
    for step in built.inner_steps:
        if step.outer is not outer:
            continue
        given = [_array_of(item, built, found) for item in step.inputs]
        if any(array is None for array in given):
            continue
        try:
            results = _computed(step.node.op, given)
        except Exception:  # an op that can't be run by itself tells nothing
            continue
        for item, expected in zip(step.outputs, results, strict=True):
            if isinstance(item, Value):
                difference = judged(built.final_name(item.name), step.node.op, expected)
                if difference is not None:
                    return difference
    return None


def _array_of(item: Any, built: Built, found: Mapping[str, Array]) -> Array | None:
    if isinstance(item, Value):
        known = item.known
        return found.get(built.final_name(item.name)) if known is None else known
    return np.asarray(item) if isinstance(item, bool | int | float) else None


def _computed(op: Any, arrays: Sequence[Any]) -> list[Any]:
    """Return what an op gives for arrays; a scalar one for each of their elements."""
    import pytensor.tensor as pt
    from pytensor.scalar.basic import ScalarOp

    whole = type(pt.exp)(op) if isinstance(op, ScalarOp) else op
    return _performed(whole.make_node(*map(pt.constant, arrays)), arrays)


def _performed(node: Any, inputs: Sequence[Any]) -> list[Any]:
    """Return what an op's own Python gives for a node's inputs, which stay as they are."""
    storage: list[list[Any]] = [[None] for _ in node.outputs]
    node.op.perform(node, [copy.deepcopy(value) for value in inputs], storage)
    return [cell[0] for cell in storage]


def _tensors_of(
    model: ModelProto, weights: Weights, built: Built, feed: Mapping[str, Array]
) -> dict[str, Array]:
    """Run a model and return all of its tensors that stand for something in PyTensor's graph."""
    steps = built.inner_steps
    inner = [
        built.final_name(item.name)
        for step in steps
        for item in (*step.inputs, *step.outputs)
        if isinstance(item, Value)
    ]
    produced = {output for node in model.graph.node for output in node.output}
    wanted = [n for n in dict.fromkeys([*built.tensors.values(), *inner]) if n in produced]
    known = {tensor.name: weights.array_of(tensor) for tensor in model.graph.initializer}
    return known | dict(feed) | _run_with(model, weights, wanted, feed)


def _run_with(
    model: ModelProto, weights: Weights, names: Sequence[str], feed: Mapping[str, Array]
) -> dict[str, Array]:
    """Run a model with further tensors as outputs."""
    extended = ModelProto()
    extended.CopyFrom(model)
    present = {port.name for port in model.graph.output}
    extended.graph.output.extend(
        helper.make_empty_tensor_value_info(name) for name in names if name not in present
    )
    session = open_session(extended, weights=weights)
    ports = [port.name for port in session.get_outputs()]
    return dict(zip(ports, session.run(None, dict(feed)), strict=True))


def _evaluate(captured: Captured, arrays: Sequence[Array]) -> Iterator[tuple[Any, list[Any]]]:
    """Yield every Apply node with what PyTensor's own `perform` gives for it."""
    values: dict[Any, Any] = {
        input_.variable: array for input_, array in zip(captured.inputs, arrays, strict=True)
    }
    for parameter in captured.parameters:
        entries = parameter.entries
        values[parameter.variable] = parameter.value if entries is None else entries.matrix()
    for node in captured.applies():
        inputs = [
            values[variable] if variable in values else getattr(variable, "data", None)
            for variable in node.inputs
        ]
        try:
            results = _performed(node, inputs)
        except Exception:
            return
        values.update(zip(node.outputs, results, strict=True))
        yield node, results
