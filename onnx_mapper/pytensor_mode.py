"""PyTensor's mode `ONNX`: functions that it compiles in this mode run in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from pytensor.compile.mode import Mode, predefined_linkers, predefined_modes, register_linker
from pytensor.compile.mode import register_mode as register
from pytensor.graph.rewriting.db import RewriteDatabaseQuery
from pytensor.link.basic import JITLinker

from onnx_mapper.capture.reading import capture_whole
from onnx_mapper.mapping.to_model import to_model
from onnx_mapper.model.session import open_session
from onnx_mapper.options import Options

NAME = "ONNX"


class ONNXLinker(JITLinker):
    """Links a graph to one model, of which all inputs and shared variables are inputs."""

    required_rewrites = ("minimum_compile",)
    incompatible_rewrites = ("cxx_only", "BlasOpt", "fusion", "inplace", "local_careduce_fusion")

    def fgraph_convert(
        self,
        fgraph: Any,
        order: Any = None,
        input_storage: Any = None,
        output_storage: Any = None,
        storage_map: Any = None,
        **kwargs: Any,
    ) -> Callable[..., list[Any]]:
        """Return what runs the model of a graph.

        Raises:
            Refused: When ops, attributes or dtypes of the graph can't be expressed; lists all.
        """
        captured = capture_whole(fgraph)
        built = to_model(captured, Options())
        session = open_session(built.model, weights=built.weights)
        names = [input_.name for input_ in captured.inputs]

        def run(*values: Any) -> list[Any]:
            results = session.run(None, dict(zip(names, map(np.asarray, values), strict=True)))
            return list(results)

        return run

    def create_thunk_inputs(self, storage_map: Mapping[Any, Any]) -> list[Any]:
        """Return where the values of the graph's inputs are."""
        graph: Any = self.fgraph
        return [storage_map[variable] for variable in graph.inputs]

    def jit_compile(self, fn: Callable[..., Sequence[Any]]) -> Callable[..., Sequence[Any]]:
        """Return what runs as it is."""
        return fn


def mode() -> Mode:
    """Return the mode in which PyTensor's functions run in ONNX Runtime.

    Once the package is imported it has the name `"ONNX"`, which PyTensor and PyMC take too. Options
    of an export are at their defaults.

    Raises:
        Refused: Then, by `pytensor.function`, when ops, attributes or dtypes of the graph can't be
            expressed; lists all.

    Example:
        >>> import pytensor, pytensor.tensor as pt
        >>> x = pt.dvector("x")
        >>> pytensor.function([x], pt.exp(x), mode="ONNX")([0.0]).tolist()
        [1.0]
    """
    return Mode(ONNXLinker(), RewriteDatabaseQuery(include=["fast_run"]))


def register_mode() -> None:
    """Let PyTensor know the mode by its name."""
    if NAME not in predefined_modes:
        if NAME.lower() not in predefined_linkers:
            register_linker(NAME.lower(), ONNXLinker())
        register(NAME, mode())
