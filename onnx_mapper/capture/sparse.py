"""A sparse matrix as the dense arrays that it consists of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import coo_matrix

from onnx_mapper.language.arrays import Array


@dataclass(frozen=True)
class Entries:
    """What a sparse matrix holds, in the order in which it holds it.

    Attributes:
        data: The numbers, one axis.
        rows: The row of each, int64.
        columns: The column of each, int64.
        shape: How many rows and columns there are.
        format: `csr` where a row's entries follow each other, `csc` where a column's do.
    """

    data: Array
    rows: Array
    columns: Array
    shape: tuple[int, int]
    format: str

    def matrix(self) -> Any:
        """Return the matrix as SciPy has it."""
        places = (self.rows, self.columns)
        return coo_matrix((self.data, places), shape=self.shape).asformat(self.format)


def is_sparse(type_: Any) -> bool:
    """Tell whether a PyTensor type is that of sparse matrices, which have a storage format."""
    return hasattr(type_, "format")


def entries_of(matrix: Any) -> Entries:
    """Return what a matrix of SciPy's holds, in CSR or CSC format.

    Example:
        >>> from scipy.sparse import csr_matrix
        >>> found = entries_of(csr_matrix([[0.0, 5.0], [7.0, 0.0]]))
        >>> found.data.tolist(), found.rows.tolist(), found.columns.tolist()
        ([5.0, 7.0], [0, 1], [1, 0])
    """
    across = np.asarray(matrix.indices, np.int64)
    along = np.repeat(np.arange(len(matrix.indptr) - 1), np.diff(matrix.indptr)).astype(np.int64)
    rows, columns = (along, across) if matrix.format == "csr" else (across, along)
    height, width = matrix.shape
    return Entries(np.asarray(matrix.data), rows, columns, (int(height), int(width)), matrix.format)
