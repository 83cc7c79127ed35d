"""Which lies about rows the rows' cases notice."""

from __future__ import annotations

import random
import warnings
import zlib
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from onnx_mapper.conformance.cases.exempt_reader import is_about_installed
from onnx_mapper.conformance.mutants.row_mutants import Mutant, mutants_of
from onnx_mapper.conformance.mutants.unlike import is_told_apart, rows_unlike
from onnx_mapper.conformance.run.coverage import Mark, mark_of
from onnx_mapper.conformance.run.items import Item
from onnx_mapper.conformance.run.oracle import FAILED, PASSED, Prepared
from onnx_mapper.conformance.run.workers import Died, run_jobs
from onnx_mapper.conformance.subject import Subject
from onnx_mapper.errors import MapperError
from onnx_mapper.language.scope import Definition
from onnx_mapper.rows.model import Row
from onnx_mapper.rows.table import Table

SECONDS_PER_MUTANT = 600.0
ITEMS_KEPT = 3000

ITEMS_OF_AN_EQUIVALENT = 40
"""A lie that its row declares equivalent is held against so many items, unless whole grids are asked for.

Against all of them it would take longer than all other lies together, and it was held against all before it was
declared.
"""

KILLED = "killed"
SURVIVED = "survived"
EQUIVALENT = "equivalent"
WRONG = "wrong"

Noticing = tuple[Item, frozenset[Mark]]


@dataclass(frozen=True)
class Verdict:
    """What came of a mutant.

    Attributes:
        label: What was changed.
        status: `killed`, `survived`, `equivalent` (survived, as the row says it does) or `wrong`
            (what the row says of it is not so).
        by: The item that noticed; why nobody did; or why it is wrong.
        diff: The change.
        crashed: Whether onnx-mapper ended in an error of Python's or with its process, and not in
            a comparison or a refusal.
    """

    label: str
    status: str
    by: str = ""
    diff: str = ""
    crashed: bool = False


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

    @property
    def crashes(self) -> list[Verdict]:
        """Return those that ended in an error of Python's or a dead process."""
        return [verdict for verdict in self.verdicts if verdict.crashed]

    def line(self) -> str:
        """Return the line of the summary."""
        total = len(self.verdicts) - len(self.of(WRONG))
        parts = [f"{len(self.of(KILLED))}/{total} mutants killed"]
        if self.of(EQUIVALENT):
            parts.append(f"{len(self.of(EQUIVALENT))} equivalent")
        if self.crashes:
            parts.append(f"{len(self.crashes)} of them by a CRASH")
        if self.of(SURVIVED):
            parts.append(f"{len(self.of(SURVIVED))} SURVIVED")
        if self.of(WRONG):
            parts.append(f"{len(self.of(WRONG))} entries of `equivalent` WRONG")
        return f"{self.title}: {', '.join(parts)}"

    def stories(self) -> list[str]:
        """Return each survivor and each crash as a diff, and each wrong entry."""
        told = [f"CRASHED {self.title}: {v.label} ({v.by})\n{v.diff}" for v in self.crashes]
        told += [f"SURVIVED {self.title}: {v.label} ({v.by})\n{v.diff}" for v in self.of(SURVIVED)]
        return told + [f"WRONG {self.title}: equivalent {v.label!r} {v.by}" for v in self.of(WRONG)]

    def headlines(self) -> list[str]:
        """Return the first line of each story, for a summary at the end."""
        return [story.partition("\n")[0] for story in self.stories()]

    def data(self) -> dict[str, Any]:
        """Return the entry of the JSON report."""
        return {
            "subject": self.title,
            "killed": len(self.of(KILLED)),
            "crashed": [verdict.label for verdict in self.crashes],
            "equivalent": [verdict.label for verdict in self.of(EQUIVALENT)],
            "survived": [verdict.label for verdict in self.of(SURVIVED)],
            "wrong": [verdict.label for verdict in self.of(WRONG)],
        }


@dataclass(frozen=True)
class Noticed:
    """What noticed a mutant.

    Attributes:
        by: The item's id, or an error; empty when nothing did.
        differs: Whether models were others than the true row's, and followed PyTensor all the
            same.
        crashed: Whether an error of Python's came out.
    """

    by: str
    differs: bool = False
    crashed: bool = False


