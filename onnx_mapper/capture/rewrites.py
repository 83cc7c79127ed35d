"""PyTensor's own rewrites that clean a graph: they bring in no fusion, no in-place operations, no BLAS."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pytensor.configdefaults import config
from pytensor.graph.basic import Constant
from pytensor.graph.fg import FunctionGraph
from pytensor.graph.op import HasInnerGraph
from pytensor.graph.traversal import graph_inputs
from pytensor.graph.utils import InconsistencyError
from pytensor.tensor.rewriting import basic

_LOGGER = logging.getLogger(__name__)

CLEAN_REWRITES = ("canonicalize", "stabilize", "lower_xtensor")
INFERS_SIZES = "ShapeOpt"

# PyTensor 2 makes the zeros that replace 0 / x as large as 0 / x. Where it infers no sizes it asks
# the quotient itself, which stays for that and is replaced again, without end.
ENDLESS_WITHOUT_SIZES = ("local_zero_div",) if hasattr(basic, "alloc_like") else ()


def cleaned(graph: Any) -> FunctionGraph:
    """Return a copy of an op's inner graph, cleaned as `capture_variables` does.

    PyTensor keeps inner graphs as they were written and rewrites them when it runs them. As it
    does, no op is recognised in them: the graph of a log-sum-exp would become just that op.
    """
    thawed = graph.unfreeze() if hasattr(graph, "unfreeze") else graph
    copied = FunctionGraph(list(thawed.inputs), list(thawed.outputs), clone=True)
    return rewritten(copied, exclude=("symbolic_op_recognition",))


def constant_excess(x: Any, n: Any) -> int | None:
    """Return the constant by which x exceeds n, as PyTensor infers it; None where it varies.

    Args:
        x: A number, or a tensor whose first size is meant.
        n: A number.
    """
    number = x.shape[0] if x.type.ndim else x
    difference = number - n
    leaves = [leaf for leaf in graph_inputs([difference]) if not isinstance(leaf, Constant)]
    result = rewritten(FunctionGraph(leaves, [difference], clone=True), sizes=True).outputs[0]
    return int(result.data) if isinstance(result, Constant) else None


def rewritten(
    graph: FunctionGraph, exclude: Sequence[str] = (), sizes: bool = False
) -> FunctionGraph:
    """Apply the cleaning rewrites to a graph, and return it.

    PyTensor infers how sizes depend on each other only where there are loops, which it cuts to what
    is read of them: that takes most of the time, and `model.sizes` does it while nodes are made.

    Args:
        graph: The graph; it is changed.
        exclude: Tags of rewrites to leave out.
        sizes: Whether sizes are inferred in any case.
    """
    from pytensor.compile.mode import optdb
    from pytensor.graph.rewriting.db import RewriteDatabaseQuery

    # To ask for a name creates it, and then nothing can be registered under it any more, as
    # `import pytensor.xtensor` does.
    sizes = sizes or any(isinstance(node.op, HasInnerGraph) for node in graph.apply_nodes)
    wanted = (*CLEAN_REWRITES, INFERS_SIZES) if sizes else CLEAN_REWRITES
    include = [name for name in wanted if name in optdb]
    excluded = [*exclude, *(() if sizes else ENDLESS_WITHOUT_SIZES)]
    with config.change_flags(traceback__limit=0):  # of where each new variable was made
        for rewriter in optdb.query(RewriteDatabaseQuery(include=include, exclude=excluded)):
            with _without_what_fails(rewriter):
                rewriter.rewrite(graph)
    return graph


@contextmanager
def _without_what_fails(rewriter: Any) -> Iterator[None]:
    """Leave out a rewrite where it raises, and say so: the graph means the same without it.

    PyTensor itself does so for all errors but failed assertions, which end its compilation.
    """
    handler = getattr(rewriter, "failure_callback", None)
    if handler is not None:
        rewriter.failure_callback = _tell_failed_rewrite
    try:
        yield
    except Exception as error:
        _LOGGER.warning("left out PyTensor's rewrite %s: %s", rewriter, _told(error))
    finally:
        if handler is not None:
            rewriter.failure_callback = handler


def _tell_failed_rewrite(error: Exception, *details: Any) -> None:
    if not isinstance(error, InconsistencyError):  # with which PyTensor takes back a replacement
        *_, rewriter, node = details
        _LOGGER.warning("left out PyTensor's rewrite %s at %s: %s", rewriter, node, _told(error))


def _told(error: Exception) -> str:
    return f"{type(error).__name__} {error}".strip()
