"""A model as a picture: its nodes from top to bottom, in boxes of the PyTensor ops that they are for."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from math import prod

from onnx import GraphProto, ModelProto, TensorProto
from onnx.numpy_helper import to_array

from onnx_mapper.checking.explain import source_of
from onnx_mapper.model.file import load
from onnx_mapper.model.metadata import type_told

LINE = 38
BOX = 26
LEFT = 330
WIDTH = 190
MOST_NODES = 2000
MOST_NUMBERS = 4

STYLE = (
    "text{font:13px ui-monospace,Menlo,monospace;fill:#24292f}.op{fill:#57606a;font-size:12px}"
    ".node{fill:#dbeafe;stroke:#3b82f6}.port{fill:#dcfce7;stroke:#16a34a}"
    ".group{fill:#f6f8fa;stroke:#d0d7de}.edge{fill:none;stroke:#6b7280}.weight{fill:#9a6700;font-size:11px}"
)


@dataclass(frozen=True)
class _Line:
    """One line of the picture: an input, a node or an output.

    Attributes:
        label: What stands in its box.
        kind: "port" or "node".
        group: The op and row that it belongs to; empty for none.
        reads: Tensors that flow in.
        gives: Tensors that it makes.
        note: What stands beside it.
    """

    label: str
    kind: str
    group: str
    reads: Sequence[str]
    gives: Sequence[str]
    note: str = ""


def draw(model: ModelProto | str | os.PathLike[str]) -> str:
    """Return a picture of a model, as SVG.

    Nodes stand below each other in the order in which they run, each in the box of the PyTensor op that
    it is for, with its row. Lines lead from where a tensor is made to where it is read. Weights are named
    beside the node that reads them, small constants told. What is inside of loops and branches is not
    drawn.

    Args:
        model: A model, or the path of one.

    Raises:
        InvalidRequest: When the path holds no ONNX model.

    Example:
        >>> import pytensor.tensor as pt
        >>> from onnx_mapper import export_graph
        >>> x = pt.fvector("x")
        >>> draw(export_graph([x], [pt.exp(x)])).count("<rect")
        4
    """
    lines = list(_lines(load(model).graph))
    height = LINE * (len(lines) + 1)
    reach = LEFT + WIDTH + 320
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {reach} {height}">'
    parts = [head, f"<style>{STYLE}</style>"]
    parts += _groups(lines)
    parts += _edges(lines)
    parts += _boxes(lines)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _lines(graph: GraphProto) -> Iterator[_Line]:
    weights = {tensor.name: tensor for tensor in graph.initializer}
    for port in graph.input:
        yield _Line(port.name, "port", "", (), (port.name,), type_told(port))
    for node in graph.node[:MOST_NODES]:
        op, row, _ = source_of(node)
        held = [name for name in node.input if name in weights]
        note = ", ".join(_told(weights[name]) for name in held)
        group = f"{op.rpartition(':')[2]} ({row})" if op else ""
        yield _Line(node.op_type, "node", group, node.input, node.output, note)
    if len(graph.node) > MOST_NODES:
        yield _Line(f"{len(graph.node) - MOST_NODES} more nodes", "node", "", (), ())
    for port in graph.output:
        yield _Line(port.name, "port", "", (port.name,), (), type_told(port))


def _told(tensor: TensorProto) -> str:
    """Return the numbers of a small constant; the name and the sizes of others."""
    is_small = tensor.data_location != TensorProto.EXTERNAL and prod(tensor.dims) <= MOST_NUMBERS
    return str(to_array(tensor).tolist()) if is_small else f"{tensor.name} {list(tensor.dims)}"


def _top(position: int) -> float:
    return LINE * (position + 0.5)


def _groups(lines: Sequence[_Line]) -> Iterator[str]:
    position = 0
    for name, members in groupby(lines, key=lambda line: line.group):
        count = len(list(members))
        if name:
            yield (
                f'<rect class="group" x="8" y="{_top(position) - 5}" rx="8" '
                f'width="{LEFT + WIDTH + 4}" height="{LINE * count - 2}"/>'
                f'<text class="op" x="20" y="{_top(position) + 17}">{escape(name)}</text>'
            )
        position += count


def _boxes(lines: Sequence[_Line]) -> Iterator[str]:
    for position, line in enumerate(lines):
        y = _top(position)
        yield (
            f'<rect class="{line.kind}" x="{LEFT}" y="{y}" rx="5" width="{WIDTH}" height="{BOX}"/>'
            f'<text x="{LEFT + WIDTH / 2}" y="{y + 18}" text-anchor="middle">{escape(line.label)}</text>'
        )
        if line.note:
            yield (
                f'<text class="weight" x="{LEFT + WIDTH + 60}" y="{y + 17}">{escape(line.note)}</text>'
            )


def _edges(lines: Sequence[_Line]) -> Iterator[str]:
    """Yield a straight line to the next node, and a bow to a later one."""
    made = {name: position for position, line in enumerate(lines) for name in line.gives}
    for position, line in enumerate(lines):
        for source in sorted({made[name] for name in line.reads if name in made}):
            if source == position - 1:
                x = LEFT + WIDTH / 2
                yield f'<path class="edge" d="M{x} {_top(source) + BOX}V{_top(position)}"/>'
                continue
            start, end = _top(source) + BOX / 2, _top(position) + BOX / 2
            right = LEFT + WIDTH
            bow = min(14 + 6 * (position - source), 50)
            yield (
                f'<path class="edge" d="M{right} {start}C{right + bow} {start} {right + bow} {end} '
                f'{right} {end}"/>'
            )
