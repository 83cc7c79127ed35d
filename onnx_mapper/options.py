"""What a user may ask of an export, beside what is exported and where it goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from onnx_mapper.errors import InvalidRequest
from onnx_mapper.opsets import DEFAULT_OPSET, NEWEST_OPSET, OLDEST_OPSET

Dimension = int | str | None
Dims = Mapping[str, Sequence[Dimension]]
DtypePolicy = Literal["keep", "float32"]
RandomPolicy = Literal["refuse", "input"]
WidePolicy = Literal["refuse", "ok"]


@dataclass(frozen=True)
class Options:
    """The options of an export; see `onnx_mapper.export` for what each means.

    Attributes:
        opset: The ONNX opset.
        dtype: What becomes of float64.
        dims: Names or sizes for the axes of inputs.
        mappings: Folders or files of further rows.
        random: What becomes of random draws.
        wide: What becomes of nodes that compute in float64 in a float32 model.
        strict: Whether to refuse what would be exported with a warning.

    Raises:
        InvalidRequest: When one of them is impossible.
    """

    opset: int = DEFAULT_OPSET
    dtype: DtypePolicy = "keep"
    dims: Dims = field(default_factory=dict)
    mappings: Sequence[str | Path] = ()
    random: RandomPolicy = "refuse"
    wide: WidePolicy = "refuse"
    strict: bool = False

    def __post_init__(self) -> None:
        """Check each option."""
        if isinstance(self.opset, bool) or not isinstance(self.opset, int):
            raise InvalidRequest(f"opset is {self.opset!r}; it must be a whole number")
        if not OLDEST_OPSET <= self.opset <= NEWEST_OPSET:
            raise InvalidRequest(
                f"opset is {self.opset!r}; it must be {OLDEST_OPSET} to {NEWEST_OPSET}"
            )
        allowed = {
            "dtype": ("keep", "float32"), "random": ("refuse", "input"), "wide": ("refuse", "ok")
        }  # fmt: skip
        for name, values in allowed.items():
            value = getattr(self, name)
            if value not in values:
                listed = " or ".join(map(repr, values))
                raise InvalidRequest(f"{name} is {value!r}; it must be {listed}")
