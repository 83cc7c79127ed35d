"""Which rows are another matter on the installed PyTensor than on a release that is tested as well.

Lies about the others are noticed there by the same cases, of the same classes: it needs no second run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytensor

from onnx_mapper.conformance.cases.exempt_reader import is_about
from onnx_mapper.errors import InvalidRequest
from onnx_mapper.language.scope import Definition
from onnx_mapper.rows.fingerprints import fingerprint_of, listed, tested
from onnx_mapper.rows.fit import installed_class
from onnx_mapper.rows.model import Row

_LISTS = ("cases", "deviations", "equivalent")


def rows_unlike(rows: Iterable[Row], release: str) -> frozenset[str]:
    """Return the titles of rows whose class or whose cases are others than on a tested release.

    Args:
        rows: The rows.
        release: A PyTensor release that the rows are tested on, as `3.3.8`.

    Raises:
        InvalidRequest: When the rows are not tested on that release.
    """
    if release not in tested():
        raise InvalidRequest(
            f"--unlike {release}: the rows are tested with PyTensor {listed(tuple(tested()))}"
        )
    known = tested()[release]
    return frozenset(
        row.title
        for row in rows
        if is_told_apart(row, release) or (row.ops and _fingerprint(row) != known.get(row.ops[0]))
    )


def is_told_apart(subject: Row | Definition, release: str) -> bool:
    """Tell whether some entries of a row or a definition are about one of the releases alone."""
    source: Mapping[str, Any] = subject.source or {}
    entries = [entry for key in _LISTS for entry in _entries(source.get(key, ()))]
    return any(
        is_about(entry, release) != is_about(entry, pytensor.__version__) for entry in entries
    )


def _entries(listed_or_one: Any) -> list[Mapping[str, Any]]:
    return [listed_or_one] if isinstance(listed_or_one, dict) else list(listed_or_one)


def _fingerprint(row: Row) -> object:
    cls = installed_class(row, import_modules=True)
    return None if cls is None else fingerprint_of(cls)
