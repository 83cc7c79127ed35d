"""How a case writes a graph that runs step by step: `scan([h * s], s=each(x), h=earlier(h0))`.

`loop([h * s], s=each(x), h=earlier(h0), n_steps=n)` runs the row's own op on each element by itself.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

LOOPS = frozenset({"scan", "loop"})
WORDS = LOOPS | frozenset({"each", "earlier", "until", "grad", "saved", "rewritten", "computed_as"})
OPTIONS = frozenset({"n_steps", "go_backwards", "truncate_gradient"})


@dataclass(frozen=True)
class Each:
    """What a step reads of a sequence: the element at its place, or at several around it."""

    sequence: Any
    taps: tuple[int, ...]


@dataclass(frozen=True)
class Earlier:
    """What a step reads of earlier steps: the last result, or several."""

    first: Any
    taps: tuple[int, ...]


@dataclass(frozen=True)
class Until:
    """The condition on which the steps end."""

    condition: Any


def bound_names(node: ast.AST) -> frozenset[str]:
    """Return the names that a call of `scan` or `loop` gives to what its steps read."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
        return frozenset()
    if node.func.id not in LOOPS:
        return frozenset()
    return frozenset(k.arg for k in node.keywords if k.arg and k.arg not in OPTIONS)


def scanned(step: Callable[[Mapping[str, Any]], list[Any]], given: Mapping[str, Any]) -> list[Any]:
    """Build a graph that runs step by step.

    Args:
        step: Gives the results of a step, from what it reads by name. The first results are
            those that later steps read, in the order of their names; an `Until` may be last.
        given: What the steps read, by name, and options of `pytensor.scan`.

    Returns:
        One tensor per result.
    """
    import pytensor
    from pytensor.scan.utils import until

    options = {name: value for name, value in given.items() if name in OPTIONS}
    reads = {name: value for name, value in given.items() if name not in OPTIONS}
    each = {name: value for name, value in reads.items() if isinstance(value, Each)}
    earlier = {name: value for name, value in reads.items() if isinstance(value, Earlier)}
    unknown = sorted(set(reads) - set(each) - set(earlier))
    if unknown:
        raise TypeError(f"scan: {unknown[0]} is neither each(…) nor earlier(…) nor an option")

    def run(names: Mapping[str, Any]) -> tuple[list[Any], Any]:
        results = step(names)
        ends = isinstance(results[-1], Until)
        return (results[:-1], until(results[-1].condition)) if ends else (results, None)

    def call(*arguments: Any) -> Any:
        left = list(arguments)
        names = {}
        everything: dict[str, Each | Earlier] = {**each, **earlier}
        for name, read in everything.items():
            taken = [left.pop(0) for _ in read.taps or (0,)]
            names[name] = taken if read.taps else taken[0]
        results, end = run(names)
        updates = _next_states(results)
        return (results, updates, end) if end is not None else (results, updates)

    sample = {n: _sample(read.sequence, read.taps) for n, read in each.items()}
    sample |= {n: _past_sample(read) for n, read in earlier.items()}
    tried = run(sample)[0]
    count = len(tried)
    draws = bool(_next_states(tried))
    outputs = pytensor.scan(  # type: ignore[attr-defined]
        call,
        sequences=[{"input": r.sequence, "taps": list(r.taps or (0,))} for r in each.values()],
        outputs_info=[
            *({"initial": r.first, "taps": list(r.taps or (-1,))} for r in earlier.values()),
            *[None] * (count - len(earlier)),
        ],
        return_updates=draws,
        **options,
    )
    outputs = outputs[0] if draws else outputs
    return list(outputs) if isinstance(outputs, list | tuple) else [outputs]


