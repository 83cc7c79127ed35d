"""Pictures of what each row makes: the model of its first case, as the site shows it (docs/conf.py)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from onnx_mapper.checking.drawing import draw
from onnx_mapper.conformance.cases.model import DYNAMIC
from onnx_mapper.conformance.run.batches import Lacking, batches_of
from onnx_mapper.conformance.run.items import Item
from onnx_mapper.conformance.subject import find_subject
from onnx_mapper.mapping.build import build
from onnx_mapper.options import Options
from onnx_mapper.rows.model import Row

MOST_NODES = 60
"""Of a picture that can be looked at."""


@dataclass(frozen=True)
class RowPicture:
    """What one row makes of its first case.

    Attributes:
        row: The row.
        name: The name of its file.
        graph: How the case builds its graph; empty where it is the op by itself.
        nodes: How many nodes the model has.
        svg: The picture; empty where there are too many nodes for one.
    """

    row: Row
    name: str
    graph: str
    nodes: int
    svg: str


def row_pictures() -> Iterator[RowPicture]:
    """Yield the picture of each of the package's rows that maps something here."""
    subject = find_subject()
    items = subject.items()
    taken: Counter[str] = Counter()
    for row in subject.rows:
        item = _telling(items[row.title])
        if item is None:
            continue
        options = Options(
            item.setting.opset,
            optimize=bool(row.pattern),
            random="input" if row.draws else "refuse",
        )
        try:
            batch = batches_of(item, subject.table.language)[0]
        except Lacking:
            continue
        built = build(subject.table, batch.captured, options)
        count = len(built.model.graph.node)
        graph = item.case.graph.text if item.case and item.case.graph else ""
        stem = f"{Path(row.place.file).stem}-{row.name}"
        taken[stem] += 1
        name = f"{stem}.svg" if taken[stem] == 1 else f"{stem}-{taken[stem]}.svg"
        yield RowPicture(row, name, graph, count, draw(built.model) if count <= MOST_NODES else "")


def _telling(items: Sequence[Item]) -> Item | None:
    """Return the item that shows most: of the first case, in float32 and with open sizes where it has them."""
    mapped = [i for i in items if i.case and i.refuse is None and i.is_at_first_opset]
    same = [item for item in mapped if item.case is mapped[0].case]

    def rank(item: Item) -> tuple[bool, bool]:
        dtypes = {dtype for _, dtype in item.setting.dtypes}
        return dtypes <= {"float32"}, item.setting.shapes == DYNAMIC

    return max(same, key=rank, default=None)
