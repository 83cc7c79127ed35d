"""Write what the rows' classes look like in the running PyTensor to onnx_mapper/rows/fingerprints.csv.

Entries of the other tested releases stay; those of releases that no constraints file pins any more go.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from pathlib import Path

import pytensor

from onnx_mapper.rows.fingerprints import COLUMNS, FILE, Fingerprint, fingerprint_of, tested
from onnx_mapper.rows.fit import installed_class
from onnx_mapper.rows.table import load_table

CONSTRAINTS = Path(__file__).parent.parent / "constraints"


def releases() -> list[str]:
    """Return the PyTensor releases that the tests run on, oldest first."""
    names = [path.stem.removeprefix("pytensor-") for path in CONSTRAINTS.glob("pytensor-*.txt")]
    return sorted(names, key=lambda name: [int(part) for part in name.split(".")])


def known_here() -> Iterator[tuple[str, Fingerprint]]:
    """Yield the first path and the fingerprint of every row whose class is installed."""
    for row in load_table().rows:
        cls = installed_class(row, import_modules=True)
        if cls is not None:
            yield row.ops[0], fingerprint_of(cls)


def main() -> int:
    """Write the file; return the exit status."""
    found = {release: dict(known) for release, known in tested().items()}
    found[pytensor.__version__] = dict(known_here())
    with FILE.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for release in releases():
            for op, known in sorted(found.get(release, {}).items()):
                cells = (" ".join(part) for part in (known.props, known.parameters, known.bases))
                writer.writerow([release, op, *cells])
    return 0


if __name__ == "__main__":
    sys.exit(main())
