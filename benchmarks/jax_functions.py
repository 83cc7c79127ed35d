"""Networks as PyTensor's own JAX backend says them, exported by jax2onnx; needs jax2onnx."""

from __future__ import annotations

from typing import Any

import jax
from jax2onnx import to_onnx
from networks import Network
from pytensor.compile.mode import get_mode
from pytensor.compile.sharedvalue import SharedVariable
from pytensor.graph.fg import FunctionGraph
from pytensor.graph.traversal import graph_inputs
from pytensor.link.jax.dispatch import jax_funcify


def exported(network: Network, opset: int) -> bytes:
    """Return the model that jax2onnx makes of a network, serialised.

    Raises:
        NotImplementedError: When PyTensor has no JAX function for one of its ops.
    """
    shared = [v for v in graph_inputs([network.output]) if isinstance(v, SharedVariable)]
    graph = FunctionGraph([*network.inputs, *shared], [network.output], clone=True)
    get_mode("JAX").optimizer.rewrite(graph)
    function = jax_funcify(graph)
    weights = [variable.get_value(borrow=True) for variable in shared]

    def run(x: Any) -> Any:
        (result,) = function(x, *weights)
        return result

    example = jax.ShapeDtypeStruct(network.array.shape, network.array.dtype)
    return bytes(to_onnx(run, [example], opset=opset).SerializeToString())
