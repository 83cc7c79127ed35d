"""Where each node of a model comes from, and what of a function would not convert."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from onnx import GraphProto, ModelProto, NodeProto

from onnx_mapper.api import refusals_of
from onnx_mapper.capture.captured import capture
from onnx_mapper.errors import InvalidRequest, Refusal
from onnx_mapper.model.builder import SOURCE_KEY
from onnx_mapper.opsets import DEFAULT_OPSET
from onnx_mapper.options import Dims, DtypePolicy, Options, RandomPolicy, WidePolicy
from onnx_mapper.text_table import table


@dataclass(frozen=True)
class ExplainedNode:
    """One node of a model and its story.

    Attributes:
        name: The node's name, which is that of its first output.
        operator: The ONNX operator.
        op: The PyTensor Op, as `module:Class`; empty where the model doesn't say.
        row: The row that made the node, as `conv.yaml:2`.
        case: The table entries that the row chose, as `border_mode: half`.
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

    def __str__(self) -> str:
        rows = [(n.name, n.operator, n.op, n.row, n.case) for n in self.nodes]
        return table(("node", "operator", "PyTensor op", "row", "case"), rows)


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


def load(model: ModelProto | str | os.PathLike[str]) -> ModelProto:
    """Return a model, read from a file where a path is given.

    Raises:
        InvalidRequest: When there is no such file, or no ONNX model in it.
    """
    if isinstance(model, ModelProto):
        return model
    if not isinstance(model, str | os.PathLike):
        raise InvalidRequest(f"a model is a ModelProto or the path of a file, not {model!r}")
    path = Path(model)
    if not path.is_file():
        raise InvalidRequest(f"there is no file {path}")
    try:
        loaded = onnx.load(path)
    except Exception as error:
        raise InvalidRequest(f"{path} holds no ONNX model: {error}") from None
    if not loaded.HasField("graph"):
        raise InvalidRequest(f"{path} holds no ONNX model")
    return loaded


def _explained(graph: GraphProto) -> Iterator[ExplainedNode]:
    for node in graph.node:
        op, row, case = _source(node)
        yield ExplainedNode(node.name, node.op_type, op, row, case)
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _explained(attribute.g)


def _source(node: NodeProto) -> tuple[str, str, str]:
    text = next((entry.value for entry in node.metadata_props if entry.key == SOURCE_KEY), "")
    if not text and node.doc_string.startswith(f"{SOURCE_KEY}: "):
        text = node.doc_string[len(SOURCE_KEY) + 2 :]
    op, _, rest = text.partition(" ")
    row, _, case = rest.partition(" [")
    return op, row, case.rstrip("]")


@dataclass(frozen=True)
class Check:
    """What stands in the way of an export; print it, or look at `refusals`.

    Attributes:
        refusals: One entry per op and reason; none when the function can be exported.
    """

    refusals: tuple[Refusal, ...]

    @property
    def ok(self) -> bool:
        """Whether the function can be exported."""
        return not self.refusals

    def __str__(self) -> str:
        if self.ok:
            return "Everything converts."
        rows = [
            (r.op, r.count, r.row, ", ".join(r.variables) or "-", r.reason) for r in self.refusals
        ]
        return table(("op", "nodes", "row", "near", "reason"), rows)


def check(
    fn: Any,
    *,
    opset: int = DEFAULT_OPSET,
    dtype: DtypePolicy = "keep",
    dims: Dims | None = None,
    mappings: Sequence[str | Path] = (),
    random: RandomPolicy = "refuse",
    wide: WidePolicy = "refuse",
    strict: bool = False,
) -> Check:
    """Find what of a function would not convert, and why. Writes nothing.

    Args:
        fn: What `export` takes: a compiled function, or a `FunctionGraph`.
        opset: The opset of the export that is meant.
        dtype: Its policy for dtypes.
        dims: Its names and sizes for the inputs' axes.
        mappings: Its further rows.
        random: Its policy for draws.
        wide: Its policy for float64 in a float32 model.
        strict: Whether it refuses what it would warn of.

    Returns:
        Every refusal, grouped by op and reason.

    Raises:
        RowError: When a mapping file is wrong.
        InvalidRequest: When `fn` is no function, or the opset is impossible.

    Example:
        >>> import pytensor, pytensor.tensor as pt
        >>> x = pt.fvector("x")
        >>> print(check(pytensor.function([x], pt.exp(x))))
        Everything converts.
    """
    options = Options(opset, dtype, dims or {}, mappings, random, wide, strict)
    return Check(refusals_of(capture(fn), options))
