"""Where the installed PyTensor has gone on from the releases that the rows are tested on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytensor

from onnx_mapper.rows.fingerprints import fingerprint_of, listed, releases_like, tested
from onnx_mapper.rows.fit import fit_of, installed_class, unread_problem
from onnx_mapper.rows.model import Row
from onnx_mapper.rows.op_classes import class_path, concrete_op_classes
from onnx_mapper.rows.table import Table, load_table
from onnx_mapper.text_table import table as aligned


@dataclass(frozen=True)
class DriftedRow:
    """A row whose class is not what it was.

    Attributes:
        op: The row's first path.
        row: Its place, `reduce.yaml:12`.
        problem: What is different.
    """

    op: str
    row: str
    problem: str


@dataclass(frozen=True)
class Drift:
    """How the rows and the installed PyTensor agree; print it.

    Attributes:
        release: The installed PyTensor.
        unfit: Rows that don't fit their class: their ops are refused, or served by an inner graph.
        unknown: Op classes of PyTensor that no row serves, as `module:Class`.
        lost: Rows whose class is gone since the last tested release before this one.
        changed: Rows that fit a class which no tested release has like this.
        inactive: Rows whose class the installed packages don't have, as in a tested release.
        as_tested: How many rows have a class that is as in a tested release.
    """

    release: str
    unfit: tuple[DriftedRow, ...]
    unknown: tuple[str, ...]
    lost: tuple[DriftedRow, ...]
    changed: tuple[DriftedRow, ...]
    inactive: tuple[DriftedRow, ...]
    as_tested: int

    @property
    def ok(self) -> bool:
        """Whether every op class has a row that fits, and no row has lost its class."""
        return not (self.unfit or self.unknown or self.lost)

    def __str__(self) -> str:
        parts = [
            f"PyTensor {self.release}; the rows are tested with {listed(tuple(tested()))}.",
            f"{self.as_tested} rows have a class that is as tested.",
        ]
        for title, rows in self.sections():
            if rows is self.inactive:
                parts.append(f"{title}: {len(rows)}.")
            elif rows:
                cells = [(r.op, r.row, r.problem) for r in rows]
                parts.append(f"{title}: {len(rows)}\n\n{aligned(('op', 'row', 'what'), cells)}")
        if self.unknown:
            names = "\n".join(self.unknown)
            parts.append(f"Op classes without a row: {len(self.unknown)}\n\n{names}")
        return "\n\n".join(parts)

    def sections(self) -> Iterator[tuple[str, Sequence[DriftedRow]]]:
        """Yield each kind of difference between rows and classes, with its title."""
        yield "Rows that don't fit their class", self.unfit
        yield "Rows whose class is gone", self.lost
        yield "Rows that fit, of a class that is not as tested", self.changed
        yield "Rows of classes that are not here, as in a tested release", self.inactive


def find_drift(mappings: Sequence[str | Path] = ()) -> Drift:
    """Hold every row against the installed PyTensor, and every class of it against the rows.

    Args:
        mappings: Folders or files of further rows.

    Returns:
        What does not agree.

    Raises:
        RowError: When a mapping file is wrong.
        InvalidRequest: When a folder or file does not exist.

    Example:
        >>> drift = find_drift()
        >>> drift.ok, len(drift.unknown)
        (True, 0)
    """
    classes = concrete_op_classes()
    rows = load_table(mappings)
    unfit: list[DriftedRow] = []
    lost: list[DriftedRow] = []
    changed: list[DriftedRow] = []
    inactive: list[DriftedRow] = []
    as_tested = 0
    for row in rows.rows:
        cls = installed_class(row, import_modules=True)
        problems = [] if cls is None else list(_problems(row, cls))
        if cls is None:
            (lost if _is_lost(row) else inactive).append(_drifted(row, _gone(row)))
        elif problems:
            unfit.append(_drifted(row, "; ".join(problems)))
        elif releases_like(row.ops[0], cls) or not row.shipped:
            as_tested += 1
        else:
            changed.append(_drifted(row, _difference(row, cls)))
    return Drift(
        pytensor.__version__,
        tuple(unfit),
        tuple(_unknown(rows, classes)),
        tuple(lost),
        tuple(changed),
        tuple(inactive),
        as_tested,
    )


def _drifted(row: Row, problem: str) -> DriftedRow:
    return DriftedRow(row.ops[0], f"{row.place.file}:{row.place.line}", problem)


def _problems(row: Row, cls: type) -> Iterator[str]:
    fit = fit_of(row, cls)
    for misfit in fit.misfits:
        yield f"{row.name} {misfit.problem}"
    for name in fit.unread:
        yield unread_problem(row, name)


def _unknown(rows: Table, classes: Sequence[type]) -> Iterator[str]:
    return (class_path(cls) for cls in classes if not rows.rows_for_class(cls))


def _numbers(release: str) -> list[int]:
    return [int(part) for part in release.split(".") if part.isdigit()]


def _is_lost(row: Row) -> bool:
    """Tell whether the tested releases around this one have a row's class: it is no known change."""
    here = _numbers(pytensor.__version__)
    older = [release for release in tested() if _numbers(release) <= here]
    newer = [release for release in tested() if _numbers(release) > here]
    around = [max(older, key=_numbers)] if older else []
    around += [min(newer, key=_numbers)] if newer else []
    is_pytensors = row.ops[0].startswith("pytensor.")
    return is_pytensors and bool(older) and all(row.ops[0] in tested()[r] for r in around)


def _gone(row: Row) -> str:
    having = tuple(release for release, known in tested().items() if row.ops[0] in known)
    return f"the class is in {listed(having)}" if having else "its package is not installed"


def _difference(row: Row, cls: type) -> str:
    having = [release for release, known in tested().items() if row.ops[0] in known]
    if not having:
        return "no tested release has the class"
    newest = max(having, key=_numbers)
    before, here = tested()[newest][row.ops[0]], fingerprint_of(cls)
    parts = [
        f"{what}: {', '.join(old) or 'none'} in {newest}, {', '.join(new) or 'none'} here"
        for what, old, new in (
            ("attributes", before.props, here.props),
            ("parameters of make_node", before.parameters, here.parameters),
            ("bases", before.bases, here.bases),
        )
        if old != new
    ]
    return "; ".join(parts)