def _next_states(results: list[Any]) -> dict[Any, Any]:
    """Return the states of generators that draws of a step leave to the next one."""
    from pytensor.compile.sharedvalue import SharedVariable
    from pytensor.graph.traversal import ancestors

    nodes = {v.owner for v in ancestors(results) if v.owner}
    draws = [node for node in nodes if hasattr(node.op, "rng_param")]
    return {
        before: after
        for node in draws
        for before, after in node.op.update(node).items()
        if isinstance(before, SharedVariable)
    }


def _sample(tensor: Any, taps: tuple[int, ...]) -> Any:
    return [tensor[0]] * len(taps) if taps else tensor[0]


def _past_sample(read: Earlier) -> Any:
    return [read.first[0]] * len(read.taps) if read.taps else read.first


def looped(
    cls: Any, step: Callable[[Mapping[str, Any]], list[Any]], given: Mapping[str, Any]
) -> list[Any]:
    """Build a graph that runs step by step for each element by itself.

    Args:
        cls: The Op that repeats a graph of scalars: made of what a step reads of the one before,
            what it gives, what stays as it is, and the condition on which the steps end.
        step: Gives the results of a step, from what it reads by name; an `Until` may be last.
        given: What the steps read, by name, and their number as `n_steps`.

    Returns:
        One tensor per result.
    """
    from pytensor.scalar.basic import get_scalar_type
    from pytensor.tensor.basic import as_tensor_variable
    from pytensor.tensor.elemwise import Elemwise

    reads = {name: value for name, value in given.items() if name != "n_steps"}
    earlier = {n: as_tensor_variable(v.first) for n, v in reads.items() if isinstance(v, Earlier)}
    each = {n: as_tensor_variable(v.sequence) for n, v in reads.items() if isinstance(v, Each)}
    if len(earlier) + len(each) != len(reads) or "n_steps" not in given:
        raise TypeError("loop takes earlier(…), each(…) and n_steps")
    if any(read.taps for read in reads.values()):
        raise TypeError("loop takes earlier(x) and each(x) without places: a step reads one number")
    inside = {n: get_scalar_type(v.dtype)(n) for n, v in {**earlier, **each}.items()}
    results = step(inside)
    ends = isinstance(results[-1], Until)
    op = cls(
        init=[inside[n] for n in earlier],
        update=results[:-1] if ends else results,
        constant=[inside[n] for n in each],
        until=results[-1].condition if ends else None,
    )
    outputs = Elemwise(op)(given["n_steps"], *earlier.values(), *each.values())
    return list(outputs) if isinstance(outputs, list | tuple) else [outputs]


def computed_as(output: Any, truth: Any) -> Any:
    """Return an output that PyTensor is to compute as another graph.

    For an op whose own Python can't tell what it means: it raises an error where the model goes
    on, or is wrong.
    """
    output.tag.computed_as = truth
    return output


def saved(outputs: list[Any]) -> list[Any]:
    """Return a graph whose scans keep no more than what is read, as in compiled functions."""
    plain = ("canonicalize", "ShapeOpt")
    return rewritten(outputs, plain, ("scan_save_mem",), plain)


def rewritten(outputs: list[Any], *passes: Any) -> list[Any]:
    """Return a graph after some of PyTensor's rewrites, as compiled functions have it.

    Args:
        outputs: The graph.
        passes: Names, or several names for rewrites that go together.

    Raises:
        NotImplementedError: When the installed PyTensor has no such rewrite.
    """
    from pytensor.compile.mode import optdb
    from pytensor.graph.fg import FunctionGraph
    from pytensor.graph.rewriting.db import RewriteDatabaseQuery
    from pytensor.graph.traversal import explicit_graph_inputs

    graph = FunctionGraph(list(explicit_graph_inputs(outputs)), list(outputs), clone=False)
    for names in passes:
        asked = [names] if isinstance(names, str) else list(names)
        for name in asked:
            if name not in optdb:
                raise NotImplementedError(f"PyTensor has no rewrite {name!r}")
        optdb.query(RewriteDatabaseQuery(include=asked)).rewrite(graph)
    return list(graph.outputs)
