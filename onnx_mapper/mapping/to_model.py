"""A captured graph as a model that the options allow, with warnings of what is not as in PyTensor."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Sequence

from onnx_mapper.capture.graph import Captured
from onnx_mapper.errors import DriftWarning, PrecisionWarning, Refusal, Refused
from onnx_mapper.mapping.build import Built, build
from onnx_mapper.model.node_list import Narrowed
from onnx_mapper.options import Options
from onnx_mapper.rows.table import load_table

PUBLIC_CALL = 3
"""How many calls lie between a warning and the user's line."""


def to_model(captured: Captured, options: Options) -> Built:
    """Map a captured graph to a checked model.

    Raises:
        Refused: When ops, attributes or dtypes of the graph can't be expressed, or the options
            don't allow what was done instead; lists all.
        RowError: When a mapping file is wrong.
        InvalidRequest: When an option does not fit the graph.

    Warns:
        PrecisionWarning: Where a node computes in fewer digits, for want of a kernel.
        DriftWarning: Where an Op has an attribute that its row doesn't know.
    """
    built = build(load_table(options.mappings), captured, options)
    objections = tuple(_objections(built, options))
    if objections:
        raise Refused(objections)
    for category, text in _warnings(built, options):
        warnings.warn(text, category, stacklevel=PUBLIC_CALL)
    return built


def _objections(built: Built, options: Options) -> Iterator[Refusal]:
    """Yield what the options don't allow of what was built."""
    if options.wide == "refuse":
        for op, row in dict.fromkeys((source.op, source.row) for source in built.wide):
            yield Refusal(
                op,
                row,
                "it computes in float64 inside, as float32 has too few digits for its formula, and "
                "runtimes for browsers and phones may have no float64: allow it with wide='ok'",
            )
    if options.strict:
        for (op, row, what), count in _gathered(built.narrowed).items():
            yield Refusal(op, row, f"{what} (strict=True)", count)
        for entry in built.swallowed:
            yield Refusal(entry.name, "no row", f"{entry} (strict=True)")


def _warnings(built: Built, options: Options) -> Iterator[tuple[type[Warning], str]]:
    for drift in built.drifts:
        yield DriftWarning, drift
    for swallowed in built.swallowed:
        yield PrecisionWarning, f"dtype={options.dtype!r}: {swallowed}"
    for (op, row, what), count in _gathered(built.narrowed).items():
        times = f" ({count} nodes)" if count > 1 else ""
        yield (
            PrecisionWarning,
            (
                f"{op} ({row}){times}: {what}; about 7 digits are right. "
                "export(..., dtype='float32') makes the whole model float32."
            ),
        )


def _gathered(narrowed: Sequence[Narrowed]) -> Counter[tuple[str, str, str]]:
    """Count the nodes that are narrowed alike: by op, row and what becomes of them."""
    return Counter(
        (
            entry.source.op,
            entry.source.row,
            (
                f"{entry.op_type} has no {entry.from_dtype} kernel in ONNX Runtime and computes "
                f"in {entry.to_dtype}"
            ),
        )
        for entry in narrowed
    )
