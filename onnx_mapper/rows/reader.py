"""From a mapping file's data to rows: every entry becomes a frozen dataclass or a RowError."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from onnx_mapper.errors import Place, RowError, told_with_folder
from onnx_mapper.language.calls import call_spot
from onnx_mapper.language.formula import node_calls, parse_formula, parse_statement
from onnx_mapper.language.match import parse_match
from onnx_mapper.language.scope import Definition, Formula, Statement
from onnx_mapper.language.values import as_static
from onnx_mapper.language.vocabulary import CONSTANTS
from onnx_mapper.model.operators import attributes_of
from onnx_mapper.rows import every_case, strict_yaml
from onnx_mapper.rows.model import (
    ALWAYS_IN_SCOPE,
    Attribute,
    HookCall,
    Ignore,
    MappingFile,
    Need,
    Require,
    Rewrite,
    Row,
    To,
    Verb,
)
from onnx_mapper.rows.schema import validate_entry
from onnx_mapper.rows.strict_yaml import Document, Key
from onnx_mapper.rows.validated import is_validated

WHEN = "when "
"""What the key of a statement with a condition begins with."""

_SIGNATURE = re.compile(r"^\s*([a-z][a-z0-9_]*)\s*\(([^()]*)\)\s*$")
_VERBS = ("to", "rewrite", "require", "ignore")
_MEANINGS = ("onnx", "inline", "delegate", "unfuse", "refuse")


def read_mapping_file(path: Path, shipped: bool = False) -> MappingFile:
    """Read one YAML file of rows, families and definitions.

    Args:
        path: The file.
        shipped: Whether it comes with the package.

    Raises:
        RowError: At the first thing in it that is wrong, with file, line and path.
    """
    with told_with_folder(None if shipped else path):
        document = strict_yaml.read(path)
        file = read_document(document, shipped and is_validated(path))
    rows = (replace(row, shipped=shipped, file=path) for row in file.rows)
    return replace(file, rows=tuple(rows))


def read_document(document: Document, validated: bool = False) -> MappingFile:
    """Turn a file's data into rows and definitions; see `read_mapping_file`.

    Args:
        document: The file's data.
        validated: Whether it is known to have the schema's shape.
    """
    if not isinstance(document.data, list):
        raise RowError(Place(document.file, 1), "a mapping file is a list: start entries with '- '")
    rows: list[Row] = []
    definitions: list[Definition] = []
    defaults = _Defaults()
    first = _Reader(document, (0,), defaults)
    for position, entry in enumerate(document.data):
        reader = _Reader(document, (position,), defaults)
        if not validated:
            validate_entry(entry, document, (position,))
        if "defaults" in entry:
            if position:
                raise RowError(reader.place("defaults"), "defaults are the first entry of a file")
            defaults = reader.defaults_of(entry)
        elif "define" in entry:
            definitions.append(reader.definition(entry))
        elif "family" in entry:
            rows.extend(reader.family(defaults.with_needs(entry)))
        else:
            reader.check_every_case(entry.get("every_case", {}), entry.get("cases"))
            rows.append(reader.row(defaults.with_needs(entry)))
    first.check_every_case(defaults.every_case, [case for row in rows for case in row.cases])
    return MappingFile(tuple(rows), tuple(definitions))


@dataclass(frozen=True)
class _Defaults:
    """What the rows of a file share.

    Attributes:
        tolerances: Tolerances of cases, by the names that cases call them.
        ignored: Attributes without effect, which rows need not tell of.
        every_case: Keys of cases that don't say otherwise.
        needs: Conditions that all rows have that map anything, with reasons.
    """

    tolerances: Mapping[str, Any] = field(default_factory=dict)
    ignored: tuple[Attribute, ...] = ()
    every_case: Mapping[str, Any] = field(default_factory=dict)
    needs: Mapping[str, str] = field(default_factory=dict)

    def with_needs(self, entry: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a row or family with the conditions that all have, behind its own."""
        if not self.needs or "refuse" in entry or "pattern" in entry:
            return entry
        return {**entry, "needs": {**entry.get("needs", {}), **self.needs}}


