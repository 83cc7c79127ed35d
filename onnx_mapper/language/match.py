"""What a pattern looks for: nodes of the model, as a formula shows them.

`Add(conv := Conv(x, w), k)` is an Add of what a Conv gave and any other tensor. Lower-case names stand for
tensors (the same name for the same tensor), `:=` names what a node gave, a number stands for a known tensor
that holds nothing else, None for an input that is left out, and `*xs` for the leaves of a tree of nodes of
one operator. Attributes are bound or compared by keyword; one that is not mentioned is as by default, unless
the node has a name, which the pattern's body can ask for it. `maybe(b)` is an input that may be left
out. `op('Erfc', x)` is what the row of a PyTensor class gave, whatever nodes that are.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from onnx_mapper.errors import Place, RowError
from onnx_mapper.language.tensors import Value
from onnx_mapper.language.values import as_static

OP = "op"
"""What the result of a whole row is called in a pattern."""

MAYBE = "maybe"
"""What an input that may be left out is called in a pattern."""


@dataclass(frozen=True)
class Tensor:
    """A lower-case name: any tensor.

    Attributes:
        name: The name.
        optional: Whether it may also stand for an input that is left out, as None.
    """

    name: str
    optional: bool = False


@dataclass(frozen=True)
class Leaves:
    """`*xs`: the leaves of a tree of nodes of one operator."""

    name: str


@dataclass(frozen=True)
class Number:
    """A known tensor that holds one number, once or many times."""

    number: float


@dataclass(frozen=True)
class Absent:
    """An input that is left out."""


@dataclass(frozen=True)
class Made:
    """What a node gave.

    Attributes:
        operator: Its operator; or the PyTensor class, where it is the result of a whole row.
        inputs: What its inputs are.
        attributes: Attributes by name: a name that binds them, or the value that they must have.
        name: What the tensor is called; empty for nothing.
        whole_row: Whether it is the result of a whole row.
    """

    operator: str
    inputs: tuple[Part, ...]
    attributes: tuple[tuple[str, str | Number | Literal], ...] = ()
    name: str = ""
    whole_row: bool = False


@dataclass(frozen=True)
class Literal:
    """An attribute's value that is no number."""

    value: Any


Part = Tensor | Leaves | Number | Absent | Made


@dataclass(frozen=True)
class Maker:
    """What made a tensor.

    Attributes:
        operator: The operator, or the PyTensor class.
        inputs: Its inputs; None for those that are left out.
        attributes: Its attributes that are not as by default.
    """

    operator: str
    inputs: tuple[Value | None, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)


class Graph(Protocol):
    """The model in which a pattern is looked for."""

    def node_of(self, value: Value) -> Maker | None:
        """Return the node that gave a tensor; None for inputs, constants and parameters."""

    def row_of(self, value: Value) -> Maker | None:
        """Return the PyTensor class whose row gave a tensor, and what the row was given."""

    def is_read_once(self, value: Value) -> bool:
        """Tell whether one node alone reads a tensor, and nothing else does."""

    def is_commutative(self, operator: str) -> bool:
        """Tell whether the order of an operator's two inputs has no meaning."""


@dataclass(frozen=True)
class Found:
    """A pattern that was found.

    Attributes:
        names: What each of its names stands for.
        inner: The tensors inside that nodes of it gave, without the last one.
        reads: Which inputs were looked at: the tensor that was given, and where it is read.
    """

    names: Mapping[str, Any] = field(default_factory=dict)
    inner: frozenset[str] = frozenset()
    reads: frozenset[tuple[str, str, int]] = frozenset()

    def with_name(self, name: str, thing: Any) -> Found | None:
        """Return what was found with one more name; None where the name stands for something else."""
        if name not in self.names:
            return replace(self, names={**self.names, name: thing})
        return self if _is_same(self.names[name], thing) else None


def _is_same(one: Any, other: Any) -> bool:
    if isinstance(one, Value) and isinstance(other, Value):
        return one.name == other.name
    return type(one) is type(other) and bool(one == other)


def find(part: Part, value: Value, graph: Graph) -> Iterator[Found]:
    """Yield every way in which a tensor is what a pattern looks for."""
    return _find(part, value, graph, Found())


def _find(part: Part, value: Value | None, graph: Graph, found: Found) -> Iterator[Found]:
    if value is None and isinstance(part, Tensor) and part.optional:
        named = found.with_name(part.name, None)
        if named is not None:
            yield named
    elif isinstance(part, Absent) or value is None:
        if isinstance(part, Absent) and value is None:
            yield found
    elif isinstance(part, Tensor):
        named = found.with_name(part.name, value)
        if named is not None:
            yield named
    elif isinstance(part, Number):
        if _holds_only(value, part.number):
            yield found
    elif isinstance(part, Made):
        yield from _find_made(part, value, graph, found)


