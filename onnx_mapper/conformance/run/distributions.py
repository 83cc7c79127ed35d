"""Draws of random numbers against PyTensor's own: in distribution, since none can be repeated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from onnx import ModelProto

from onnx_mapper.language.arrays import Array
from onnx_mapper.model.metadata import noise_of

FEWEST = 1000
CERTAINTY = 3.4
"""Of sqrt(n) times the largest gap between two distribution functions: by chance 1 in 10^10."""


def noise_for(model: ModelProto, seed: int, shape: Sequence[int]) -> dict[str, Array]:
    """Return numbers for the inputs that take them, each evenly spread over its distribution.

    Args:
        model: The model.
        seed: Decides their order.
        shape: The shape of the draws, whose first sizes the inputs have where their own are open.
    """
    from scipy.special import ndtri

    generator = np.random.default_rng(seed)
    told = noise_of(model)
    found = {}
    for port in model.graph.input:
        text = told.get(port.name)
        if text is None:
            continue
        declared = port.type.tensor_type.shape.dim
        dims = [dim.dim_value or size for dim, size in zip(declared, shape, strict=False)]
        quantile = {"standard normal": ndtri, "uniform between 0 and 1, both excluded": None}
        found[port.name] = _evenly(generator, dims, quantile[text.rpartition(", for ")[0]])
    return found


def _evenly(generator: np.random.Generator, dims: Sequence[int], quantile: object) -> Array:
    count, columns = dims[0], int(np.prod(dims[1:]))
    ladder = (np.arange(count) + 0.5) / count
    spread = np.stack([generator.permutation(ladder) for _ in range(columns)], axis=1)
    values: Array = quantile(spread) if callable(quantile) else spread
    return values.reshape(dims)


def as_declared(model: ModelProto, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Return arrays in the dtypes that a model's inputs have."""
    from onnx.helper import tensor_dtype_to_np_dtype

    dtypes = {
        port.name: tensor_dtype_to_np_dtype(port.type.tensor_type.elem_type)
        for port in model.graph.input
    }
    return {name: a.astype(dtypes[name]) for name, a in arrays.items() if name in dtypes}


def difference(ours: Array, theirs: Array) -> str:
    """Say how two samples differ, along their first axis; empty when chance explains it."""
    if ours.dtype != theirs.dtype or ours.shape != theirs.shape:
        return f"gives {ours.dtype}{list(ours.shape)}, PyTensor {theirs.dtype}{list(theirs.shape)}"
    if len(ours) < FEWEST:
        return f"{len(ours)} draws tell nothing: let the first size be {FEWEST} or more"
    allowed = CERTAINTY / np.sqrt(len(ours))
    for column, (a, b) in enumerate(
        zip(ours.reshape(len(ours), -1).T, theirs.reshape(len(theirs), -1).T, strict=True)
    ):
        steps = np.union1d(a, b)
        below = [np.searchsorted(np.sort(x), steps, side="right") / len(x) for x in (a, b)]
        gap = float(np.max(np.abs(below[0] - below[1])))
        if not gap < allowed or np.isnan(a).any():
            return (
                f"column {column}: the distribution functions of the model's draws and of PyTensor's "
                f"are {gap:.3f} apart, where chance explains {allowed:.3f}"
            )
    return ""
