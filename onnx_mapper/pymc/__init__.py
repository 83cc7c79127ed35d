"""PyMC models as ONNX models: densities, transformations and predictions, in one call."""

import importlib.util

if importlib.util.find_spec("pymc") is None:
    raise ImportError(
        "onnx_mapper.pymc is about models of PyMC, which is not installed: pip install 'onnx-mapper[pymc]'"
    )

from onnx_mapper.pymc.export import What, export_model

__all__ = ["What", "export_model"]
