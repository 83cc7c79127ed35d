"""The cases of a scalar Op's row that writes none, or that only writes what differs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from pytensor.scalar.basic import ScalarOp

from onnx_mapper.conformance.cases.arrays import fits
from onnx_mapper.conformance.cases.model import Case
from onnx_mapper.language.formula import parse_formula
from onnx_mapper.opsets import DEFAULT_OPSET
from onnx_mapper.rows.fit import installed_class
from onnx_mapper.rows.model import Row

LETTERS = ("T", "U", "V", "W")
CONSTANTS = (2, 0, -1, 3, 1, 0.5)


class Reader(Protocol):
    """What reads the entry of `cases:`."""

    row: Row
    source: Mapping[str, Any]

    def case(self, name: str, inputs: Mapping[str, str], plain: bool = False) -> Case:
        """Read the entry for these inputs; a plain case runs on the first dtypes only."""


def is_scalar(row: Row) -> bool:
    """Tell whether a row is about a scalar Op, which PyTensor applies to each element."""
    if row.pattern:
        return False
    cls = installed_class(row, import_modules=True)
    return row.ops[0].startswith("pytensor.scalar.") or (
        cls is not None and issubclass(cls, ScalarOp)
    )


def default_cases(reader: Reader, name: str) -> Iterator[Case]:
    """Make inputs for a scalar Op: a long vector, a single number, and broadcasting."""
    names = [n.strip("?") for n in reader.row.inputs if not n.startswith("*")]
    rest = [n[1:] for n in reader.row.inputs if n.startswith("*")]
    for stem in rest:
        names += [f"{stem}_{i}" for i in range(2)]
    letters = _letters(len(names), reader.source.get("dtypes"))
    yield reader.case(name, {n: f"{t}[n]" for n, t in zip(names, letters, strict=True)})
    prefix = f"{name}-" if name else ""
    yield reader.case(f"{prefix}scalar", dict.fromkeys(names, letters[0]), plain=True)
    if len(names) > 1:
        shapes = ["[3,1,2]", "[4,1]", "[1,4,2]", "[2]"]
        spread = {n: letters[0] + shapes[i % len(shapes)] for i, n in enumerate(names)}
        yield reader.case(f"{prefix}broadcast", spread, plain=True)
        yield from _with_constant(reader, f"{prefix}constant", names, letters[0])
    for stem in rest:
        three = {f"{stem}_{i}": f"{letters[0]}[n]" for i in range(3)}
        yield _of_sums(reader.case(f"{prefix}three", three, plain=True))


def _with_constant(reader: Reader, name: str, names: Sequence[str], letter: str) -> Iterator[Case]:
    """Make a case whose last input is a number that is known at export."""
    last = names[-1]
    shapes = {n: f"{letter}[1]" if n == last else f"{letter}[24]" for n in names}
    case = reader.case(name, shapes, plain=True)
    taken = dict(reader.case(name, shapes).dtypes)[letter]
    kinds = {np.dtype(dtype).kind: dtype for dtype in reversed(taken)}
    for dtype in kinds.values():
        values = (
            last,
            tuple([number] for number in CONSTANTS if fits(number, np.dtype(dtype))),
        )
        yield replace(
            case,
            name=f"{name}_{dtype}",
            dtypes=((letter, (dtype,)),),
            given=tuple((n, ("constant" if n == last else "input",)) for n in names),
            opsets=(DEFAULT_OPSET,),
            values=(values,),
        )


def _of_sums(case: Case) -> Case:
    """Give a chain of operations moderate numbers: PyTensor's Python computes it in float64."""
    place = case.place
    moderate = (parse_formula("-4", place), parse_formula("6", place))
    known = dict(case.domain)
    domain = tuple((spec.name, known.get(spec.name, moderate)) for spec in case.inputs)
    return replace(case, domain=domain, tolerance=replace(case.tolerance, of_largest=True))


def _letters(count: int, written: Mapping[str, Any] | None) -> list[str]:
    """Return a dtype letter for each input of a scalar Op: T, U, V … as far as they are known."""
    if written is not None and len(written) == 1:
        return [next(iter(written))] * count
    return [*LETTERS[:count], *["T"] * (count - len(LETTERS))]
