"""PyTensor functions as ONNX models, by a table of rows that say what each op means."""

from onnx_mapper.errors import (
    InvalidRequest,
    MapperError,
    Mismatch,
    PrecisionWarning,
    Refusal,
    Refused,
    RowError,
)
from onnx_mapper.export import export, export_graph
from onnx_mapper.version import VERSION as __version__

__all__ = [
    "InvalidRequest",
    "MapperError",
    "Mismatch",
    "PrecisionWarning",
    "Refusal",
    "Refused",
    "RowError",
    "__version__",
    "export",
    "export_graph",
]
