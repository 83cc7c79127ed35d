"""Which of the package's mapping files are known to have the schema's shape, as they are byte for byte.

Checking all of them would take half of the time of a first export. schema/validated.csv lists a digest of each
file together with the schema; a file that was edited since is not among them, and is checked like a user's own.
"""

from __future__ import annotations

import csv
from functools import cache
from hashlib import blake2b
from pathlib import Path

from onnx_mapper.rows.resources import folder

LIST = "validated.csv"


def is_validated(path: Path) -> bool:
    """Tell whether a mapping file of the package is as it was when it was last checked."""
    return _listed().get(path.name) == digest_of(path)


def digest_of(path: Path) -> str:
    """Return what stands for a mapping file and the schema, as they are."""
    return blake2b(_schema() + path.read_bytes(), digest_size=16).hexdigest()


@cache
def _schema() -> bytes:
    return (folder("schema") / "mapping.schema.json").read_bytes()


@cache
def _listed() -> dict[str, str]:
    path = folder("schema") / LIST
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        return {entry["file"]: entry["digest"] for entry in csv.DictReader(file)}
