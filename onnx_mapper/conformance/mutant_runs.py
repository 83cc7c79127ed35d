"""Which lies about rows the rows' cases notice."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from onnx_mapper.conformance.case_reader import is_about_installed
from onnx_mapper.conformance.items import Item
from onnx_mapper.conformance.mutants import Mutant, mutants_of
from onnx_mapper.conformance.oracle import FAILED, PASSED, Prepared
from onnx_mapper.conformance.workers import Died, run_jobs
from onnx_mapper.errors import MapperError
from onnx_mapper.formula import Definition, Formula, Statement
from onnx_mapper.row_checks import formulas_of
from onnx_mapper.rows import Row
from onnx_mapper.table import Table

SECONDS_PER_MUTANT = 300.0

KILLED = "killed"
SURVIVED = "survived"
EQUIVALENT = "equivalent"
WRONG = "wrong"


@dataclass(frozen=True)
class Verdict:
    """What came of a mutant.

    Attributes:
        label: What was changed.
        status: `killed`, `survived`, `equivalent` (survived, as the row says it does) or `wrong`
            (what the row says of it is not so).
        by: The item that noticed, or why it is wrong.
        diff: The change.
    """

    label: str
    status: str
    by: str = ""
    diff: str = ""


@dataclass(frozen=True)
class Verdicts:
    """What came of all mutants of a row or a definition.

    Attributes:
        title: `conv.yaml::AbstractConv2d` or `elemwise.yaml::log1p(x)`.
        verdicts: One for each.
    """

    title: str
    verdicts: tuple[Verdict, ...]

    def of(self, status: str) -> list[Verdict]:
        """Return the verdicts of one status."""
        return [verdict for verdict in self.verdicts if verdict.status == status]

    def line(self) -> str:
        """Return the line of the summary."""
        total = len(self.verdicts) - len(self.of(WRONG))
        parts = [f"{len(self.of(KILLED))}/{total} mutants killed"]
        if self.of(EQUIVALENT):
            parts.append(f"{len(self.of(EQUIVALENT))} equivalent")
        if self.of(SURVIVED):
            parts.append(f"{len(self.of(SURVIVED))} SURVIVED")
        if self.of(WRONG):
            parts.append(f"{len(self.of(WRONG))} entries of `equivalent` WRONG")
        return f"{self.title}: {', '.join(parts)}"

    def stories(self) -> list[str]:
        """Return each survivor as a diff, and each wrong entry."""
        told = [f"SURVIVED {self.title}: {v.label}\n{v.diff}" for v in self.of(SURVIVED)]
        return told + [f"WRONG {self.title}: equivalent {v.label!r} {v.by}" for v in self.of(WRONG)]

    def data(self) -> dict[str, Any]:
        """Return the entry of the JSON report."""
        return {
            "subject": self.title,
            "killed": len(self.of(KILLED)),
            "equivalent": [verdict.label for verdict in self.of(EQUIVALENT)],
            "survived": [verdict.label for verdict in self.of(SURVIVED)],
            "wrong": [verdict.label for verdict in self.of(WRONG)],
        }


class MutantJob:
    """The mutants of one row or definition, as steps.

    Args:
        title: What reports call it.
        subject: The row or definition.
        items: The items that may notice; the likeliest first.
        table: The table with the true rows.
    """

    def __init__(
        self, title: str, subject: Row | Definition, items: Sequence[Item], table: Table
    ) -> None:
        self.title = title
        self.subject = subject
        self.table = table
        self.mutants = mutants_of(subject)
        self._items = list(items)
        self._prepared: dict[str, Prepared | None] = {}
        self._kills: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.mutants)

    def step(self, position: int) -> str:
        """Return what noticed a mutant; nothing when no item did."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self._noticed(self.mutants[position])

    def _noticed(self, mutant: Mutant) -> str:
        try:
            table = mutant.table(self.table)
        except (MapperError, SyntaxError) as error:
            return f"does not load: {error}"
        for item in sorted(self._items, key=lambda item: -self._kills.get(item.id, 0)):
            prepared = self._ready(item)
            if prepared is not None and prepared.check(table).status == FAILED:
                self._kills[item.id] = self._kills.get(item.id, 0) + 1
                return item.id
        return ""

    def _ready(self, item: Item) -> Prepared | None:
        """Return an item that passes with the true row."""
        if item.id not in self._prepared:
            try:
                prepared = Prepared(item, self.table.language)
                passes = prepared.check(self.table).status == PASSED
            except Exception:
                passes = False
            self._prepared[item.id] = prepared if passes else None
        return self._prepared[item.id]

    def verdict(self, position: int, noticed: str | Died) -> Verdict:
        """Judge a mutant by what noticed it."""
        mutant = self.mutants[position]
        by = noticed.reason if isinstance(noticed, Died) else noticed
        if by:
            return Verdict(mutant.label, KILLED, by)
        return Verdict(mutant.label, SURVIVED, diff=mutant.diff())

    def judged(self, verdicts: Sequence[Verdict]) -> Verdicts:
        """Hold verdicts against what `equivalent` says."""
        final = list(verdicts)
        for entry in equivalents_of(self.subject):
            label = entry["mutant"]
            matched = [i for i, v in enumerate(verdicts) if _matches(v.label, label)]
            killed = [verdicts[i] for i in matched if verdicts[i].status == KILLED]
            if not matched:
                final.append(Verdict(label, WRONG, "is the label of no mutant"))
            for verdict in killed[:1]:
                what = "" if verdict.label == label else f" ({verdict.label})"
                final.append(Verdict(label, WRONG, f"is killed{what} by {verdict.by}"))
            for i in matched:
                if verdicts[i].status == SURVIVED:
                    final[i] = Verdict(verdicts[i].label, EQUIVALENT, entry["because"])
        return Verdicts(self.title, tuple(final))