def _holds_only(value: Value, number: float) -> bool:
    known = value.constant
    if known is None or known.size == 0:
        return False
    expected = np.asarray(number).astype(known.dtype)
    return bool(expected == number or known.dtype.kind == "f") and bool(np.all(known == expected))


def _find_made(part: Made, value: Value, graph: Graph, found: Found) -> Iterator[Found]:
    maker = _maker_for(part, value, graph)
    if maker is None or maker.operator != part.operator:
        return
    orders = [maker.inputs]
    if not part.whole_row and len(part.inputs) == len(maker.inputs) == 2:
        orders += [maker.inputs[::-1]] if graph.is_commutative(part.operator) else []
    orders = [inputs for inputs in orders if _may_fit(part, inputs, graph)]
    if not orders:
        return
    named: Found | None = found if not part.name else found.with_name(part.name, value)
    for attribute, wanted in part.attributes:
        if named is None:
            return
        given = as_static(maker.attributes.get(attribute))
        if isinstance(wanted, str):
            named = named.with_name(wanted, given)
        elif given != (wanted.number if isinstance(wanted, Number) else wanted.value):
            return
    if named is None:
        return
    told = {attribute for attribute, _ in part.attributes}
    if not part.name and not part.whole_row and set(maker.attributes) - told:
        return
    if not part.whole_row:
        named = replace(named, inner=named.inner | {value.name})
    if takes_leaves(part):
        yield from _find_leaves(part, value, maker, graph, named)
        return
    if part.whole_row:  # nodes before a row may be read anywhere in it
        ways = _find_inputs(part, value, maker.inputs, graph, named)
        yield from (replace(way, inner=named.inner, reads=named.reads) for way in ways)
        return
    for inputs in orders:
        yield from _find_inputs(part, value, inputs, graph, named)


def _maker_for(part: Made, value: Value, graph: Graph) -> Maker | None:
    return graph.row_of(value) if part.whole_row else graph.node_of(value)


def _may_fit(part: Made, inputs: Sequence[Value | None], graph: Graph) -> bool:
    """Tell whether a look at the inputs' own operators leaves a node as what is looked for.

    Most patterns are tried in vain, and this is much quicker than to follow their names.
    """
    for wanted, input_ in zip(part.inputs, inputs, strict=False):
        if isinstance(wanted, Number) and (input_ is None or not input_.foldable):
            return False
        if isinstance(wanted, Made):
            maker = None if input_ is None else _maker_for(wanted, input_, graph)
            if maker is None or maker.operator != wanted.operator:
                return False
    return True


def _find_inputs(
    part: Made, value: Value, inputs: Sequence[Value | None], graph: Graph, found: Found
) -> Iterator[Found]:
    given = [*inputs, *[None] * (len(part.inputs) - len(inputs))]
    if len(given) != len(part.inputs):
        return
    ways = [replace(found, reads=found.reads | _reads(given, value.name))]
    for wanted, input_ in zip(part.inputs, given, strict=True):
        ways = [longer for way in ways for longer in _find(wanted, input_, graph, way)]
    yield from ways


def _reads(inputs: Sequence[Value | None], reader: str) -> set[tuple[str, str, int]]:
    """Return which inputs a node reads; see `Found.reads`."""
    return {(v.name, reader, slot) for slot, v in enumerate(inputs) if v is not None}


def takes_leaves(part: Made) -> bool:
    """Tell whether a node is the root of a tree of its operator: `Max(*xs)`."""
    return bool(part.inputs) and isinstance(part.inputs[-1], Leaves)


def _find_leaves(
    part: Made, value: Value, maker: Maker, graph: Graph, found: Found
) -> Iterator[Found]:
    """Find the leaves of a tree, from left to right; what others read too is a leaf."""
    leaves: list[Value] = []
    inner: set[str] = set()
    present = [v for v in maker.inputs if v is not None]
    reads = _reads(present, value.name)
    pending = present[::-1]
    while pending:
        input_ = pending.pop()
        deeper = graph.node_of(input_) if graph.is_read_once(input_) else None
        if deeper is None or deeper.operator != part.operator or deeper.attributes:
            leaves.append(input_)
            continue
        present = [v for v in deeper.inputs if v is not None]
        reads |= _reads(present, input_.name)
        inner.add(input_.name)
        pending += present[::-1]
    found = replace(found, inner=found.inner | inner, reads=found.reads | reads)
    named = found.with_name(part.inputs[-1].name, as_static(leaves))  # type: ignore[union-attr]
    if named is not None:
        yield named


