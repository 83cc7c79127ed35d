"""The ONNX opsets that models can be written for."""

from __future__ import annotations

OLDEST_OPSET = 18
DEFAULT_OPSET = 21
NEWEST_OPSET = 28
"""The newest that onnxruntime 1.32 loads."""

NEWEST_WEB_OPSET = 26
"""The newest that onnxruntime-web 1.30 loads."""

NEWEST_DRAWING_OPSET = 21
"""The newest whose nodes for random numbers onnxruntime 1.32 has kernels for."""

OPSETS = range(OLDEST_OPSET, NEWEST_OPSET + 1)

_IR_VERSIONS = {18: 8, 19: 9, 20: 9, 21: 10, 22: 10, 23: 11, 24: 12, 25: 13, 26: 13, 27: 13}
_NEWEST_IR_VERSION = 14


def ir_version_of(opset: int) -> int:
    """Return the lowest IR version that ONNX pairs with an opset.

    Source: the version table of the ONNX repository, docs/Versioning.md.

    Example:
        >>> ir_version_of(21)
        10
    """
    return _IR_VERSIONS.get(opset, _NEWEST_IR_VERSION)
