"""PyTensor functions as ONNX models, by a table of rows that say what each op means."""

from onnx_mapper.api import export, export_graph
from onnx_mapper.checking.check import Check, check
from onnx_mapper.checking.difference import ModelDifference, diff
from onnx_mapper.checking.explain import Explanation, explain
from onnx_mapper.checking.verify import Verification, verify
from onnx_mapper.errors import (
    DriftWarning,
    FallbackWarning,
    InvalidRequest,
    MapperError,
    Mismatch,
    PrecisionWarning,
    Refusal,
    Refused,
    RowError,
    VerificationWarning,
)
from onnx_mapper.program import Program, compile  # noqa: A004
from onnx_mapper.pytensor_mode import mode, register_mode
from onnx_mapper.version import VERSION as __version__  # noqa: N811
from onnx_mapper.web_bundle import bundle

__all__ = [
    "Check",
    "DriftWarning",
    "Explanation",
    "FallbackWarning",
    "InvalidRequest",
    "MapperError",
    "Mismatch",
    "ModelDifference",
    "PrecisionWarning",
    "Program",
    "Refusal",
    "Refused",
    "RowError",
    "Verification",
    "VerificationWarning",
    "__version__",
    "bundle",
    "check",
    "compile",
    "diff",
    "explain",
    "export",
    "export_graph",
    "mode",
    "verify",
]

register_mode()
