"""A graph cut where ops don't convert: segments of nodes that become models, and segments of others between."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from onnx_mapper.language.values import DTYPES
from onnx_mapper.mapping.site import is_tensor_type


@dataclass(frozen=True)
class Segment:
    """Apply nodes that run together.

    Attributes:
        nodes: The nodes, each after those that it reads.
        inputs: The variables that they read and others give.
        outputs: The variables that they give and others need.
        converts: Whether they become a model; otherwise PyTensor runs them one by one.
    """

    nodes: tuple[Any, ...]
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]
    converts: bool


def segments_of(
    applies: Sequence[Any], outputs: Sequence[Any], refused: Collection[Any]
) -> list[Segment]:
    """Cut a graph into segments, in an order in which they can run.

    What no model takes or gives (a slice, a generator, complex numbers) does not go from or to a segment that
    converts: nodes that give nothing else, such as slices, stand in each segment that needs them, and other
    nodes run in PyTensor.

    Args:
        applies: The graph's Apply nodes, each after those that it reads.
        outputs: The graph's outputs.
        refused: The nodes that don't convert.
    """
    kept_back = set(refused)
    while True:
        cut = _Cut(applies, outputs, kept_back)
        stuck = cut.stuck()
        if not stuck:
            return list(cut.segments())
        kept_back |= stuck


def can_cross(variable: Any) -> bool:
    """Tell whether a variable can be an input or output of a model."""
    return is_tensor_type(variable.type) and variable.type.dtype in DTYPES


class _Cut:
    """One way to cut a graph."""

    def __init__(
        self, applies: Sequence[Any], outputs: Sequence[Any], refused: Collection[Any]
    ) -> None:
        self._applies = applies
        self._outputs = outputs
        self._refused = refused
        self._carriers = {
            node
            for node in applies
            if node not in refused and not any(can_cross(v) for v in node.outputs)
        }
        self._reads = {node: tuple(self._read_by(node)) for node in applies}
        self._stages: dict[Any, int] = {}
        for node in self._staged():
            self._stages[node] = max(map(self._after(node), self._reads[node]), default=0)

    def _staged(self) -> Iterator[Any]:
        return (node for node in self._applies if node not in self._carriers)

    def _read_by(self, node: Any) -> Iterator[Any]:
        """Yield the variables that a node needs, those that its carriers need in place of theirs."""
        pending = list(node.inputs)
        while pending:
            variable = pending.pop()
            if variable.owner in self._carriers:
                pending.extend(variable.owner.inputs)
            elif not hasattr(variable, "data"):
                yield variable

    def _after(self, node: Any) -> Any:
        """Return what tells the earliest stage of a node after what gives a variable."""

        def stage(variable: Any) -> int:
            maker = variable.owner
            if maker not in self._stages:
                return 0
            is_other = (maker in self._refused) != (node in self._refused)
            return self._stages[maker] + is_other

        return stage

    def _place(self, node: Any) -> tuple[int, bool]:
        return self._stages[node], node not in self._refused

    def stuck(self) -> set[Any]:
        """Return nodes that can't convert here, as they take or give something that is no tensor."""
        found = set()
        needed = {v for v in self._outputs if v.owner in self._carriers}
        found |= {variable.owner for variable in needed}
        for node in self._staged():
            for variable in self._reads[node]:
                maker = variable.owner
                is_inside = maker in self._stages and self._place(maker) == self._place(node)
                if not is_inside and not can_cross(variable):
                    found |= {n for n in (node, maker) if n in self._stages}
        found |= {v.owner for v in self._outputs if v.owner in self._stages and not can_cross(v)}
        return found - set(self._refused)

    def segments(self) -> Iterator[Segment]:
        places = sorted({self._place(node) for node in self._staged()})
        outside = set(self._outputs)
        for place in places:
            own = [node for node in self._staged() if self._place(node) == place]
            nodes = self._with_carriers(own)
            given = {v for node in nodes for v in node.outputs}
            read = [v for node in own for v in self._reads[node] if v not in given]
            elsewhere = outside | {
                v
                for node in self._staged()
                if self._place(node) != place
                for v in self._reads[node]
            }
            results = [v for node in own for v in node.outputs if v in elsewhere]
            yield Segment(tuple(nodes), tuple(dict.fromkeys(read)), tuple(results), place[1])

    def _with_carriers(self, nodes: Iterable[Any]) -> list[Any]:
        """Return nodes with the carriers that they read, each after those that it reads."""
        wanted = set(nodes)
        pending = list(wanted)
        while pending:
            makers = {variable.owner for variable in pending.pop().inputs}
            new = (makers & self._carriers) - wanted
            wanted |= new
            pending.extend(new)
        return [node for node in self._applies if node in wanted]
