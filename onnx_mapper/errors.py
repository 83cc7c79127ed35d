"""The errors and warnings that a user of the package meets: one small tree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path


@dataclass(frozen=True, order=True)
class Place:
    """Where something stands in a mapping file.

    Attributes:
        file: The file's name, as it should be shown (`conv.yaml`).
        line: The line, counted from 1; 0 when the whole file is meant.
        path: The keys that lead there inside the row (`attributes/subsample`).

    Example:
        >>> str(Place("conv.yaml", 12, "attributes/subsample"))
        'conv.yaml:12: attributes/subsample'
    """

    file: str
    line: int = 0
    path: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.path}" if self.path else where

    def within(self, *keys: object, line: int | None = None) -> Place:
        """Return the place of a part of this one."""
        path = "/".join([self.path, *map(str, keys)]).strip("/")
        return Place(self.file, self.line if line is None else line, path)


class MapperError(Exception):
    """The root of every error that onnx-mapper raises on purpose."""


class InvalidRequest(MapperError, ValueError):
    """A call asked for something impossible: an opset, a name, a path, a dtype."""


class CannotWrite(InvalidRequest, OSError):
    """A file can't be written: a folder without permission, a full disk. What was there stays."""


class UserCodeError(MapperError):
    """Code of the user's own, which a command runs, raises an error."""


class RowError(MapperError):
    """A mapping file is wrong.

    Attributes:
        place: File, line and path of the mistake.
        problem: What is wrong, what is allowed and what to do.
    """

    def __init__(self, place: Place, problem: str) -> None:
        self.place = place
        self.problem = problem
        super().__init__(f"{place}: {problem}")


def from_here(file: Path) -> str:
    """Return a file's path as a command would name it: from the current folder if it is below."""
    path, here = file.resolve(), Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


@contextmanager
def told_with_folder(file: Path | None) -> Iterator[None]:
    """Tell errors of a user's file by its whole path, from here if it is below; None changes none."""
    try:
        yield
    except RowError as error:
        if file is None or error.place.file != file.name:
            raise
        raise RowError(replace(error.place, file=from_here(file)), error.problem) from None


class RefusedHere(MapperError):
    """One node can't be exported. The engine collects these into a `Refused`.

    Attributes:
        row: The title of the row that refuses, if one does.
        always: Whether the op would be refused with any inputs.
    """

    def __init__(self, reason: str, row: str = "", always: bool = False) -> None:
        self.row = row
        self.always = always
        super().__init__(reason)


@dataclass(frozen=True)
class Refusal:
    """One reason why a graph can't be exported, with the nodes that it holds for.

    Attributes:
        op: The PyTensor Op, as PyTensor prints it.
        row: The row that refused (`conv.yaml:2 AbstractConv2d`), or what was looked for.
        reason: What can't be said in ONNX, with the attribute and its value.
        count: How many Apply nodes are refused for this reason.
        variables: Names of variables near those nodes, at most a few.
    """

    op: str
    row: str
    reason: str
    count: int = 1
    variables: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        times = f" ({self.count} nodes)" if self.count > 1 else ""
        near = f" [near {', '.join(self.variables)}]" if self.variables else ""
        return f"{self.op}{times}: {self.reason} ({self.row}){near}"


class Refused(MapperError, NotImplementedError):
    """This graph can't be exported; carries every reason, not only the first.

    Attributes:
        refusals: One `Refusal` per Op and reason.
        applies: The Apply nodes that they are about, of the outermost graph.
    """

    def __init__(self, refusals: tuple[Refusal, ...], applies: tuple[object, ...] = ()) -> None:
        self.refusals = refusals
        self.applies = applies
        total = sum(refusal.count for refusal in refusals)
        nodes = "1 node" if total == 1 else f"{total} nodes"
        lines = "\n".join(f"  - {refusal}" for refusal in refusals)
        super().__init__(
            f"{nodes} can't be exported to ONNX:\n{lines}\n"
            "Rewrite these parts of the graph, or add a row for the op: see docs/rows.md."
        )


def gather_refusals(found: Sequence[Refusal]) -> tuple[Refusal, ...]:
    """Group equal refusals of many nodes, in order of first appearance."""
    counts: Counter[tuple[str, str, str]] = Counter()
    variables: dict[tuple[str, str, str], list[str]] = {}
    for refusal in found:
        key = (refusal.op, refusal.row, refusal.reason)
        counts[key] += refusal.count
        near = variables.setdefault(key, [])
        near.extend(name for name in refusal.variables if name not in near)
    return tuple(
        Refusal(*key, count=count, variables=tuple(variables[key][:5]))
        for key, count in counts.items()
    )


class Mismatch(MapperError, AssertionError):
    """Verification failed: the model does not give PyTensor's numbers.

    Attributes:
        report: The comparison, output by output, with the worst element of each.
    """

    def __init__(self, message: str, report: object = None) -> None:
        self.report = report
        super().__init__(message)


class FallbackWarning(UserWarning):
    """Ops that don't convert run in PyTensor, the others in ONNX Runtime."""


class PrecisionWarning(UserWarning):
    """A node computes in fewer digits than PyTensor, because no kernel has them."""


class VerificationWarning(UserWarning):
    """What a verification compared says little: mostly NaN or infinities, or all the same number."""


class DriftWarning(UserWarning):
    """An Op of the installed PyTensor has an attribute that its row doesn't know, at its default."""
