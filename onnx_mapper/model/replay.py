"""Goes through the nodes of a finished graph once more, and lets some be replaced."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from onnx import NodeProto, helper

from onnx_mapper.language.match import Maker
from onnx_mapper.language.nodes import Source
from onnx_mapper.language.tensors import Value
from onnx_mapper.language.values import as_static
from onnx_mapper.model.fold import compute_node
from onnx_mapper.model.node_list import NodeList, key_of
from onnx_mapper.model.operators import is_deterministic, schema_of
from onnx_mapper.model.prune import needed, read_by, rename, subgraphs

LARGEST_COPY_BYTES = 1 << 16
"""Of weights that other nodes read too, so large a copy is made at most."""


class Replay:
    """The nodes that a graph's results need, to be kept or replaced one after the other.

    Args:
        nodes: The list that holds the nodes; it is emptied, and filled again with those that are kept.
        results: The tensors that the graph gives.
        opset: The model's.
    """

    def __init__(self, nodes: NodeList, results: Iterable[Value], opset: int) -> None:
        self._list = nodes
        self._opset = opset
        self._replaced: dict[str, Value] = {}
        given = [value.name for value in results]
        body = nodes.bodies[-1]
        nodes_needed = needed(body.nodes, given)
        self._pending = deque((node, 0) for node in nodes_needed)
        self._readers: dict[str, list[tuple[str, str]]] = {}
        for node in nodes_needed:
            for name in read_by(node):
                self._readers.setdefault(name, []).append((node.op_type, node.output[0]))
            for graph in subgraphs(node):
                for name in read_by_graphs(graph):
                    self._readers.setdefault(name, []).append(("", ""))
        for name in given:
            self._readers.setdefault(name, []).append(("", ""))
        body.nodes = []
        body.outputs_by_node = {}

    def __iter__(self) -> Iterator[tuple[NodeProto, int]]:
        """Iterate over the nodes, with the names that their inputs have by now.

        Those that were added on the way follow at once; the number tells how many nodes made room,
        one after the other, until a node was added.
        """
        while self._pending:
            node, made_room = self._pending.popleft()
            moved = {name for name in read_by(node) if name in self._replaced}
            if moved:
                copy = NodeProto()
                copy.CopyFrom(node)
                rename(copy, {name: self._newest(name) for name in moved})
                node = copy
            yield node, made_room

    def now(self, value: Value) -> Value:
        """Return what a tensor has become."""
        while value.name in self._replaced:
            value = self._replaced[value.name]
        return value

    def _newest(self, name: str) -> str:
        while name in self._replaced:
            name = self._replaced[name].name
        return name

    def result_of(self, node: NodeProto) -> Value | None:
        """Return the tensor that a node gives; None for nodes with several outputs."""
        return self._list.results.get(node.output[0]) if len(node.output) == 1 else None

    def keep(self, node: NodeProto) -> None:
        """Keep a node, unless an equal one is there or it can be computed at once."""
        known = self._list.makers.get(node.output[0])
        if known is None:
            self._list.bodies[-1].nodes.append(node)
            return
        inputs = tuple(None if value is None else self.now(value) for value in known[1])
        result = self.result_of(node)
        key = key_of(node, len(node.output))
        equal = self._list.bodies[-1].outputs_by_node.get(key)
        if equal is not None and result is not None and equal[0].name != result.name:
            self._drop(node, result, equal[0])
            return
        computed = None if result is None else self._computed(node, inputs)
        if computed is not None and result is not None:
            self._drop(node, result, computed)
            return
        self._list.makers.update((name, (node, inputs)) for name in node.output)
        self._list.bodies[-1].nodes.append(node)
        values = tuple(self._list.results[name] for name in node.output if name)
        if len(values) == len(node.output):
            self._list.bodies[-1].outputs_by_node[key] = values

    def replace(self, old: Value, new: Value) -> None:
        """Let a tensor take the place of another one in all nodes to come."""
        self._replaced[old.name] = new
        self._readers.setdefault(new.name, []).extend(self._readers.get(old.name, ()))

    def mark(self) -> tuple[int, int]:
        """Return how far the graph is now, for taking back what is added from here on."""
        return len(self._list.bodies[-1].nodes), len(self._list.narrowed)

    def taken_back(self, mark: tuple[int, int]) -> tuple[list[NodeProto], bool]:
        """Take back the nodes that were added since a mark; tell whether all of them are exact."""
        body, narrowed = self._list.bodies[-1], self._list.narrowed
        added, is_exact = body.nodes[mark[0] :], len(narrowed) == mark[1]
        del body.nodes[mark[0] :], narrowed[mark[1] :]
        for node in added:  # until they are kept, no equal node can do without one of its own
            body.outputs_by_node.pop(key_of(node, len(node.output)), None)
        return added, is_exact

    def follow_with(self, nodes: Sequence[NodeProto], made_room: int) -> None:
        """Let nodes be the next ones, and note what they read."""
        for node in nodes:
            for name in read_by(node):
                self._readers.setdefault(name, []).append((node.op_type, node.output[0]))
        self._pending.extendleft((node, made_room) for node in reversed(nodes))

    def forget_reads(self, names: Iterable[str]) -> None:
        """Forget what the nodes read that gave some tensors, as nobody needs them any more.

        Nor does anybody need what only these nodes read, and so on.
        """
        gone = list(names)
        while gone:
            name = gone.pop()
            for value in dict.fromkeys(filter(None, self._list.makers[name][1])):
                kept = [r for r in self._readers.get(value.name, ()) if r[1] != name]
                lost = len(kept) < len(self._readers.get(value.name, ()))
                self._readers[value.name] = kept
                if lost and not kept and value.name in self._list.makers:
                    gone.append(value.name)

    def maker_of(self, value: Value) -> Maker | None:
        """Return the node that gave a tensor, with its attributes that are not as by default."""
        return maker_in(self._list, value, self._opset)

    def row_of(self, value: Value) -> Maker | None:
        """Return the class whose row gave a tensor, and the tensors that the row was given."""
        row, inputs = self._list.rows.get(value.name, ("", ()))
        if not row or not all(isinstance(item, Value) for item in inputs):
            return None
        return Maker(row, tuple(self.now(item) for item in inputs))

    def source_of(self, value: Value) -> Source:
        """Return what the node was made for that gave a tensor."""
        return self._list.sources.get(value.name, Source())

    def readers_of(self, name: str) -> Sequence[tuple[str, str]]:
        """Return the operators that read a tensor, each with the name of what it gives."""
        return self._readers.get(name, ())

    def _drop(self, node: NodeProto, result: Value, new: Value) -> None:
        self.forget_reads(node.output)
        self.replace(result, new)

    def _computed(self, node: NodeProto, inputs: Sequence[Value | None]) -> Value | None:
        """Return what a node of constants and weights gives; None where it is not known or too large."""
        given = {value.name: value for value in inputs if value is not None}
        if not given or any(value.known is None for value in given.values()):
            return None
        if any(subgraphs(node)) or not is_deterministic(schema_of(node.op_type, self._opset)):
            return None
        arrays = {name: value.known for name, value in given.items() if value.known is not None}
        if any(array.size == 0 for array in arrays.values()):
            return None
        result = self.result_of(node)
        if result is None or result.shape is None or None in result.shape:
            return None
        sizes = [size for size in result.shape if size is not None]
        size = int(np.prod(sizes, dtype=np.int64)) * np.dtype(result.dtype).itemsize
        alone = all(
            len(self.readers_of(name)) <= 1
            for name, array in arrays.items()
            if array.nbytes > LARGEST_COPY_BYTES
        )
        largest = max(array.nbytes for array in arrays.values())
        if size > max(LARGEST_COPY_BYTES, largest if alone else 0):
            return None
        results = compute_node(node, arrays, self._list.empty_model)
        if results is None:
            return None
        return self._list.computed(results, arrays)[0]


def read_by_graphs(graph: Any) -> Iterator[str]:
    """Yield the names of a subgraph's outputs, of which some may be tensors around it."""
    return (port.name for port in graph.output)


def maker_in(nodes: NodeList, value: Value, opset: int) -> Maker | None:
    """Return the node that gave a tensor, with its attributes that are not as by default."""
    node, inputs = nodes.makers.get(value.name, (None, ()))
    if node is None:
        return None
    given = {
        entry.name: _plain(helper.get_attribute_value(entry))
        for entry in node.attribute
        if not entry.HasField("g")
    }
    defaults = _defaults(node.op_type, opset)
    told = {name: item for name, item in given.items() if defaults.get(name, _NONE) != item}
    return Maker(node.op_type, inputs, told)


def _plain(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else as_static(value)


_NONE = object()


@cache
def _defaults(op_type: str, opset: int) -> Mapping[str, Any]:
    """Return the values that an operator's attributes have by default."""
    found = {}
    for name, attribute in schema_of(op_type, opset).attributes.items():
        if attribute.default_value.name:
            found[name] = _plain(helper.get_attribute_value(attribute.default_value))
    return found