def parse_match(text: str, place: Place) -> Made:
    """Read what a pattern looks for.

    Raises:
        RowError: When it is nothing that can be looked for.

    Example:
        >>> parse_match("Max(x, 0)", Place("rows.yaml", 3)).inputs
        (Tensor(name='x', optional=False), Number(number=0))
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        raise RowError(place, f"{text!r} is no pattern: {error.msg}") from None
    part = _part(tree, place, outermost=True)
    if not isinstance(part, Made) or part.whole_row:
        raise RowError(place, f"{text!r} is no node: begin with an operator, such as Max(x, 0)")
    return part


def _part(tree: ast.expr, place: Place, outermost: bool = False) -> Part:
    number = _number(tree)
    if number is not None:
        return Number(number)
    if isinstance(tree, ast.Name):
        return Tensor(tree.id)
    if isinstance(tree, ast.Constant) and tree.value is None:
        return Absent()
    if isinstance(tree, ast.NamedExpr) and not outermost:
        made = _part(tree.value, place)
        if isinstance(made, Made):
            return replace(made, name=tree.target.id)
    if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name):
        if tree.func.id == MAYBE:
            return _optional(tree, place)
        return _made(tree, tree.func.id, place)
    raise RowError(
        place,
        f"{ast.unparse(tree)!r} can't be looked for: there are nodes, Max(x, 0), names, numbers, None, "
        "name := Node(…), Node(*names) and op('Class', x)",
    )


def _optional(tree: ast.Call, place: Place) -> Tensor:
    names = [argument.id for argument in tree.args if isinstance(argument, ast.Name)]
    if len(names) != 1 or len(tree.args) != 1 or tree.keywords:
        raise RowError(
            place, f"{MAYBE} takes the name of an input that may be left out: {MAYBE}(b)"
        )
    return Tensor(names[0], optional=True)


def _made(tree: ast.Call, name: str, place: Place) -> Made:
    arguments = tree.args
    if name == OP:
        first = arguments[0] if arguments else None
        if not isinstance(first, ast.Constant) or not isinstance(first.value, str):
            raise RowError(place, "op takes the name of a PyTensor class first: op('Erfc', x)")
        if tree.keywords:
            raise RowError(place, "op takes no attributes: the nodes of a row are not looked at")
        inputs = tuple(_part(argument, place) for argument in arguments[1:])
        return Made(first.value, inputs, whole_row=True)
    if not name[0].isupper():
        raise RowError(place, f"{name!r} can't be looked for: nodes are written with a capital")
    if len(arguments) == 1 and isinstance(arguments[0], ast.Starred):
        star = arguments[0].value
        if isinstance(star, ast.Name) and not tree.keywords:
            return Made(name, (Leaves(star.id),))
        raise RowError(place, f"a tree of nodes has a name alone, as in {name}(*xs)")
    return Made(
        name,
        tuple(_part(argument, place) for argument in arguments),
        tuple(_attribute(keyword, place) for keyword in tree.keywords),
    )


def _attribute(keyword: ast.keyword, place: Place) -> tuple[str, str | Number | Literal]:
    number = _number(keyword.value)
    if keyword.arg is None:
        raise RowError(place, "** is not allowed")
    if number is not None:
        return keyword.arg, Number(number)
    if isinstance(keyword.value, ast.Name):
        return keyword.arg, keyword.value.id
    try:
        return keyword.arg, Literal(as_static(ast.literal_eval(keyword.value)))
    except ValueError:
        raise RowError(
            place, f"{keyword.arg} is a name or a value, not {ast.unparse(keyword.value)}"
        ) from None


def _number(tree: ast.expr) -> float | None:
    sign = -1 if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub) else 1
    inner = tree.operand if isinstance(tree, ast.UnaryOp) else tree
    if isinstance(inner, ast.Name) and inner.id == "inf":
        return sign * float("inf")
    if isinstance(inner, ast.Constant) and isinstance(inner.value, int | float):
        return sign * inner.value
    return None


def names_of(part: Part) -> Iterator[str]:
    """Yield the names that a pattern binds, each once or more."""
    if isinstance(part, Tensor | Leaves):
        yield part.name
    elif isinstance(part, Made):
        if part.name:
            yield part.name
        yield from (wanted for _, wanted in part.attributes if isinstance(wanted, str))
        for inner in part.inputs:
            yield from names_of(inner)


def nodes_in(part: Part) -> Iterator[Made]:
    """Yield the nodes that a pattern looks for, the outermost first."""
    if isinstance(part, Made):
        yield part
        for inner in part.inputs:
            yield from nodes_in(inner)
