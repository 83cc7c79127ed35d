"""From nodes as they were added to a graph: final names, needed nodes, lazy branches."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from onnx import GraphProto, NodeProto

HERE = ""
"""Stands for the graph at hand, where graphs inside it go by their names."""


def subgraphs(node: NodeProto) -> Iterator[GraphProto]:
    """Yield the graphs among a node's attributes."""
    return (attribute.g for attribute in node.attribute if attribute.HasField("g"))


def nodes_of(graph: GraphProto) -> Iterator[NodeProto]:
    """Yield a graph's nodes, and those of the graphs inside them."""
    for node in graph.node:
        yield node
        for inner in subgraphs(node):
            yield from nodes_of(inner)


def captured(graph: GraphProto) -> dict[str, None]:
    """Return the names that a subgraph reads from the graphs around it, in order."""
    own = {port.name for port in graph.input}
    found: dict[str, None] = {}
    for node in graph.node:
        found.update((name, None) for name in read_by(node) if name and name not in own)
        own.update(node.output)
    found.update((port.name, None) for port in graph.output if port.name not in own)
    return found


def read_by(node: NodeProto) -> Iterator[str]:
    """Yield the names that a node reads, those that its subgraphs read included."""
    yield from node.input
    for graph in subgraphs(node):
        yield from captured(graph)


def assembled(
    nodes: Sequence[NodeProto],
    outputs: Collection[str],
    final: Mapping[str, str],
    lazy: Collection[str],
    copy_type: str,
) -> list[NodeProto]:
    """Return copies of the nodes that the outputs need, under their final names.

    Args:
        nodes: All nodes, each after those that it reads.
        outputs: The final names that must be computed.
        final: The final names of tensors that are renamed.
        lazy: Names of subgraphs that run at most once: what only such a graph needs is
            computed inside it, and thus only where it runs.
        copy_type: The operator that hands a tensor on.
    """
    copies = []
    for node in nodes:
        copy = NodeProto()
        copy.CopyFrom(node)
        rename(copy, final)
        copies.append(copy)
    return _lazily(needed(copies, outputs), outputs, lazy, copy_type)


def rename(node: NodeProto, final: Mapping[str, str]) -> None:
    """Give the tensors of a node, and of the graphs inside it, their final names."""
    node.input[:] = [final.get(name, name) for name in node.input]
    node.output[:] = [final.get(name, name) for name in node.output]
    node.name = next((name for name in node.output if name), node.name)
    for graph in subgraphs(node):
        for inner in graph.node:
            rename(inner, final)


def needed(nodes: Iterable[NodeProto], outputs: Iterable[str]) -> list[NodeProto]:
    """Return the nodes that some tensors need, in order; also inside of their graphs."""
    wanted = set(outputs)
    kept = []
    for node in reversed(list(nodes)):
        if wanted.isdisjoint(node.output):
            continue
        for graph in subgraphs(node):
            _replace(graph, needed(graph.node, [port.name for port in graph.output]))
        wanted.update(read_by(node))
        kept.append(node)
    kept.reverse()
    return kept


def _lazily(
    nodes: Iterable[NodeProto], outputs: Iterable[str], lazy: Collection[str], copy_type: str
) -> list[NodeProto]:
    """Move nodes that only one lazy subgraph needs into it, at every depth."""
    readers = dict.fromkeys(outputs, HERE)

    def note(names: Iterable[str], reader: str) -> None:
        for name in names:
            readers[name] = reader if readers.get(name, reader) == reader else HERE

    moved: dict[str, list[NodeProto]] = {}
    kept: list[NodeProto] = []
    for node in reversed(list(nodes)):
        places = {readers[name] for name in node.output if name in readers}
        place = places.pop() if len(places) == 1 else HERE
        if place != HERE:
            moved.setdefault(place, []).append(node)
            note(read_by(node), place)
            continue
        kept.append(node)
        note(node.input, HERE)
        for graph in subgraphs(node):
            note(captured(graph), graph.name if graph.name in lazy else HERE)
    kept.reverse()
    for node in kept:
        for graph in subgraphs(node):
            arrived = moved.get(graph.name, [])[::-1]
            _replace(graph, [*arrived, *graph.node])
            if arrived:
                _drop_copies(graph, copy_type)
            names = [port.name for port in graph.output]
            _replace(graph, _lazily(graph.node, names, lazy, copy_type))
    return kept


def _drop_copies(graph: GraphProto, copy_type: str) -> None:
    """Let outputs be what nodes of the graph compute, without a copy of it."""
    computed = {name for node in graph.node for name in node.output}
    copies = {node.output[0]: node for node in graph.node if node.op_type == copy_type}
    taken = {port.name for port in graph.output}
    for port in graph.output:
        copy = copies.get(port.name)
        if copy is not None and copy.input[0] in computed - taken:
            port.name = copy.input[0]
            taken.add(port.name)
    _replace(graph, needed(graph.node, [port.name for port in graph.output]))


def _replace(graph: GraphProto, nodes: Sequence[NodeProto]) -> None:
    copies = [NodeProto() for _ in nodes]
    for copy, node in zip(copies, nodes, strict=True):
        copy.CopyFrom(node)
    del graph.node[:]
    graph.node.extend(copies)
