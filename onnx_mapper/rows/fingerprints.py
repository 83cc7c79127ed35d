"""What the rows' classes looked like in the PyTensor releases that the rows are tested on."""

from __future__ import annotations

import csv
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from onnx_mapper.rows.op_classes import props_of

FILE = Path(__file__).with_name("fingerprints.csv")
COLUMNS = ("pytensor", "op", "props", "parameters", "bases")


@dataclass(frozen=True)
class Fingerprint:
    """What of an Op class a row depends on.

    Attributes:
        props: Its `__props__`.
        parameters: The parameters of its `make_node`, without `self`, as they are written.
        bases: The names of its base classes.
    """

    props: tuple[str, ...]
    parameters: tuple[str, ...]
    bases: tuple[str, ...]


def fingerprint_of(cls: type) -> Fingerprint:
    """Return the fingerprint of an Op class.

    Example:
        >>> from pytensor.tensor.elemwise import DimShuffle
        >>> fingerprint_of(DimShuffle).parameters
        ('inp',)
    """
    return Fingerprint(
        props_of(cls),
        tuple(
            f"{_STARS.get(p.kind, '')}{p.name}{'?' if p.default is not p.empty else ''}"
            for p in make_node_parameters(cls)
        ),
        tuple(base.__name__ for base in cls.__bases__),
    )


_STARS: dict[object, str] = {
    inspect.Parameter.VAR_POSITIONAL: "*",
    inspect.Parameter.VAR_KEYWORD: "**",
}


def make_node_parameters(cls: type) -> list[inspect.Parameter]:
    """Return the parameters of a class's `make_node`, without `self`."""
    make_node = getattr(cls, "make_node", None)
    if make_node is None:
        return []
    return list(inspect.signature(make_node).parameters.values())[1:]


@cache
def tested() -> Mapping[str, Mapping[str, Fingerprint]]:
    """Return the fingerprints of the rows' classes: by PyTensor release, by the row's first path."""
    found: dict[str, dict[str, Fingerprint]] = {}
    with FILE.open(encoding="utf-8", newline="") as file:
        for entry in csv.DictReader(file):
            known = found.setdefault(entry["pytensor"], {})
            known[entry["op"]] = Fingerprint(
                *(tuple(entry[name].split()) for name in ("props", "parameters", "bases"))
            )
    return found


def releases_like(op: str, cls: type) -> tuple[str, ...]:
    """Return the tested releases in which a row's class had the fingerprint that it has here.

    Args:
        op: The row's first path.
        cls: The installed class.
    """
    here = fingerprint_of(cls)
    return tuple(release for release, known in tested().items() if known.get(op) == here)


def listed(releases: tuple[str, ...]) -> str:
    """Return releases as a text.

    Example:
        >>> listed(("2.36.2", "3.0.7", "3.3.8"))
        '2.36.2, 3.0.7 and 3.3.8'
    """
    *rest, last = releases or ("none",)
    return f"{', '.join(rest)} and {last}" if rest else last
