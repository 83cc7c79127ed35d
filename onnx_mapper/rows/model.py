"""The nouns of a mapping file: a row, its attributes with their verbs, and its body."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from onnx_mapper.errors import Place
from onnx_mapper.language.match import Made, names_of
from onnx_mapper.language.scope import Definition, Formula, Statement

ALWAYS_IN_SCOPE = frozenset({"out", "outs", "opset", "random"})
"""Names that every formula of a row may read."""


@dataclass(frozen=True)
class HookCall:
    """`{hook: flip}`: one of the Python escapes in hooks.py.

    Attributes:
        name: The hook's name.
        place: Where the row asks for it.
    """

    name: str
    place: Place


@dataclass(frozen=True)
class To:
    """`to: strides`: the attribute becomes that attribute of the ONNX node.

    Attributes:
        target: The ONNX attribute.
        value: Computes it from the PyTensor attribute; the attribute itself if None.
        table: Entries by the PyTensor attribute's value; they go before everything else.
        otherwise: What holds for values that the table does not list.
        spot: The call in the row's body that receives it.
    """

    target: str
    value: Formula | None
    table: tuple[tuple[Any, Formula], ...]
    otherwise: Formula | HookCall | None
    spot: tuple[str, int]


@dataclass(frozen=True)
class Rewrite:
    """`rewrite: {kernel: …}`: when the attribute is true, the node is fed something else.

    Attributes:
        inputs: The inputs that are replaced, each with what replaces it.
    """

    inputs: tuple[tuple[str, Formula | HookCall], ...]


@dataclass(frozen=True)
class Require:
    """`require: 2`: any other value is refused.

    Attributes:
        value: The value that the row is written for.
        because: Why others can't be expressed.
    """

    value: Any
    because: str


@dataclass(frozen=True)
class Ignore:
    """`ignore: reason`: the attribute has no effect on values.

    Attributes:
        reason: Why it has none.
    """

    reason: str


Verb = To | Rewrite | Require | Ignore


@dataclass(frozen=True)
class Attribute:
    """One attribute of a PyTensor Op, and what the row does with it.

    Attributes:
        name: Its name on the Op.
        optional: Whether some PyTensor lines don't have it (`check_finite?` in the file).
        verb: What becomes of it.
        place: Where it stands.
    """

    name: str
    optional: bool
    verb: Verb
    place: Place


@dataclass(frozen=True)
class Need:
    """A condition that must hold for the op to be expressible.

    Attributes:
        condition: A formula; true where the row can go on.
        because: The reason to give where it is false.
    """

    condition: Formula
    because: str


class Origin(Protocol):
    """The entry of a mapping file that a row comes from."""

    def place(self, *keys: str | int) -> Place:
        """Return where a part of the entry stands."""

    def row(self, entry: Mapping[str, Any]) -> Row:
        """Read the entry again, with other data in it."""


@dataclass(frozen=True)
class Row:
    """What a PyTensor Op is in ONNX.

    Exactly one of `body`, `inline`, `delegate`, `unfuse` and `refuse` says how it is expressed.

    Attributes:
        ops: The class, as `module:Class`, under all homes that it has had.
        place: Where the row starts.
        summary: One line on what the op computes.
        subclasses: Whether subclasses without a row of their own are served too.
        broadcasts: Whether inputs and outputs have equal sizes along each axis where they are
            not statically 1, so that either can be asked for them.
        inputs: Names of the inputs; a last `*name` takes all that are left, a `name?` may be
            missing, and a `name=` is no input of a class that has an attribute of that name.
        reads: Attributes beside `__props__` that formulas read.
        may_lack: Those of them that some PyTensor lines don't have (`initial?` in the file); they
            are None there.
        choose: Tells several rows of one class apart.
        needs: Conditions for being expressible, with reasons.
        promote: The dtype that inputs are cast to beforehand: for `None` all inputs.
        let: Named static values, computed when first used.
        rewrite: What takes the place of some inputs, after they are cast.
        body: Statements that make the nodes.
        outputs: Names in the body of the results, if there are several.
        attributes: The op's attributes and their verbs.
        inline: The attribute that holds an inner graph, which takes the op's place.
        delegate: The attribute that holds another op, whose row takes over.
        unfuse: The attribute that holds the step of a reduction, fused with elementwise ops.
        batched: Whether the body also holds for inputs with leading batch axes.
        finish: Applied to each result of a delegated or inlined op, as `result`.
        refuse: Why the op can't be expressed at all.
        pattern: For what several nodes together are, its name; such a row has no ops.
        match: The nodes that a pattern looks for, in the forms that they may have.
        where: Conditions that must hold where it is found.
        cases: Conformance cases, as written.
        deviations: Where PyTensor's numbers can't be followed, as written.
        equivalent: Mutants that make no difference, as written.
        shipped: Whether the row comes with the package, and not from the user.
        file: The file that it stands in.
        source: The row as data, for documentation and mutants.
        origin: What read the row, and can read a changed one.
    """

    ops: tuple[str, ...]
    place: Place
    summary: str
    subclasses: bool = False
    broadcasts: bool = False
    inputs: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    may_lack: frozenset[str] = frozenset()
    choose: Formula | None = None
    needs: tuple[Need, ...] = ()
    promote: tuple[tuple[str | None, Formula], ...] = ()
    let: tuple[tuple[str, Formula], ...] = ()
    rewrite: tuple[tuple[str, Formula], ...] = ()
    body: tuple[Statement, ...] = ()
    outputs: tuple[str, ...] = ()
    attributes: tuple[Attribute, ...] = ()
    inline: str | None = None
    delegate: str | None = None
    unfuse: str | None = None
    batched: bool = False
    finish: Formula | None = None
    refuse: str | None = None
    pattern: str = ""
    match: tuple[Made, ...] = ()
    where: tuple[Formula, ...] = ()
    cases: tuple[Any, ...] = field(default=(), compare=False)
    deviations: tuple[Any, ...] = field(default=(), compare=False)
    equivalent: tuple[Any, ...] = field(default=(), compare=False)
    shipped: bool = False
    file: Path | None = field(default=None, compare=False)
    source: Any = field(default=None, compare=False, repr=False)
    origin: Origin | None = field(default=None, compare=False, repr=False)

    @property
    def name(self) -> str:
        """The Op's class name, or the pattern's own."""
        return self.pattern or self.ops[0].rpartition(":")[2]

    @property
    def title(self) -> str:
        """Place and class, as errors show them: `conv.yaml:2 AbstractConv2d`."""
        return f"{self.place.file}:{self.place.line} {self.name}"

    @cached_property
    def match_names(self) -> tuple[str, ...]:
        """The names in all forms of a pattern, in order."""
        return tuple(dict.fromkeys(name for form in self.match for name in names_of(form)))

    @property
    def at(self) -> str:
        """Where the row starts: `conv.yaml:2`."""
        return f"{self.place.file}:{self.place.line}"

    @property
    def result_place(self) -> Place:
        """Where the row's result stands: the last statement of its body, if it has one."""
        return self.body[-1].formula.place if self.body else self.place

    @property
    def draws(self) -> bool:
        """Whether the row needs to be told what to do about random numbers."""
        return any("random" in need.condition.names for need in self.needs)

    def locate(self, *keys: str | int) -> Place:
        """Return where the part of the row that some keys lead to stands."""
        return self.place if self.origin is None else self.origin.place(*keys)

    def input_names(self) -> tuple[str, ...]:
        """Return the inputs' names without their marks."""
        return tuple(name.strip("*?=") for name in self.inputs)

    def inputs_beside(self, props: Collection[str]) -> tuple[str, ...]:
        """Return the inputs' names, with their marks, of a class with these attributes."""
        kept = (name for name in self.inputs if not (name[-1] == "=" and name[:-1] in props))
        return tuple(name.rstrip("=") for name in kept)


@dataclass(frozen=True)
class MappingFile:
    """One YAML file, read.

    Attributes:
        rows: Its rows, patterns among them.
        definitions: The functions that it defines.
    """

    rows: tuple[Row, ...]
    definitions: tuple[Definition, ...]


def formulas_of(row: Row) -> Iterator[Formula]:
    """Yield a row's formulas outside its body."""
    if row.choose:
        yield row.choose
    yield from row.where
    yield from (need.condition for need in row.needs)
    yield from (formula for _, formula in row.promote)
    yield from (formula for _, formula in row.let)
    yield from (formula for _, formula in row.rewrite)
    if row.finish:
        yield row.finish
    for attribute in row.attributes:
        verb = attribute.verb
        if isinstance(verb, To):
            candidates = [verb.value, verb.otherwise, *(f for _, f in verb.table)]
        elif isinstance(verb, Rewrite):
            candidates = [body for _, body in verb.inputs]
        else:
            candidates = []
        yield from (item for item in candidates if isinstance(item, Formula))