class _Bench:
    """Items that pass with the true rows, ready to be held against mutants.

    The jobs of a file ask for the same items one after the other, so the latest are kept.

    Args:
        table: The table with the true rows.
    """

    def __init__(self, table: Table) -> None:
        self.table = table
        self._ready: OrderedDict[str, Prepared | None] = OrderedDict()

    def ready(self, item: Item) -> Prepared | None:
        """Return an item with PyTensor's results; None where it does not pass."""
        if item.id not in self._ready:
            self._ready[item.id] = self._prepared(item)
            if len(self._ready) > ITEMS_KEPT:
                self._ready.popitem(last=False)
        self._ready.move_to_end(item.id)
        return self._ready[item.id]

    def _prepared(self, item: Item) -> Prepared | None:
        try:
            prepared = Prepared(item, self.table.language)
            return prepared if prepared.check(self.table).status == PASSED else None
        except Exception:
            return None


@dataclass(frozen=True)
class Lies:
    """Which lies there are, and what they are held against.

    Attributes:
        unlike: A tested PyTensor release; only rows that are another matter there are lied about,
            and definitions that no other row uses.
        one_in: Of so many lies one is told, always the same one.
        full: Whether lies that are declared equivalent are held against all items too.
    """

    unlike: str | None = None
    one_in: int = 1
    full: bool = False

    def takes(self, title: str, label: str) -> bool:
        """Tell whether a lie is told."""
        return zlib.crc32(f"{title} {label}".encode()) % self.one_in == 0