class _Reader:
    """Reads one entry; knows where each of its parts stands."""

    def __init__(self, document: Document, root: Key, defaults: _Defaults) -> None:
        self.document = document
        self.root = root
        self.defaults = defaults

    def defaults_of(self, entry: Mapping[str, Any]) -> _Defaults:
        ignored = tuple(
            Attribute(name, True, Ignore(reason), self.place("ignore", name))
            for name, reason in entry.get("ignore", {}).items()
        )
        return _Defaults(
            entry.get("tolerances", {}),
            ignored,
            entry.get("every_case", {}),
            entry.get("needs", {}),
        )

    def place(self, *keys: str | int) -> Place:
        line = self.document.line((*self._root_of(keys), *keys))
        return Place(self.document.file, line, "/".join(map(str, keys)))

    def _root_of(self, keys: Key) -> Key:
        """Return the entry that says something: this one, or the file's defaults."""
        shared = keys[:1] == ("needs",) and keys[1:2] and keys[1] in self.defaults.needs
        own = (*self.root, *keys) in self.document.lines
        return (0,) if shared and not own else self.root

    def formula(self, text: Any, *keys: str | int) -> Formula:
        return parse_formula(_as_text(text), self.place(*keys))

    def body(self, source: Any, *keys: str | int) -> tuple[Statement, ...]:
        if not isinstance(source, list):
            return (parse_statement(_as_text(source), self.place(*keys)),)
        statements = tuple(
            self.statement(written, *keys, position) for position, written in enumerate(source)
        )
        for position, statement in enumerate(statements[:-1]):
            if not statement.targets and statement.guard is None:
                raise RowError(
                    self.place(*keys, position),
                    "only the last statement may lack a name or a condition: write `name = …`, or "
                    "`when …: …`",
                )
        if statements[-1].guard is not None:
            raise RowError(
                self.place(*keys, len(statements) - 1),
                "the last statement holds without a condition: write what the result is otherwise",
            )
        return statements

    def statement(self, written: Any, *keys: str | int) -> Statement:
        """Read `name = …`, an expression, or `when condition: expression`."""
        if not isinstance(written, dict):
            return parse_statement(_as_text(written), self.place(*keys))
        ((condition, result),) = written.items()
        guard = parse_formula(condition.removeprefix(WHEN), self.place(*keys).within("when"))
        return Statement((), parse_formula(_as_text(result), self.place(*keys)), guard)

    def definition(self, entry: Mapping[str, Any]) -> Definition:
        match = _SIGNATURE.match(entry["define"])
        if not match:
            raise RowError(self.place("define"), "a definition is named like `log1p(x)`")
        parameters = tuple(p.strip() for p in match.group(2).split(",") if p.strip())
        body = self.body(entry["onnx"], "onnx")
        return Definition(
            match.group(1),
            parameters,
            (*_tables(entry.get("numbers", {}), parameters, body, self.place), *body),
            entry["summary"],
            self.place(),
            dict(entry),
            self,
        )

    def family(self, entry: Mapping[str, Any]) -> Iterator[Row]:
        shared = {key: value for key, value in entry.items() if key not in ("family", "rows")}
        homes = [shared["op"]] if isinstance(shared["op"], str) else shared["op"]
        for home in homes:
            if not home.endswith(":*"):
                raise RowError(
                    self.place("op"), f"a family's op ends in ':*', like {home.split(':')[0]}:*"
                )
        cases: list[Any] = []
        for name, member in entry["rows"].items():
            own = dict(member) if isinstance(member, dict) else {"onnx": member}
            merged = {"summary": f"{entry['family']}: {name}.", **shared, **own}
            if "attributes" in own:
                merged["attributes"] = {**shared.get("attributes", {}), **own["attributes"]}
            if "every_case" in own:
                merged["every_case"] = every_case.merged(
                    own["every_case"], shared.get("every_case", {})
                )
            if isinstance(own.get("cases"), dict) and isinstance(shared.get("cases"), dict):
                merged["cases"] = {**shared["cases"], **own["cases"]}
            cases.extend(_listed(merged.get("cases")))
            if "op" not in own:
                merged["op"] = [home[:-1] + name for home in homes]
            reader = _FamilyReader(self.document, self.root, self.defaults, name, frozenset(own))
            reader.check_every_case(own.get("every_case", {}), merged.get("cases"))
            yield reader.row(merged)
        self.check_every_case(shared.get("every_case", {}), cases)

    def pattern(self, entry: Mapping[str, Any]) -> Row:
        """Read what several nodes together are."""
        cases = _listed(entry.get("cases"))
        for position, case in enumerate(cases):
            for key in ("graph", *(() if position else ("expect",))):
                if key not in case:
                    place = self.place("cases", position)
                    raise RowError(place, f"this case of a pattern has no `{key}`: write it")
        forms = [entry["match"]] if isinstance(entry["match"], str) else entry["match"]
        return Row(
            ops=(),
            place=self.place(),
            summary=entry["summary"],
            pattern=entry["pattern"],
            match=tuple(
                parse_match(text, self.place("match", position))
                for position, text in enumerate(forms)
            ),
            where=tuple(
                self.formula(text, "where", position)
                for position, text in enumerate(entry.get("where", ()))
            ),
            body=self.body(entry["onnx"], "onnx"),
            cases=tuple(self._case(case, entry) for case in cases),
            deviations=tuple(entry.get("deviations", ())),
            equivalent=tuple(entry.get("equivalent", ())),
            source=dict(entry),
            origin=self,
        )

    def row(self, entry: Mapping[str, Any]) -> Row:
        if "pattern" in entry:
            return self.pattern(entry)
        place = self.place()
        meanings = [key for key in _MEANINGS if key in entry]
        if len(meanings) != 1:
            raise RowError(place, f"a row has exactly one of: {', '.join(_MEANINGS)}")
        ops = [entry["op"]] if isinstance(entry["op"], str) else entry["op"]
        body = self.body(entry["onnx"], "onnx") if "onnx" in entry else ()
        row = Row(
            ops=tuple(ops),
            place=place,
            summary=entry["summary"],
            subclasses=entry.get("subclasses", False),
            broadcasts=entry.get("broadcasts", False),
            inputs=tuple(entry.get("inputs", ())),
            reads=tuple(name.rstrip("?") for name in entry.get("reads", ())),
            may_lack=frozenset(n.rstrip("?") for n in entry.get("reads", ()) if n.endswith("?")),
            choose=self.formula(entry["choose"], "choose") if "choose" in entry else None,
            needs=tuple(
                Need(self.formula(text, "needs", text), because)
                for text, because in entry.get("needs", {}).items()
            ),
            promote=tuple(self._promote(entry.get("promote"))),
            let=tuple(
                (name, self.formula(text, "let", name))
                for name, text in entry.get("let", {}).items()
            ),
            rewrite=tuple(
                (name, self.formula(text, "rewrite", name))
                for name, text in entry.get("rewrite", {}).items()
            ),
            body=body,
            outputs=tuple(entry.get("outputs", ())),
            inline=entry.get("inline"),
            delegate=entry.get("delegate"),
            unfuse=entry.get("unfuse"),
            batched=entry.get("batched", False),
            finish=self.formula(entry["finish"], "finish") if "finish" in entry else None,
            refuse=entry.get("refuse"),
            cases=tuple(self._case(case, entry) for case in _listed(entry.get("cases"))),
            deviations=tuple(entry.get("deviations", ())),
            equivalent=tuple(entry.get("equivalent", ())),
            source=dict(entry),
            origin=self,
        )
        attributes = tuple(
            self._attribute(row, name, verbs) for name, verbs in entry.get("attributes", {}).items()
        )
        self._check_inputs(row, (name for name, _ in row.rewrite), "rewrite")
        told = {attribute.name for attribute in attributes}
        shared = tuple(a for a in self.defaults.ignored if a.name not in told)
        return replace(row, attributes=(*attributes, *(shared if body else ())))

    def _case(self, written: Any, entry: Mapping[str, Any]) -> Any:
        """Return a case with what it shares, and the tolerance that it calls by a name."""
        case = every_case.with_shared(
            written, entry.get("every_case", {}), self.defaults.every_case
        )
        name = case.get("tolerance")
        if not isinstance(name, str):
            return case
        if name not in self.defaults.tolerances:
            listed = ", ".join(self.defaults.tolerances) or "none"
            raise RowError(
                self.place("cases"),
                f"no tolerance is called {name!r}; the file's `defaults` have: {listed}",
            )
        return {**case, "tolerance": self.defaults.tolerances[name]}

    def check_every_case(self, own: Mapping[str, Any], cases: Any) -> None:
        """Refuse what a row, a family or a file says of every case, and none of its cases has."""
        if own and not cases:
            raise RowError(self.place("every_case"), "there are no `cases` that could have this")
        for name in every_case.unused_names(own, _listed(cases)):
            key, _, what = name.partition("/")
            raise RowError(
                self.place("every_case", key, what),
                f"no case has {what!r}: drop it, or name an input or a free axis of the cases",
            )

    def _check_inputs(self, row: Row, names: Iterable[str], *keys: str | int) -> None:
        for name in names:
            if name not in row.input_names():
                raise RowError(
                    self.place(*keys),
                    f"{name!r} is no input; there are: {', '.join(row.input_names())}",
                )

    def _promote(self, source: Any) -> Iterator[tuple[str | None, Formula]]:
        if isinstance(source, dict):
            for name, text in source.items():
                yield name, self.formula(text, "promote", name)
        elif source is not None:
            yield None, self.formula(source, "promote")

    def _attribute(self, row: Row, name: str, verbs: Mapping[str, Any]) -> Attribute:
        place = self.place("attributes", name)
        chosen = [verb for verb in _VERBS if verb in verbs]
        if len(chosen) != 1:
            raise RowError(place, f"an attribute has exactly one verb of: {', '.join(_VERBS)}")
        return Attribute(name.rstrip("?"), name.endswith("?"), self._verb(row, name, verbs), place)

    def _verb(self, row: Row, name: str, verbs: Mapping[str, Any]) -> Verb:
        keys = ("attributes", name)
        if "ignore" in verbs:
            return Ignore(verbs["ignore"])
        if "require" in verbs:
            return Require(as_static(verbs["require"]), verbs.get("because", ""))
        if "rewrite" in verbs:
            replaced = verbs["rewrite"]
            self._check_inputs(row, replaced, *keys, "rewrite")
            return Rewrite(
                tuple(
                    (input_, self._formula_or_hook(body, *keys, "rewrite", input_))
                    for input_, body in replaced.items()
                )
            )
        return To(
            target=verbs["to"],
            value=self.formula(verbs["value"], *keys, "value") if "value" in verbs else None,
            table=tuple(
                (as_static(_table_key(entry)), self.formula(text, *keys, "table", entry))
                for entry, text in verbs.get("table", {}).items()
            ),
            otherwise=(
                self._formula_or_hook(verbs["otherwise"], *keys, "otherwise")
                if "otherwise" in verbs
                else None
            ),
            spot=self._receiver(row, name, verbs["to"]),
        )

    def _formula_or_hook(self, source: Any, *keys: str | int) -> Formula | HookCall:
        if isinstance(source, dict):
            return HookCall(source["hook"], self.place(*keys))
        return self.formula(source, *keys)

    def _receiver(self, row: Row, attribute: str, target: str) -> tuple[str, int]:
        """Find the call in the body that a `to:` verb feeds: the outermost that can take it."""
        place = self.place("attributes", attribute)
        if not row.body:
            raise RowError(place, "`to` needs a body: write `onnx:`")
        found: list[str] = []
        having: list[str] = []
        for statement in reversed(row.body):
            for call in node_calls(statement.formula.tree):
                op_type = call.func.id  # type: ignore[attr-defined]
                given = {keyword.arg for keyword in call.keywords}
                attributes = attributes_of(op_type)
                if target in attributes and target not in given:
                    return call_spot(statement.formula.place, call)
                if target in attributes:
                    having.append(op_type)
                found.append(f"{op_type}; it has: {', '.join(sorted(attributes)) or 'none'}")
        if having:
            raise RowError(
                place,
                f"the body gives {having[0]} its {target} by itself: drop `to: {target}`, or "
                f"{target} there",
            )
        listed = "; nor of ".join(dict.fromkeys(found)) or "a node: the body makes none"
        raise RowError(place, f"{target!r} is no attribute of {listed}")


