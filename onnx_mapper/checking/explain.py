"""Where each node of a model comes from, and what of a function would not convert."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from onnx import GraphProto, ModelProto, NodeProto

from onnx_mapper.model.file import load
from onnx_mapper.model.node_list import SOURCE_KEY
from onnx_mapper.text_table import TextTable


@dataclass(frozen=True)
class ExplainedNode:
    """One node of a model and its story.

    Attributes:
        name: The node's name, which is that of its first output.
        operator: The ONNX operator.
        op: The PyTensor Op, as `module:Class`; empty where the model doesn't say.
        row: The row that made the node, as `conv.yaml:2`.
        case: The table entries that the row chose, as `border_mode: half`, and the patterns that made
            one node of several, as `patterns.yaml:12 Relu`.
    """

    name: str
    operator: str
    op: str = ""
    row: str = ""
    case: str = ""


@dataclass(frozen=True)
class Explanation:
    """What `explain` found; print it, or iterate over it."""

    nodes: tuple[ExplainedNode, ...]

    def __iter__(self) -> Iterator[ExplainedNode]:
        return iter(self.nodes)

    def __len__(self) -> int:
        return len(self.nodes)

    @property
    def table(self) -> TextTable:
        """The nodes, a line for each."""
        rows = [(n.name, n.operator, n.op, n.row, n.case) for n in self.nodes]
        return TextTable(("node", "operator", "PyTensor op", "row", "case"), rows)

    def __str__(self) -> str:
        return str(self.table)


def explain(model: ModelProto | str | os.PathLike[str]) -> Explanation:
    """Tell for each node of a model which PyTensor op and which row made it.

    Args:
        model: An exported model, or the path of one.

    Returns:
        One entry per node, in the order of the model, those of subgraphs after their node.

    Raises:
        InvalidRequest: When the path holds no ONNX model.

    Example:
        >>> import pytensor, pytensor.tensor as pt
        >>> from onnx_mapper import export
        >>> x = pt.fvector("x")
        >>> model = export(pytensor.function([x], pt.exp(x).copy(name="y")))
        >>> [(node.operator, node.op) for node in explain(model)]
        [('Exp', 'pytensor.scalar.basic:Exp')]
    """
    return Explanation(tuple(_explained(load(model).graph)))


def _explained(graph: GraphProto) -> Iterator[ExplainedNode]:
    for node in graph.node:
        op, row, case = source_of(node)
        yield ExplainedNode(node.name, node.op_type, op, row, case)
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _explained(attribute.g)


def source_of(node: NodeProto) -> tuple[str, str, str]:
    """Return the PyTensor op, the row and the case that a node tells of; empty where it doesn't."""
    text = next((entry.value for entry in node.metadata_props if entry.key == SOURCE_KEY), "")
    if not text and node.doc_string.startswith(f"{SOURCE_KEY}: "):
        text = node.doc_string[len(SOURCE_KEY) + 2 :]
    op, _, rest = text.partition(" ")
    row, _, case = rest.partition(" [")
    return op, row, case.rstrip("]")
