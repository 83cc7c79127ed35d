"""What an ONNX model tells of the PyMC model that it was made from."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from onnx_mapper.pymc.quantities import Quantities

KEY = "pymc."


def metadata_of(model: Any, what: str, found: Quantities) -> dict[str, str]:
    """Return the metadata by its keys.

    `pymc.what` and `pymc.version`; `pymc.dims.<output>` with the names of an output's axes, as JSON;
    and `pymc.coords.<dim>` with the coordinates of each of those that has some, and a known length.
    """
    import pymc

    told = {f"{KEY}what": what, f"{KEY}version": pymc.__version__}
    axes = {name: list(dims) for name, dims in found.axes.items() if any(dims)}
    told |= {f"{KEY}dims.{name}": json.dumps(dims) for name, dims in axes.items()}
    open_ = {name for sizes in found.dims.values() for name in sizes if isinstance(name, str)}
    named = dict.fromkeys(dim for dims in axes.values() for dim in dims if dim)
    used = [dim for dim in named if dim not in open_]
    for dim in used:
        values = model.coords.get(dim)
        if values is not None:
            told[f"{KEY}coords.{dim}"] = json.dumps([_plain(value) for value in values])
    return told


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    return value if isinstance(value, int | float | str) else str(value)
