"""PyTensor's mode `ONNX`: functions that it compiles in this mode run in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pytensor.compile.mode import Mode, predefined_linkers, predefined_modes, register_linker
from pytensor.compile.mode import register_mode as register
from pytensor.graph.rewriting.db import RewriteDatabaseQuery
from pytensor.link.basic import JITLinker

from onnx_mapper.options import Options
from onnx_mapper.parts import Parts

NAME = "ONNX"


class ONNXLinker(JITLinker):
    """Links a graph to models, of which all inputs and shared variables are inputs.

    Args:
        partly: Whether ops that don't convert run in PyTensor.
    """

    required_rewrites = ("minimum_compile",)
    incompatible_rewrites = ("cxx_only", "BlasOpt", "fusion", "inplace", "local_careduce_fusion")

    def __init__(self, *, partly: bool = True) -> None:
        super().__init__()
        self.partly = partly

    def fgraph_convert(
        self,
        fgraph: Any,
        order: Any = None,
        input_storage: Any = None,
        output_storage: Any = None,
        storage_map: Any = None,
        **kwargs: Any,
    ) -> Callable[..., list[Any]]:
        """Return what runs a graph.

        Raises:
            Refused: When nothing converts, or not all and that is asked for; lists all.
        """
        parts = Parts(fgraph.inputs, fgraph.outputs, Options(), self.partly)
        return lambda *values: parts.run(values)

    def create_thunk_inputs(self, storage_map: Mapping[Any, Any]) -> list[Any]:
        """Return where the values of the graph's inputs are."""
        graph: Any = self.fgraph
        return [storage_map[variable] for variable in graph.inputs]

    def jit_compile(self, fn: Callable[..., Sequence[Any]]) -> Callable[..., Sequence[Any]]:
        """Return what runs as it is."""
        return fn


def mode(*, partly: bool = True) -> Mode:
    """Return the mode in which PyTensor's functions run in ONNX Runtime.

    Once the package is imported it has the name `"ONNX"`, which PyTensor and PyMC take too. Options
    of an export are at their defaults.

    Args:
        partly: Whether ops that don't convert run in PyTensor, one by one, between models of all
            others. A `FallbackWarning` tells which these are. Otherwise they are refused.

    Raises:
        Refused: Then, by `pytensor.function`, when ops, attributes or dtypes of the graph can't be
            expressed, and nothing else can or `partly` is off; lists all.

    Example:
        >>> import pytensor, pytensor.tensor as pt
        >>> x = pt.dvector("x")
        >>> pytensor.function([x], pt.exp(x), mode="ONNX")([0.0]).tolist()
        [1.0]
    """
    return Mode(ONNXLinker(partly=partly), RewriteDatabaseQuery(include=["fast_run"]))


def register_mode() -> None:
    """Let PyTensor know the mode by its name."""
    if NAME not in predefined_modes:
        if NAME.lower() not in predefined_linkers:
            register_linker(NAME.lower(), ONNXLinker())
        register(NAME, mode())
