"""Check mapping files against the schema, and write schema/validated.csv: which were checked, by digests."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path

from onnx_mapper.rows import strict_yaml
from onnx_mapper.rows.reader import read_document
from onnx_mapper.rows.validated import LIST, digest_of

ROOT = Path(__file__).parent.parent


def main() -> int:
    """Write the list; return the exit status."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", "digest"])
    for path in sorted((ROOT / "mappings").glob("*.yaml")):
        read_document(strict_yaml.read(path))
        writer.writerow([path.name, digest_of(path)])
    (ROOT / "schema" / LIST).write_text(text.getvalue(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
