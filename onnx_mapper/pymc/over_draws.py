"""Graphs with an axis of draws in front: variables of a trace replaced by many draws of each."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import pytensor
import pytensor.tensor as pt
from pymc.distributions.distribution import SymbolicRandomVariable
from pymc.distributions.shape_utils import change_dist_size
from pymc.pytensorf import collect_default_updates
from pytensor.graph.replace import clone_replace, vectorize_graph
from pytensor.graph.traversal import toposort
from pytensor.scan.basic import scan
from pytensor.tensor.random.op import RandomVariable

from onnx_mapper.language.arrays import Array

# Since PyTensor 3.1 a scan can leave out what its callers rarely need.
_PLAIN = {"return_updates": True} if "return_updates" in inspect.signature(scan).parameters else {}


def over_draws(outputs: Sequence[Any], draws: Mapping[Any, Array]) -> list[Any]:
    """Return outputs for all draws at once.

    Args:
        outputs: Variables that depend on those of a trace.
        draws: For each of these, which depends on nothing, its draws along the first axis.

    Returns:
        The outputs with the draws along their first axes. Random variables that depend on none of the
        trace are drawn for each of them, too. The draws are shared variables under the names of what
        they are draws of.
    """
    try:
        found = _side_by_side(outputs, draws)
    except NotImplementedError:  # an op that has no batches: one draw after the other
        found = _one_by_one(outputs, draws)
    count = len(next(iter(draws.values())))
    results = []
    for before, after in zip(outputs, found, strict=True):
        is_same = after.type.ndim == before.type.ndim
        results.append(_repeated(after, count) if is_same else after)
        results[-1].name = before.name
    return results


def _side_by_side(outputs: Sequence[Any], draws: Mapping[Any, Array]) -> list[Any]:
    weights = {variable: _weight(array, variable.name) for variable, array in draws.items()}
    count = len(next(iter(draws.values())))
    sized = _sized_by_parameters(outputs)
    independent = {
        variable: change_dist_size(variable, new_size=(count,), expand=True)
        for variable in _independent(sized, draws)
    }
    found: list[Any] = vectorize_graph(sized, {**weights, **independent})
    return found


def _weight(array: Array, name: str) -> Any:
    shared: Any = pytensor.shared  # type: ignore[attr-defined]
    return shared(array, name=name, shape=array.shape)


def _independent(outputs: Sequence[Any], draws: Mapping[Any, Array]) -> list[Any]:
    """Return the random variables that depend neither on draws of the trace nor on others."""
    dependent = set(draws)
    found = []
    for node in toposort(outputs):
        if dependent & set(node.inputs):
            dependent |= set(node.outputs)
        elif isinstance(node.op, RandomVariable | SymbolicRandomVariable):
            dependent |= set(node.outputs)
            found += [variable for variable in node.outputs if hasattr(variable.type, "ndim")]
    return found


def _sized_by_parameters(outputs: Sequence[Any]) -> list[Any]:
    """Return outputs in which no draw is given its size: its parameters have it.

    PyTensor adds axes to the size that a draw is given by the draw's first parameter alone.
    """
    made: dict[Any, Any] = {}
    for node in toposort(outputs):
        inputs = [made.get(variable, variable) for variable in node.inputs]
        changed = any(new is not old for new, old in zip(inputs, node.inputs, strict=True))
        copy = node.clone_with_new_inputs(inputs) if changed else node
        if isinstance(node.op, RandomVariable):
            copy = _without_size(copy)
        for old, new in zip(node.outputs, copy.outputs, strict=True):
            new.name = old.name
            made[old] = new
    return [made.get(output, output) for output in outputs]


def _without_size(node: Any) -> Any:
    size, parameters = node.op.size_param(node), list(node.op.dist_params(node))
    if not hasattr(size.type, "dtype") or not parameters:
        return node
    first = _broadcast(parameters[0], size, node.op.ndims_params[0])
    return node.op.make_node(node.op.rng_param(node), None, first, *parameters[1:])


def _broadcast(parameter: Any, size: Any, own: int) -> Any:
    """Return a parameter of a draw with these sizes in front of its own axes."""
    core = [parameter.shape[parameter.type.ndim - own + axis] for axis in range(own)]
    sizes = [size[position] for position in range(pt.get_vector_length(size))]
    return pt.broadcast_to(parameter, (*sizes, *core))


def _one_by_one(outputs: Sequence[Any], draws: Mapping[Any, Array]) -> list[Any]:
    given = list(draws)

    def step(*values: Any) -> tuple[list[Any], Any]:
        found = clone_replace(list(outputs), dict(zip(given, values, strict=True)))
        return found, collect_default_updates(found, must_be_shared=False)

    weights = [_weight(array, variable.name) for variable, array in draws.items()]
    found, _ = scan(step, sequences=weights, return_list=True, **_PLAIN)
    return list(found)


def _repeated(output: Any, count: int) -> Any:
    sizes: tuple[Any, ...] = (count, *(output.shape[i] for i in range(output.type.ndim)))
    return pt.broadcast_to(output, sizes)
