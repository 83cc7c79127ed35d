"""From a row's `cases:` and `deviations:`, as written, to frozen dataclasses or a RowError."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from onnx_mapper.conformance.cases.default_cases import LETTERS, default_cases, is_scalar
from onnx_mapper.conformance.cases.dtypes import FLOATS, GROUPS, expand
from onnx_mapper.conformance.cases.exempt_reader import (
    ALWAYS_NAMED,
    is_about_installed,
    read_deviation,
    read_exempt,
    with_known_names,
)
from onnx_mapper.conformance.cases.input_specs import (
    LETTER,
    axis_names,
    free_names,
    parse_input,
    same_free_axis,
)
from onnx_mapper.conformance.cases.model import (
    DYNAMIC,
    STATIC,
    Case,
    Choice,
    Exempt,
    Expectation,
    InputSpec,
    RefuseCase,
    RowCases,
    Tolerance,
)
from onnx_mapper.conformance.graphs.language import GraphFormula, parse_graph
from onnx_mapper.errors import Place, RowError
from onnx_mapper.language.formula import parse_formula
from onnx_mapper.language.scope import Formula
from onnx_mapper.language.values import DTYPES
from onnx_mapper.opsets import DEFAULT_OPSET, NEWEST_OPSET, OLDEST_OPSET, OPSETS
from onnx_mapper.options import RandomPolicy
from onnx_mapper.rows.model import Row

SCALAR_DTYPES = (*GROUPS["all"], "float16")
TESTED_OPSETS = (OLDEST_OPSET, DEFAULT_OPSET, NEWEST_OPSET)
MAIN_SIZES = (3, 5, 4, 7, 2, 6)
EDGE_SIZES = (1, 0)


def read_cases(row: Row) -> RowCases:
    """Read a row's cases and deviations.

    A row of a scalar Op needs not write any: its inputs, their dtypes and their numbers follow
    from its arity.

    Raises:
        RowError: At the first thing that is wrong, with file, line and path.
    """
    listed = isinstance(row.source.get("cases") if row.source else None, list)
    written = list(row.cases) or ([{}] if is_scalar(row) and row.inputs else [])
    cases: list[Case] = []
    for position, source in enumerate(written):
        if not is_about_installed(source):
            continue
        keys: tuple[str | int, ...] = ("cases", position) if listed else ("cases",)
        cases.extend(_CaseReader(row, keys, source).read(position))
    names = [case.name for case in cases]
    for case in cases:
        if names.count(case.name) > 1:
            raise RowError(case.place, f"two cases are named {case.name!r}: give one a `name`")
    deviations = tuple(
        read_deviation(row, source, ("deviations", position), cases)
        for position, source in enumerate(row.deviations)
        if is_about_installed(source)
    )
    return RowCases(tuple(cases), deviations)


class _CaseReader:
    """Reads one entry of `cases:`."""

    def __init__(self, row: Row, keys: tuple[str | int, ...], source: Mapping[str, Any]) -> None:
        self.row = row
        self.keys = keys
        self.source = source

    def place(self, *keys: str | int) -> Place:
        return self.row.locate(*self.keys, *keys)

    def read(self, position: int) -> Iterator[Case]:
        name = self.source.get("name", "" if position == 0 else f"case{position + 1}")
        if "inputs" in self.source:
            yield self.case(name, self.source["inputs"])
        elif is_scalar(self.row) and self.row.inputs:
            yield from default_cases(self, name)
        elif "graph" in self.source:
            yield self.case(name, {})
        else:
            raise RowError(self.place(), "the case has no `inputs`")

    def case(self, name: str, inputs: Mapping[str, str], plain: bool = False) -> Case:
        """Read the entry for these inputs; a plain case runs on the first dtypes only."""
        grid = tuple((key, tuple(values)) for key, values in self.source.get("grid", {}).items())
        grid_names = frozenset(key for key, _ in grid)
        axes = axis_names(self.source.get("inputs", {}))
        fixed = self.source.get("static", ())
        specs = tuple(
            parse_input(key, text, grid_names, axes, key in fixed, self.place("inputs", key))
            for key, text in inputs.items()
        )
        dtypes = tuple(self.dtypes(specs, plain))
        letters = frozenset(letter for letter, _ in dtypes)
        free = free_names(specs, grid_names)
        names = grid_names | letters | frozenset(free)
        graph = self.graph(specs, names) if "graph" in self.source else None
        self.check_grid(grid_names, graph, specs)
        case = Case(
            name=name,
            inputs=specs,
            dtypes=dtypes,
            grid=grid,
            given=tuple(self.given(specs)),
            graph=graph,
            sizes=tuple(self.sizes(free)),
            domain=tuple(self.domain(specs, names)),
            special=tuple(self.special(specs, names)),
            values=tuple(self.values(specs)),
            opsets=self.opsets(self.source) or TESTED_OPSETS,
            shapes=self.shapes(),
            random=_numbers_of_draws(self),
            avoid=tuple(
                self.avoid(source, i, specs, names)
                for i, source in enumerate(self.source.get("avoid", ()))
            ),
            expect=tuple(self.expect(grid_names, letters, specs)),
            tolerance=self.tolerance(),
            refuse=()
            if plain
            else tuple(
                self.refuse(source, i, grid_names, letters, specs)
                for i, source in enumerate(self.source.get("refuse", ()))
            ),
            dtypes_are_stated="dtypes" in self.source or not is_scalar(self.row),
            elementwise=is_scalar(self.row) and same_free_axis(specs, free),
            place=self.place(),
        )
        for key in ("domain", "special", "values", "given"):
            self._check_names(key, {spec.name for spec in specs}, "input", plain)
        self._check_names("sizes", set(free), "free axis name", plain)
        self._check_names("dtypes", letters, "dtype letter of the inputs", plain)
        return case

    def _check_names(self, key: str, known: Any, what: str, plain: bool) -> None:
        for name in self.source.get(key, {}):
            if name not in known and not plain and not self._is_default():
                listed = ", ".join(sorted(known)) or "none"
                raise RowError(self.place(key, name), f"{name!r} is no {what}; there are: {listed}")

    def avoid(
        self,
        source: Mapping[str, Any],
        position: int,
        specs: Sequence[InputSpec],
        names: frozenset[str],
    ) -> Exempt:
        letters = LETTERS if self._is_default() else frozenset()
        keys = (*self.keys, "avoid", position)
        return read_exempt(self.row, source, keys, specs, names | frozenset(letters))

    def _is_default(self) -> bool:
        return "inputs" not in self.source and is_scalar(self.row)

    def dtypes(
        self, specs: Sequence[InputSpec], plain: bool
    ) -> Iterator[tuple[str, tuple[str, ...]]]:
        written = self.source.get("dtypes", {})
        letters = dict.fromkeys(s.dtype for s in specs if s.dtype not in DTYPES)
        extra = dict.fromkeys(name for name in written if LETTER.match(name))
        if not self._is_default():
            letters |= extra
        for letter in letters:
            default = SCALAR_DTYPES if is_scalar(self.row) else FLOATS
            found = (
                tuple(self._dtype_list(written[letter], letter)) if letter in written else default
            )
            yield letter, found[:1] if plain else found

    def _dtype_list(self, source: Any, letter: str) -> Iterator[str]:
        seen: set[str] = set()
        for name in source if isinstance(source, list) else [source]:
            found = expand(name)
            if not found:
                listed = ", ".join((*GROUPS, *DTYPES))
                raise RowError(
                    self.place("dtypes", letter), f"{name!r} is no dtype; there are: {listed}"
                )
            yield from (dtype for dtype in found if dtype not in seen)
            seen.update(found)

    def graph(self, specs: Sequence[InputSpec], names: frozenset[str]) -> GraphFormula:
        graph = parse_graph(self.source["graph"], self.place("graph"))
        known = names | {spec.name for spec in specs} | ALWAYS_NAMED
        return with_known_names(graph, known)

    def check_grid(
        self, grid: frozenset[str], graph: GraphFormula | None, specs: Sequence[InputSpec]
    ) -> None:
        if graph is None:
            return
        used = set(graph.names)
        for spec in specs:
            for dim in spec.dims:
                used |= dim.names
        for key in sorted(grid - used):
            raise RowError(self.place("grid", key), f"neither `graph` nor `inputs` reads {key!r}")

    def given(self, specs: Sequence[InputSpec]) -> Iterator[tuple[str, tuple[str, ...]]]:
        written = self.source.get("given", {})
        for spec in specs:
            ways = written.get(spec.name, ["input"])
            yield spec.name, tuple(ways if isinstance(ways, list) else [ways])

    def sizes(self, free: Sequence[str]) -> Iterator[tuple[str, tuple[int, ...]]]:
        written = self.source.get("sizes", {})
        for position, name in enumerate(free):
            main = MAIN_SIZES[position % len(MAIN_SIZES)]
            sizes = written.get(name, [main, *EDGE_SIZES])
            yield name, tuple(sizes if isinstance(sizes, list) else [sizes])

    def formula(self, source: Any, names: frozenset[str], *keys: str | int) -> Formula:
        formula = parse_formula(
            source if isinstance(source, str) else repr(source), self.place(*keys)
        )
        for name in sorted(formula.names - names - ALWAYS_NAMED):
            listed = ", ".join(sorted(names | ALWAYS_NAMED))
            raise RowError(self.place(*keys), f"{name!r} is not defined; there are: {listed}")
        return formula

    def domain(
        self, specs: Sequence[InputSpec], names: frozenset[str]
    ) -> Iterator[tuple[str, tuple[Formula, Formula]]]:
        for spec in specs:
            bounds = self._of_input("domain", spec)
            if bounds is not None:
                low, high = bounds
                keys = ("domain", spec.name)
                yield spec.name, (self.formula(low, names, *keys), self.formula(high, names, *keys))

    def special(
        self, specs: Sequence[InputSpec], names: frozenset[str]
    ) -> Iterator[tuple[str, tuple[Formula, ...]]]:
        for spec in specs:
            numbers = self._of_input("special", spec)
            if numbers is not None:
                keys = ("special", spec.name)
                yield spec.name, tuple(self.formula(number, names, *keys) for number in numbers)

    def _of_input(self, key: str, spec: InputSpec) -> Any:
        """Return what is written for an input; `*terms` of a default case share one entry."""
        written = self.source.get(key, {})
        stem = spec.name.rpartition("_")[0]
        shared = f"*{stem}" in self.row.inputs and self._is_default()
        return written.get(spec.name, written.get(stem) if shared else None)

    def values(self, specs: Sequence[InputSpec]) -> Iterator[tuple[str, tuple[Any, ...]]]:
        for spec in specs:
            arrays = self.source.get("values", {}).get(spec.name)
            if arrays is None:
                continue
            for position, array in enumerate(arrays):
                self._check_array(array, spec, position)
            yield spec.name, tuple(arrays)

    def _check_array(self, array: Any, spec: InputSpec, position: int) -> None:
        depth, inner = 0, array
        while isinstance(inner, list):
            depth += 1
            inner = inner[0] if inner else None
        if depth != len(spec.dims) and not (isinstance(array, list) and inner is None):
            raise RowError(
                self.place("values", spec.name, position),
                f"{spec.name} has {len(spec.dims)} axes, not {depth}",
            )

    def opsets(self, source: Mapping[str, Any], *keys: str | int) -> tuple[int, ...]:
        opsets = source.get("opsets", ())
        for opset in opsets:
            if opset not in OPSETS:
                raise RowError(
                    self.place(*keys, "opsets"),
                    f"{opset} is no opset; they go from {OPSETS[0]} to {OPSETS[-1]}",
                )
        return tuple(opsets)

    def shapes(self) -> tuple[str, ...]:
        chosen = self.source.get("shapes")
        return (STATIC, DYNAMIC) if chosen is None else (chosen,)

    def tolerance(self) -> Tolerance:
        source = self.source.get("tolerance", {})
        return Tolerance(
            ulps=source.get("ulps"),
            rtol=source.get("rtol"),
            atol=source.get("atol"),
            of_largest=source.get("of") == "largest",
            signed_zeros=source.get("signed_zeros", False),
            because=source.get("because", ""),
        )

    def expect(
        self, grid: frozenset[str], letters: frozenset[str], specs: Sequence[InputSpec]
    ) -> Iterator[Expectation]:
        entries = self.source.get("expect", [])
        if all(isinstance(entry, str) for entry in entries):
            if entries:
                yield Expectation(Choice(), tuple(entries), self.place("expect"))
            return
        for position, entry in enumerate(entries):
            keys = ("expect", position)
            if isinstance(entry, str):
                raise RowError(self.place(*keys), "write operators only, or mappings with `nodes`")
            choice = self.choice(entry, keys, grid, letters, specs)
            yield Expectation(choice, tuple(entry["nodes"]), self.place(*keys))

    def refuse(
        self,
        source: Mapping[str, Any],
        position: int,
        grid: frozenset[str],
        letters: frozenset[str],
        specs: Sequence[InputSpec],
    ) -> RefuseCase:
        keys = ("refuse", position)
        choice = self.choice(
            source, keys, grid, letters, specs, arguments="graph" not in self.source
        )
        graph = None
        if "graph" in source:
            known = grid | letters | {spec.name for spec in specs} | set(source.get("with", {}))
            graph = with_known_names(
                parse_graph(source["graph"], self.place(*keys, "graph")),
                frozenset(known) | ALWAYS_NAMED | frozenset(free_names(specs, grid)),
            )
        return RefuseCase(choice, graph, source["says"], self.place(*keys))

    def choice(
        self,
        source: Mapping[str, Any],
        keys: tuple[str | int, ...],
        grid: frozenset[str],
        letters: frozenset[str],
        specs: Sequence[InputSpec],
        arguments: bool = False,
    ) -> Choice:
        given = source.get("given", {})
        for key, known in (("with", grid), ("dtypes", letters), ("given", [s.name for s in specs])):
            for name in source.get(key, {}):
                elsewhere = key == "dtypes" and self._is_default() and name in LETTERS
                if name not in known and not elsewhere and not (key == "with" and arguments):
                    listed = ", ".join(sorted(known)) or "none"
                    raise RowError(
                        self.place(*keys, key, name),
                        f"{name!r} is not defined; there are: {listed}",
                    )
        return Choice(
            grid=tuple(source.get("with", {}).items()),
            dtypes=tuple(
                (letter, tuple(self._dtype_list(names, letter)))
                for letter, names in source.get("dtypes", {}).items()
            ),
            given=tuple(given.items()),
            opsets=self.opsets(source, *keys) or None,
            shapes=source.get("shapes"),
        )


def _numbers_of_draws(reader: _CaseReader) -> RandomPolicy:
    """Return where the numbers come from that draws of a case are computed from."""
    if "random" in reader.source and not reader.row.draws:
        raise RowError(reader.place("random"), "this row draws nothing at random: drop the key")
    policy: RandomPolicy = reader.source.get("random", "input")
    return policy
