"""Goes through the nodes of a finished graph once more, and lets some be replaced."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from onnx import NodeProto

from onnx_mapper.language.arrays import read
from onnx_mapper.language.match import Maker
from onnx_mapper.language.nodes import Source
from onnx_mapper.language.tensors import Value
from onnx_mapper.model.node_list import NodeList, key_of
from onnx_mapper.model.operators import default_attributes, given_attributes
from onnx_mapper.model.prune import needed, read_by, rename

LARGEST_COPY_BYTES = 1 << 16
"""Of weights that other nodes read too, so large a copy is made at most."""

OUTSIDE = ("", "")
"""Reads what the graph gives."""


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
        self._makers: dict[str, Maker] = {}
        given = [value.name for value in results]
        body = nodes.bodies[-1]
        nodes_needed = needed(body.nodes, given)
        self._pending = deque((node, 0) for node in nodes_needed)
        self._readers: dict[str, list[tuple[str, str]]] = {name: [OUTSIDE] for name in given}
        self._note_reads(nodes_needed)
        body.nodes = []
        body.outputs_by_node = {}

    def __len__(self) -> int:
        """Return how many nodes are to come, without those that will be added on the way."""
        return len(self._pending)

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
                rename(copy, {name: self.now(self._replaced[name]).name for name in moved})
                node = copy
            yield node, made_room

    def now(self, value: Value) -> Value:
        """Return what a tensor has become."""
        while value.name in self._replaced:
            value = self._replaced[value.name]
        return value

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
        key = key_of(node, len(node.output))
        result = self.result_of(node)
        if result is not None:
            equal = self._list.bodies[-1].outputs_by_node.get(key)
            other = equal[0] if equal else self._computed(result, node, inputs)
            if other is not None and other.name != result.name:
                self.forget_reads(node.output)
                self.replace(result, other)
                return
        self._list.makers.update((name, (node, inputs)) for name in node.output)
        self._list.bodies[-1].nodes.append(node)
        values = tuple(self._list.results[name] for name in node.output if name)
        if len(values) == len(node.output):
            self._list.note(node.op_type, key, values)

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
        self._note_reads(nodes)
        self._pending.extendleft((node, made_room) for node in reversed(nodes))

    def _note_reads(self, nodes: Iterable[NodeProto]) -> None:
        for node in nodes:
            for name in read_by(node):
                self._readers.setdefault(name, []).append((node.op_type, node.output[0]))

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
        """Return the node that gave a tensor, with its attributes that are not as by default.

        None for nodes of a graph around this one: they run once, and this one perhaps many times.
        """
        if value.name not in self._list.bodies[-1].own_names:
            return None
        node, inputs = self._list.makers.get(value.name, (None, ()))
        if node is None:
            return None
        known = self._makers.get(value.name)
        if known is None or known.inputs is not inputs:
            known = self._makers[value.name] = Maker(node.op_type, inputs, self._told(node))
        return known

    def _told(self, node: NodeProto) -> Mapping[str, Any]:
        """Return the attributes of a node that are not as by default."""
        if not node.attribute:
            return {}
        defaults = default_attributes(node.op_type, self._opset)
        return {
            name: item
            for name, item in given_attributes(node).items()
            if name not in defaults or defaults[name] != item
        }

    def row_of(self, value: Value) -> Maker | None:
        """Return the class whose row gave a tensor, and the tensors that the row was given."""
        row, inputs = self._list.rows.get(value.name, ("", ()))
        if not row or value.name not in self._list.bodies[-1].own_names:
            return None
        if not all(isinstance(item, Value) for item in inputs):
            return None
        return Maker(row, tuple(self.now(item) for item in inputs))

    def operator_of(self, name: str) -> str:
        """Return the operator that gave a tensor; empty for what no node gave."""
        return self._list.makers[name][0].op_type if name in self._list.makers else ""

    def source_of(self, name: str) -> Source:
        """Return what the node was made for that gave a tensor."""
        return self._list.sources.get(name, Source())

    def tell_source(self, node: NodeProto, source: Source) -> None:
        """Write on a node that it was made for something else."""
        del node.metadata_props[:]
        node.doc_string = ""
        self._list.sources.update((name, source) for name in node.output)
        self._list.annotate(node, source)

    def readers_of(self, name: str) -> Sequence[tuple[str, str]]:
        """Return the operators that read a tensor, each with the name of what it gives."""
        return self._readers.get(name, ())

    def _computed(
        self, result: Value, node: NodeProto, inputs: Sequence[Value | None]
    ) -> Value | None:
        """Return what a node of constants and weights gives; None where it is not known or too large."""
        given = [value for value in inputs if value is not None]
        known = {value.name: value.numbers for value in given if value.numbers is not None}
        if len(known) < len({value.name for value in given}):
            return None
        if not known or result.shape is None or None in result.shape:
            return None
        sizes = [size for size in result.shape if size is not None]
        size = int(np.prod(sizes, dtype=np.int64)) * np.dtype(result.dtype).itemsize
        alone = all(
            len(self.readers_of(name)) <= 1
            for name, numbers in known.items()
            if numbers.nbytes > LARGEST_COPY_BYTES
        )
        largest = max(numbers.nbytes for numbers in known.values())
        if size > max(LARGEST_COPY_BYTES, largest if alone else 0):
            return None
        arrays = {name: read(numbers) for name, numbers in known.items()}
        computed = self._list.computed(node, arrays)
        return None if computed is None else computed[0]