class MutantJob:
    """The mutants of one row or definition, as steps.

    Args:
        title: What reports call it.
        subject: The row or definition.
        items: The items that may notice, each with the formulas that it evaluates; the likeliest
            first.
        bench: Where the items are made ready.
        lies: Which lies there are, and what they are held against.
    """

    def __init__(
        self,
        title: str,
        subject: Row | Definition,
        items: Sequence[Noticing],
        bench: _Bench,
        lies: Lies,
    ) -> None:
        self.title = title
        self.subject = subject
        every = mutants_of(subject)
        self.mutants = [mutant for mutant in every if lies.takes(title, mutant.label)]
        self._left_out = {m.label for m in every} - {m.label for m in self.mutants}
        self._items = list(items)
        self._bench = bench
        self._declared = [] if lies.full else [e["mutant"] for e in equivalents_of(subject)]
        self._kills: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.mutants)

    def step(self, position: int) -> Noticed:
        """Return what noticed a mutant."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self._noticed(self.mutants[position])

    def _noticed(self, mutant: Mutant) -> Noticed:
        try:
            table = mutant.table(self._bench.table)
        except (MapperError, SyntaxError) as error:
            return Noticed(f"does not load: {error}")
        differs = False
        for item in self._holding(mutant):
            prepared = self._bench.ready(item)
            if prepared is None:
                continue
            outcome = prepared.check(table)
            if outcome.status == FAILED:
                self._kills[item.id] = self._kills.get(item.id, 0) + 1
                by = f"{item.id}: {outcome.problem}" if outcome.crashed else item.id
                return Noticed(by, crashed=outcome.crashed)
            differs |= prepared.differs
        return Noticed("", differs)

    def _holding(self, mutant: Mutant) -> list[Item]:
        """Return the items that a mutant is held against, those that noticed most others first."""
        noticing = [item for item, marks in self._items if mutant.is_noticed_by(marks)]
        noticing.sort(key=lambda item: -self._kills.get(item.id, 0))
        declared = any(_matches(mutant.label, pattern) for pattern in self._declared)
        return noticing[:ITEMS_OF_AN_EQUIVALENT] if declared else noticing

    def build(self, position: int) -> None:
        """Build all models of a mutant, and run none."""
        mutant = self.mutants[position]
        table = mutant.table(self._bench.table)
        for item, marks in self._items:
            prepared = self._bench.ready(item) if mutant.is_noticed_by(marks) else None
            if prepared is not None:
                prepared.build(table)

    def verdict(self, position: int, noticed: Noticed | Died, crashed: bool = False) -> Verdict:
        """Judge a mutant by what noticed it.

        Args:
            position: The mutant's.
            noticed: The item, or the end of the process.
            crashed: Whether the process also ends where the models are only built.
        """
        mutant = self.mutants[position]
        if isinstance(noticed, Died):
            return Verdict(mutant.label, KILLED, noticed.reason, mutant.diff(), crashed)
        if noticed.by:
            diff = mutant.diff() if noticed.crashed else ""
            return Verdict(mutant.label, KILLED, noticed.by, diff, noticed.crashed)
        hint = "the numbers are the same" if noticed.differs else "the models are the same"
        if not any(mutant.is_noticed_by(marks) for _, marks in self._items):
            hint = "no case evaluates this formula"
        return Verdict(mutant.label, SURVIVED, hint, mutant.diff())

    def judged(self, verdicts: Sequence[Verdict]) -> Verdicts:
        """Hold verdicts against what `equivalent` says."""
        final = list(verdicts)
        for entry in equivalents_of(self.subject):
            label = entry["mutant"]
            matched = [i for i, v in enumerate(verdicts) if _matches(v.label, label)]
            killed = [verdicts[i] for i in matched if verdicts[i].status == KILLED]
            if not matched and not any(_matches(other, label) for other in self._left_out):
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


EVERY_LIE = Lies()


def mutant_jobs(
    subject: Subject,
    items: Mapping[str, Sequence[Noticing]],
    chosen: Callable[[str], bool],
    lies: Lies = EVERY_LIE,
) -> list[MutantJob]:
    """Return a job for each row that has items, and for each definition that they evaluate.

    A definition is held by the items of its own file; by others only where no row there uses it.

    Args:
        subject: The rows under test.
        items: The items that pass, by what their ids begin with, each with the formulas that it
            evaluates.
        chosen: Which definitions to lie about, by what reports call them.
        lies: Which lies there are.
    """
    titles = subject.titles()
    unlike = lies.unlike
    rows = rows_unlike(subject.rows, unlike) if unlike else {row.title for row in subject.rows}
    bench = _Bench(subject.table)
    jobs = [
        MutantJob(titles[row.title], row, _shuffled(items[titles[row.title]]), bench, lies)
        for row in subject.rows
        if titles[row.title] in items and row.refuse is None and row.title in rows
    ]
    files = {row.place.file for row in subject.rows}
    everything = _shuffled([pair for pairs in items.values() for pair in pairs])
    for definition in subject.table.language.definitions.values():
        formulas = _marks_of(definition)
        using = [pair for pair in everything if not formulas.isdisjoint(pair[1])]
        at_home = [pair for pair in using if pair[0].row.place.file == definition.place.file]
        noticing = at_home or using
        elsewhere = any(item.row.title not in rows for item, _ in using)
        if unlike and elsewhere and not is_told_apart(definition, unlike):
            continue
        listed = ", ".join(definition.parameters)
        title = f"{definition.place.file}::{definition.name}({listed})"
        if definition.place.file in files and noticing and chosen(title):
            jobs.append(MutantJob(title, definition, noticing, bench, lies))
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
        crashed = isinstance(noticed, Died) and _dies_building(job, step, noticed)
        found[position].append(job.verdict(step, noticed, crashed))
        on_verdict(f"{job.title} {job.mutants[step].label}")
        if len(found[position]) == len(job):
            finished[position] = job.judged(found[position])
            on_subject(finished[position])
    return [finished[position] for position in sorted(finished)]


@dataclass(frozen=True)
class _Building:
    """A mutant whose models are built and not run, as a job of one step."""

    job: MutantJob
    position: int

    def __len__(self) -> int:
        return 1

    def step(self, position: int) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.job.build(self.position)


def _dies_building(job: MutantJob, step: int, died: Died) -> bool:
    """Tell whether building a mutant's models ends the process, and not only running one.

    ONNX Runtime divides integers by 0 as the processor does: rows guard against that, and lies about
    the guards are noticed by the end of the process that runs the model.
    """
    if died.out_of_time:
        return False
    ((_, _, result),) = run_jobs([_Building(job, step)], 1, SECONDS_PER_MUTANT)
    return isinstance(result, Died)


def _shuffled(items: Sequence[Noticing]) -> list[Noticing]:
    """Return items so that different ones come early."""
    mixed = list(items)
    random.Random(len(mixed)).shuffle(mixed)
    return mixed


def _marks_of(definition: Definition) -> frozenset[Mark]:
    """Return what an item leaves that evaluates a part of a definition."""
    return frozenset(mark_of(definition.name, f.text) for s in definition.body for f in s.formulas)
