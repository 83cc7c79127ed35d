"""What several nodes together are: patterns, applied to the nodes of a whole graph."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from onnx import NodeProto

from onnx_mapper.errors import RowError
from onnx_mapper.language.match import Found, Maker, find, takes_leaves
from onnx_mapper.language.nodes import Source
from onnx_mapper.language.scope import Scope, run_body
from onnx_mapper.language.tensors import Value, dimensions
from onnx_mapper.language.values import describe
from onnx_mapper.model.builder import GraphBuilder
from onnx_mapper.model.operator_facts import facts_of
from onnx_mapper.model.replay import Replay
from onnx_mapper.progress import progress_if_long
from onnx_mapper.rows.model import Row
from onnx_mapper.rows.table import Table

_LOGGER = logging.getLogger(__name__)

MOST_IN_A_ROW = 12
"""How often what a pattern gives may make room for what another one gives, and so on."""


@dataclass(frozen=True)
class Rewritten:
    """What came of going through a graph with patterns.

    Attributes:
        replay: Tells what tensors have become.
        used: How many times each pattern was applied, by its title.
    """

    replay: Replay
    used: Mapping[str, int] = field(default_factory=dict)


def rewrite(
    builder: GraphBuilder,
    table: Table,
    results: Iterable[Value],
    strict: bool,
    may_fail: bool = True,
) -> Rewritten:
    """Go through the nodes that some results need, and replace those that make up a pattern.

    A pattern takes effect only where nothing else reads the tensors inside it, and where the result
    has the dtype and surely the shape that it had. One of the package's own that fails where it is
    found stops no export: it is left out, with a log line.

    Args:
        builder: Holds the nodes.
        table: Holds the patterns.
        results: The tensors that the graph gives.
        strict: Whether to leave out patterns that know deviations.
        may_fail: Whether a pattern of the package that fails is left out.
    """
    replay = builder.replay(list(results))
    patterns: dict[str, list[Row]] = {}
    for row in table.patterns:
        for operator in dict.fromkeys(form.operator for form in row.match):
            if not (strict and row.deviations):
                patterns.setdefault(operator, []).append(row)
    search = _Search(builder, table, replay, patterns, may_fail)
    with progress_if_long(len(replay)) as progress:
        for node, made_room in replay:
            progress.step("patterns")
            search.meet(node, made_room)
    return Rewritten(replay, search.used)


class _Search:
    """One walk along the nodes of a graph."""

    def __init__(
        self,
        builder: GraphBuilder,
        table: Table,
        replay: Replay,
        patterns: Mapping[str, Sequence[Row]],
        may_fail: bool,
    ) -> None:
        self.used: dict[str, int] = {}
        self._builder = builder
        self._table = table
        self._replay = replay
        self._patterns = patterns
        self._may_fail = may_fail

    def node_of(self, value: Value) -> Maker | None:
        """Return the node that gave a tensor; see `language.match.Graph`."""
        return self._replay.maker_of(value)

    def row_of(self, value: Value) -> Maker | None:
        """Return the class whose row gave a tensor; see `language.match.Graph`."""
        return self._replay.row_of(value)

    def is_read_once(self, value: Value) -> bool:
        """Tell whether one node alone reads a tensor; see `language.match.Graph`."""
        return len(self._replay.readers_of(value.name)) == 1

    def is_commutative(self, operator: str) -> bool:
        """Tell whether the order of an operator's two inputs has no meaning."""
        return facts_of(operator).commutative

    def meet(self, node: NodeProto, made_room: int) -> None:
        """Keep a node, or let a pattern take its place and that of nodes before it."""
        self._replay.keep(node)
        result = self._replay.result_of(node)
        if result is None or made_room == MOST_IN_A_ROW or self._replay.now(result) is not result:
            return
        readers = [operator for operator, _ in self._replay.readers_of(result.name)]
        for row in self._patterns.get(node.op_type, ()):
            for form in row.match:
                if readers == [node.op_type] and takes_leaves(form):
                    continue  # the tree goes on
                for found in find(form, result, self):
                    if self._is_alone(found, result) and self._apply(row, found, result, made_room):
                        self.used[row.title] = self.used.get(row.title, 0) + 1
                        return

    def _is_alone(self, found: Found, last: Value) -> bool:
        """Tell whether nothing but the pattern itself reads what is inside of it."""
        seen = {(name, reader) for name, reader, _ in found.reads}
        for name in found.inner - {last.name}:
            for operator, reader in self._replay.readers_of(name):
                if not operator or (name, reader) not in seen:
                    return False
        return True

    def _apply(self, row: Row, found: Found, last: Value, made_room: int) -> bool:
        names: dict[str, Any] = {**dict.fromkeys(row.match_names), **found.names}
        names |= {"out": last, "opset": self._builder.opset}
        before = self._replay.mark()
        try:
            with self._builder.sourced(_story(self._replay.source_of(last.name), row)):
                new = _meaning(row, Scope(names, self._table.language, self._builder))
        except RowError as error:
            if not (row.shipped and self._may_fail):
                raise
            expected = bool(self._builder.kernels.excluded)
            level = logging.DEBUG if expected else logging.WARNING
            _LOGGER.log(level, "left out the pattern %s: %s", row.title, error)
            new = None
        added, is_exact = self._replay.taken_back(before)
        if new is None:
            return False
        new = self._replay.now(new)  # an equal node may be there, and have become something else
        if not is_exact or new.name == last.name or not _is_alike(new, last):
            return False
        self._tell_sources(added, found, row)
        self._replay.follow_with(added, made_room + 1)
        self._replay.replace(last, new)
        self._replay.forget_reads(found.inner)
        return True

    def _tell_sources(self, added: Iterable[NodeProto], found: Found, row: Row) -> None:
        """Say that a node of an operator that the pattern found was made for what the found one was.

        A convolution that takes up a bias stays the convolution's; other nodes are told of what the last
        node was made for.
        """
        first = {self._replay.operator_of(name): name for name in sorted(found.inner, reverse=True)}
        for node in added:
            if node.op_type in first:
                told = self._replay.source_of(first[node.op_type])
                self._replay.tell_source(node, _story(told, row))


def _story(told: Source, row: Row) -> Source:
    """Return what a node was made for, with the pattern that made it."""
    return Source(told.op, told.row, ", ".join(filter(None, (told.case, row.title))))


def _meaning(row: Row, scope: Scope) -> Value | None:
    """Return what a pattern gives; None where one of its conditions doesn't hold."""
    if not all(condition.holds(scope) for condition in row.where):
        return None
    new = run_body(row.body, scope)
    if not isinstance(new, Value):
        raise RowError(
            row.result_place, f"{describe(new)} can't take the place of a node: give one tensor"
        )
    return new


def _is_alike(new: Value, old: Value) -> bool:
    """Tell whether a tensor has the dtype of another one, and surely its shape."""
    if new.dtype != old.dtype or new.shape is None or old.shape is None:
        return False
    ours, theirs = dimensions(new), dimensions(old)
    assert ours is not None
    assert theirs is not None
    return len(ours) == len(theirs) and all(
        type(a) is type(b) and a == b for a, b in zip(ours, theirs, strict=True)
    )
