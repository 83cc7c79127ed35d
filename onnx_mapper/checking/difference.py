"""What is different between two models, in words."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from onnx import GraphProto, ModelProto, ValueInfoProto, helper, numpy_helper

from onnx_mapper.checking.explain import explain
from onnx_mapper.model.file import load
from onnx_mapper.model.metadata import CONTENT_KEY, told_by, type_told
from onnx_mapper.text_table import TextTable


@dataclass(frozen=True)
class Change:
    """One thing that is different.

    Attributes:
        what: "opset", "input", "output", "weight", "nodes", "metadata".
        name: What it is called.
        before: What it is in the first model; empty where that lacks it.
        after: What it is in the second one, likewise.
    """

    what: str
    name: str
    before: str
    after: str


@dataclass(frozen=True)
class ModelDifference:
    """What `diff` found; print it, or look at `changes`."""

    changes: tuple[Change, ...]

    @property
    def same(self) -> bool:
        """Whether the models compute the same in the same way, under the same names."""
        return not self.changes

    @property
    def table(self) -> TextTable:
        """The changes, a line for each."""
        rows = [(c.what, c.name, c.before or "-", c.after or "-") for c in self.changes]
        return TextTable(("what", "name", "first", "second"), rows)

    def __str__(self) -> str:
        return "The models are the same." if self.same else str(self.table)


def diff(
    first: ModelProto | str | os.PathLike[str], second: ModelProto | str | os.PathLike[str]
) -> ModelDifference:
    """Tell what is different between two models: ports, opset, weights, nodes and metadata.

    Nodes are counted by their operator and the PyTensor op that they are for; where these counts are the
    same, nodes are compared one by one, with the names of the tensors that they read and give. Weights
    in files of their own are compared by what the models say.

    Args:
        first: A model, or the path of one.
        second: Another one.

    Raises:
        InvalidRequest: When a path holds no ONNX model.

    Example:
        >>> import pytensor.tensor as pt
        >>> from onnx_mapper import export_graph
        >>> x = pt.fvector("x")
        >>> print(diff(export_graph([x], [x + 1]), export_graph([x], [pt.exp(x + 1)])))
        what   name                            first  second
        nodes  Exp, pytensor.scalar.basic:Exp  0      1
    """
    before, after = load(first), load(second)
    return ModelDifference(tuple(_changes(before, after)))


def _changes(before: ModelProto, after: ModelProto) -> Iterator[Change]:
    yield from _unlike("opset", _opsets(before), _opsets(after))
    yield from _unlike("input", _ports(before.graph.input), _ports(after.graph.input))
    yield from _unlike("output", _ports(before.graph.output), _ports(after.graph.output))
    yield from _weights(before.graph, after.graph)
    nodes = list(_unlike("nodes", _nodes(before), _nodes(after), missing="0"))
    yield from nodes or _otherwise_made(before.graph, after.graph)
    yield from _unlike("metadata", _metadata(before), _metadata(after))


def _otherwise_made(before: GraphProto, after: GraphProto) -> Iterator[Change]:
    """Tell of nodes of the same kinds that have other attributes, or read other tensors."""
    if len(before.node) != len(after.node):
        yield Change(
            "nodes", "outside of loops and branches", *(str(len(g.node)) for g in (before, after))
        )
    for old, new in zip(before.node, after.node, strict=False):
        if (old.input, old.output, old.attribute) != (new.input, new.output, new.attribute):
            what = f"{old.op_type} {old.name}, which reads {', '.join(old.input)}"
            yield Change("nodes", what, "", "other attributes, or reads other tensors")


def _unlike(
    what: str, before: Mapping[str, str], after: Mapping[str, str], missing: str = ""
) -> Iterator[Change]:
    for name in dict.fromkeys([*before, *after]):
        pair = before.get(name, missing), after.get(name, missing)
        if pair[0] != pair[1]:
            yield Change(what, name, *pair)


def _opsets(model: ModelProto) -> dict[str, str]:
    return {entry.domain or "ai.onnx": str(entry.version) for entry in model.opset_import}


def _ports(ports: Iterable[ValueInfoProto]) -> dict[str, str]:
    return {port.name: f"{position}: {type_told(port)}" for position, port in enumerate(ports)}


def _nodes(model: ModelProto) -> dict[str, str]:
    counts = Counter(
        f"{node.operator}, {node.op}" if node.op else node.operator for node in explain(model)
    )
    return {name: str(count) for name, count in counts.items()}


def _metadata(model: ModelProto) -> dict[str, str]:
    told = {key: text for key, text in told_by(model).items() if key != CONTENT_KEY}
    return {**told, "producer": f"{model.producer_name} {model.producer_version}".strip()}


def _weights(before: GraphProto, after: GraphProto) -> Iterator[Change]:
    """Compare the stored tensors by their names."""
    first = {tensor.name: tensor for tensor in before.initializer}
    second = {tensor.name: tensor for tensor in after.initializer}
    for name in dict.fromkeys([*first, *second]):
        old, new = first.get(name), second.get(name)
        if old is None or new is None:
            yield Change("weight", name, _shape(old), _shape(new))
        elif old.SerializeToString() != new.SerializeToString():
            yield Change("weight", name, _shape(old), _numbers(old, new))


def _shape(tensor: object | None) -> str:
    if tensor is None:
        return ""
    dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type).name  # type: ignore[attr-defined]
    return f"{dtype}[{', '.join(map(str, tensor.dims))}]"  # type: ignore[attr-defined]


def _numbers(old: object, new: object) -> str:
    """Say how the numbers of a tensor are others, where its dtype and shape are the same."""
    if _shape(old) != _shape(new):
        return _shape(new)
    if old.external_data or new.external_data:  # type: ignore[attr-defined]
        return "other numbers, in a file beside the model"
    a, b = numpy_helper.to_array(old), numpy_helper.to_array(new)  # type: ignore[arg-type]
    differ = (a != b) & ((a == a) | (b == b))  # NaN is NaN
    text = f"{int(np.sum(differ))} of {a.size} numbers are others"
    if a.dtype.kind in "fiu" and differ.any():
        largest = float(np.max(np.abs(b[differ].astype("float64") - a[differ].astype("float64"))))
        text += f", by up to {largest:.3g}"
    return text
