"""Fused graphs for cases: what compiled functions hold, and no user writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onnx_mapper.conformance.graphs.steps import computed_as


def fused(outputs: Sequence[Any]) -> Any:
    """Return a graph with its elementwise Ops fused, as compiled functions have them.

    Where the reductions of those are fused too, PyTensor's own Python is wrong, and only its C is
    right: such an output is computed as what it was before.
    """
    from pytensor.compile.mode import Mode
    from pytensor.configdefaults import config
    from pytensor.graph.fg import FunctionGraph
    from pytensor.graph.replace import clone_replace
    from pytensor.graph.rewriting.basic import dfs_rewriter
    from pytensor.graph.traversal import explicit_graph_inputs
    from pytensor.tensor.rewriting.elemwise import FusionOptimizer, local_careduce_fusion

    plain = clone_replace(list(outputs), {})
    graph = FunctionGraph(list(explicit_graph_inputs(outputs)), list(outputs), clone=False)
    FusionOptimizer().rewrite(graph)
    before = list(graph.apply_nodes)
    with config.change_flags(mode=Mode(linker="c")):
        dfs_rewriter(local_careduce_fusion).rewrite(graph)
    results = list(graph.outputs)
    if graph.apply_nodes != set(before):
        for result, original in zip(results, plain, strict=True):
            computed_as(result, original)
    return results[0] if len(results) == 1 else results
