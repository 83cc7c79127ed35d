"""What of a function would not convert."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Unpack

from onnx_mapper.capture.reading import capture
from onnx_mapper.errors import DriftWarning, PrecisionWarning, Refusal, Refused
from onnx_mapper.mapping.to_model import to_model
from onnx_mapper.options import OptionArguments, options_of, takes_options
from onnx_mapper.text_table import TextTable


@dataclass(frozen=True)
class Check:
    """What stands in the way of an export; print it, or look at `refusals`.

    Attributes:
        refusals: One entry per op and reason; none when the function can be exported.
    """

    refusals: tuple[Refusal, ...]

    @property
    def ok(self) -> bool:
        """Whether the function can be exported."""
        return not self.refusals

    @property
    def table(self) -> TextTable:
        """The refusals, a line for each."""
        rows = [
            (r.op, r.count, r.row, ", ".join(r.variables) or "-", r.reason) for r in self.refusals
        ]
        return TextTable(("op", "nodes", "row", "near", "reason"), rows)

    def __str__(self) -> str:
        return "Everything converts." if self.ok else str(self.table)


@takes_options
def check(fn: Any, **options: Unpack[OptionArguments]) -> Check:
    """Find what of a function would not convert, and why. Writes nothing.

    Args:
        fn: What `export` takes: a compiled function, or a `FunctionGraph`.
        **options: See `Options`.

    Returns:
        Every refusal, grouped by op and reason.

    Raises:
        RowError: When a mapping file is wrong.
        InvalidRequest: When `fn` is no function, or an option is impossible.

    Example:
        >>> import pytensor, pytensor.tensor as pt
        >>> x = pt.fvector("x")
        >>> print(check(pytensor.function([x], pt.exp(x))))
        Everything converts.
    """
    asked = options_of(options)
    captured = capture(fn)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PrecisionWarning)
            warnings.simplefilter("ignore", DriftWarning)
            to_model(captured, asked)
    except Refused as refused:
        return Check(refused.refusals)
    return Check(())