def _matches(label: str, pattern: str) -> bool:
    """Tell whether a label is meant; `*` stands for any text, other characters for themselves."""
    return fnmatchcase(label, pattern.replace("[", "[[]").replace("?", "[?]"))


def equivalents_of(subject: Row | Definition) -> list[Mapping[str, Any]]:
    """Return the entries of `equivalent` that are about the installed PyTensor."""
    entries = (subject.source or {}).get("equivalent", ())
    return [entry for entry in entries if is_about_installed(entry)]


def mutant_jobs(
    rows: Sequence[Row],
    items: Mapping[str, Sequence[Item]],
    titles: Mapping[str, str],
    table: Table,
    chosen: Callable[[str], bool],
) -> list[MutantJob]:
    """Return a job for each row, and for each definition that the rows use.

    Args:
        rows: The rows under test.
        items: Their items, by the row's title.
        titles: What reports call them, by the row's title.
        table: The table with the true rows.
        chosen: Tells which subjects to lie about, by what reports call them.
    """
    jobs = []
    for row in rows:
        if chosen(titles[row.title]) and row.refuse is None:
            jobs.append(MutantJob(titles[row.title], row, _shuffled(items[row.title]), table))
    files = {row.place.file for row in rows}
    for definition in table.language.definitions.values():
        listed = ", ".join(definition.parameters)
        title = f"{definition.place.file}::{definition.name}({listed})"
        if definition.place.file in files and chosen(title):
            users = _users(definition, rows, table)
            noticing = [item for row in users for item in _shuffled(items[row.title])]
            jobs.append(MutantJob(title, definition, noticing, table))
    return jobs


def run_mutants(
    jobs: Sequence[MutantJob],
    workers: int,
    on_verdict: Callable[[str], None],
    on_subject: Callable[[Verdicts], None],
) -> list[Verdicts]:
    """Hold every mutant against the items of its subject.

    Args:
        jobs: The subjects.
        workers: How many processes to use; a mutant that crashes then ends only its own.
        on_verdict: Told of every mutant's label.
        on_subject: Told of every subject when its last mutant is done.
    """
    found: list[list[Verdict]] = [[] for _ in jobs]
    finished: dict[int, Verdicts] = {
        position: job.judged([]) for position, job in enumerate(jobs) if not len(job)
    }
    for position, step, noticed in run_jobs(jobs, workers, SECONDS_PER_MUTANT):
        job = jobs[position]
        found[position].append(job.verdict(step, noticed))
        on_verdict(f"{job.title} {job.mutants[step].label}")
        if len(found[position]) == len(job):
            finished[position] = job.judged(found[position])
            on_subject(finished[position])
    return [finished[position] for position in sorted(finished)]


def _shuffled(items: Sequence[Item]) -> list[Item]:
    """Return items so that different ones come early."""
    mixed = [item for item in items if item.case is not None]
    random.Random(len(mixed)).shuffle(mixed)
    return mixed


@dataclass
class _Uses:
    """Which definitions a formula leads to."""

    definitions: Mapping[str, Definition]
    known: dict[str, frozenset[str]] = field(default_factory=dict)

    def of(self, formulas: Sequence[Formula]) -> frozenset[str]:
        direct = {
            name
            for formula in formulas
            for name in _called(formula)
            if name in self.definitions
        }
        return frozenset(direct).union(*(self.of_definition(name) for name in direct))

    def of_definition(self, name: str) -> frozenset[str]:
        if name not in self.known:
            self.known[name] = frozenset()
            self.known[name] = self.of(_formulas(self.definitions[name].body))
        return self.known[name]


def _called(formula: Formula) -> set[str]:
    import ast

    return {
        node.func.id
        for node in ast.walk(formula.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }


def _formulas(body: Sequence[Statement]) -> list[Formula]:
    return [statement.formula for statement in body]


def _users(definition: Definition, rows: Sequence[Row], table: Table) -> list[Row]:
    """Return the rows that lead to a definition, those that call it themselves first."""
    uses = _Uses(table.language.definitions)
    users = []
    for row in rows:
        formulas = [*formulas_of(row), *_formulas(row.body)]
        if definition.name in uses.of(formulas):
            direct = any(definition.name in _called(formula) for formula in formulas)
            users.append((not direct, len(users), row))
    return [row for _, _, row in sorted(users, key=lambda user: user[:2])]