class _FamilyReader(_Reader):
    """Reads one member of a family: its own parts stand below `rows/Name`."""

    def __init__(
        self,
        document: Document,
        root: Key,
        defaults: _Defaults,
        name: str,
        own: frozenset[str],
    ) -> None:
        super().__init__(document, root, defaults)
        self.name = name
        self.own = own

    def place(self, *keys: str | int) -> Place:
        if keys and keys[0] not in self.own:
            return super().place(*keys)
        below = ("rows", self.name, *keys)
        if self.own == {"onnx"} and (*self.root, *below) not in self.document.lines:
            below = ("rows", self.name, *keys[1:])
        line = self.document.line((*self.root, *below))
        path = "/".join(map(str, below)) if keys else ""
        return Place(self.document.file, line, path)


def _tables(
    numbers: Mapping[str, Any],
    parameters: tuple[str, ...],
    body: tuple[Statement, ...],
    place: Callable[..., Place],
) -> Iterator[Statement]:
    """Read the tables of numbers that a definition's body calls by their names."""
    read = {name for statement in body for f in statement.formulas for name in f.names}
    assigned = {target for statement in body for target in statement.targets}
    for name, values in numbers.items():
        where = place("numbers", name)
        if name in parameters:
            raise RowError(where, f"{name!r} is an argument already: name the numbers otherwise")
        if name in assigned or name in CONSTANTS or name in ALWAYS_IN_SCOPE:
            raise RowError(where, f"{name!r} means something else here: name the numbers otherwise")
        if name not in read:
            raise RowError(where, f"no formula reads {name!r}: drop it, or use it in `onnx`")
        yield Statement((name,), parse_formula(_as_text(values), where))


def _as_text(source: Any) -> str:
    if isinstance(source, bool):
        return str(source)
    return source if isinstance(source, str) else repr(source)


def _listed(source: Any) -> list[Any]:
    if source is None:
        return []
    return source if isinstance(source, list) else [source]


def _table_key(text: str) -> Any:
    """Read a table's key: `half`, `2`, `true` and `none` stand for what they say."""
    words = {"true": True, "false": False, "none": None}
    if text in words:
        return words[text]
    return int(text) if re.fullmatch(r"-?\d+", text) else text
