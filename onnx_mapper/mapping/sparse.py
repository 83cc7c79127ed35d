"""A sparse matrix as formulas see it, as ONNX Runtime has no such tensors."""

from __future__ import annotations

import numpy as np

from onnx_mapper.capture.sparse import Entries
from onnx_mapper.language.nodes import Nodes
from onnx_mapper.language.tensors import Value
from onnx_mapper.language.values import Vector


def vector_of(entries: Entries, data: Value, nodes: Nodes) -> Vector:
    """Return a known sparse matrix as the vector that rows take and give for one.

    Args:
        entries: What it holds.
        data: Its numbers, in the model's dtype.
        nodes: The model.

    Returns:
        Its numbers, the row of each, the column of each, how many rows and columns there are (each a
        tensor of one axis), and whether the numbers go row by row.
    """
    sizes = (np.array([size], np.int64) for size in entries.shape)
    arrays = (entries.rows, entries.columns, *sizes)
    return Vector([data, *(nodes.constant(array) for array in arrays), entries.format == "csr"])
