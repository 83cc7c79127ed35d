"""The posterior predictive of a PyMC model: draws of a trace as weights, new draws by noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt
from pytensor.graph.replace import clone_replace
from pytensor.graph.traversal import ancestors
from pytensor.tensor.random.op import RandomVariable
from pytensor.tensor.sort import sort

from onnx_mapper.errors import InvalidRequest
from onnx_mapper.language.arrays import Array
from onnx_mapper.options import Dimension
from onnx_mapper.pymc.over_draws import over_draws
from onnx_mapper.pymc.quantities import Quantities, data_named, named_axes, variables_named

DRAWS = ("chain", "draw", "sample")
"""The axes of a dataset that count draws."""

DRAW = "draw"


def predictions(
    model: Any,
    trace: Any,
    thin: int,
    var_names: Sequence[str] | None,
    summary: Sequence[str | float],
    data_inputs: Sequence[str] | None,
    from_trace: Sequence[str],
) -> Quantities:
    """Return the graph of predictive draws, with the draws of a trace in it.

    Raises:
        InvalidRequest: When the trace holds no draws of the model's variables, a name is unknown, or it
            isn't clear whether something is to be drawn anew.
    """
    draws = _draws_in(trace, thin)
    computed = [variable for variable in model.deterministics if variable.name in draws]
    held = [rv for rv in model.free_RVs if rv.name in draws]
    held += (
        variables_named(from_trace, computed, "deterministic variables in the trace")
        if from_trace
        else []
    )
    anew = [rv for rv in model.free_RVs if rv.name not in draws]
    names = var_names if var_names is not None else [rv.name for rv in model.observed_RVs]
    among = [*model.observed_RVs, *model.deterministics, *anew]
    wanted = variables_named(names or None, among, "variables that draws can be told of")
    if not held:
        listed = ", ".join(rv.name for rv in model.free_RVs) or "none"
        raise InvalidRequest(
            f"the trace has no draws of the model's free variables ({listed}); it has: "
            f"{', '.join(draws) or 'nothing'}"
        )
    drawn = {rv: rv.type(name=rv.name) for rv in held}
    loose = clone_replace([_sized_by_parameters(variable) for variable in wanted], drawn)
    given = _data_among(model, loose, data_inputs)
    _check_clear(wanted, held, anew, computed, given)
    dims = {data.name: _axes_of(model, data, held) for data in given}
    arrays = {drawn[rv]: _fitting(model, draws[rv.name], rv) for rv in held}
    outputs = over_draws(_with_open_sizes(model, loose, given, dims), arrays)
    axes = {v.name: (DRAW, *named_axes(model, v.name)) for v in wanted}
    names, example = [v.name for v in wanted], [data.get_value() for data in given]
    told = Quantities(given, outputs, list(dims), names, example, dims, axes)
    return _summarized(told, summary, len(next(iter(draws.values())))) if summary else told


def _check_clear(
    wanted: Sequence[Any],
    held: Sequence[Any],
    anew: Sequence[Any],
    computed: Sequence[Any],
    given: Sequence[Any],
) -> None:
    """Refuse to draw anew what the trace lacks where it has what follows from it: which one holds?

    Raises:
        InvalidRequest: Then, with what to do.
    """
    known = {*held, *given}
    needed = set(ancestors(wanted, blockers=known))
    for variable in computed:
        above = set(ancestors([variable], blockers=known))
        lacking = [rv for rv in anew if rv in above]
        if variable in needed and variable not in known and lacking and not above & set(given):
            names = ", ".join(repr(rv.name) for rv in lacking)
            raise InvalidRequest(
                f"the trace has no draws of {names}, but of {variable.name!r}, which is computed from it: "
                f"keep these by from_trace=[{variable.name!r}], or take {variable.name!r} out of the "
                "trace, too, and it is drawn anew"
            )


def _draws_in(trace: Any, thin: int) -> dict[str, Array]:
    """Return the draws by variable, with all of them along the first axis."""
    group = getattr(trace, "posterior", trace)
    dataset = group.to_dataset() if hasattr(group, "to_dataset") else group
    if hasattr(dataset, "data_vars"):
        arrays = {str(name): _along_draws(array) for name, array in dataset.data_vars.items()}
    elif isinstance(trace, Mapping):
        arrays = {str(name): np.asarray(values) for name, values in trace.items()}
    else:
        raise InvalidRequest(
            f"trace is a {type(trace).__name__}: give what pm.sample returned, a dataset, or a "
            "dictionary of arrays with the draws along their first axes"
        )
    counts = {name: len(array) for name, array in arrays.items() if array.ndim}
    if len(counts) < len(arrays) or len(set(counts.values())) > 1:
        raise InvalidRequest(f"the variables of the trace have unlike numbers of draws: {counts}")
    return {name: array[::thin] for name, array in arrays.items()}


def _along_draws(array: Any) -> Array:
    sampled = [dim for dim in DRAWS if dim in array.dims]
    values = array.transpose(*sampled, ...).values
    flat: Array = values.reshape(-1, *values.shape[len(sampled) :])
    return flat


def _sized_by_parameters(variable: Any) -> Any:
    """Return an observed variable whose size follows from its parameters, where it does so now.

    PyMC gives one that is observed the size of what was observed, which predictions for other data
    do not have.
    """
    node = variable.owner
    if node is None or not isinstance(node.op, RandomVariable):
        return variable
    op: Any = node.op
    parameters = op.dist_params(node)
    if not hasattr(op.size_param(node).type, "dtype") or op.ndim_supp:
        return variable
    if max((p.type.ndim for p in parameters), default=0) != variable.type.ndim:
        return variable
    loose = op.make_node(op.rng_param(node), None, *parameters).outputs[1]
    sizes = pytensor.function(  # type: ignore[attr-defined]
        [], [loose.shape, variable.shape], mode="FAST_COMPILE"
    )()
    if not np.array_equal(*sizes):
        return variable
    loose.name = variable.name
    return loose


def _data_among(model: Any, outputs: Sequence[Any], asked: Sequence[str] | None) -> list[Any]:
    """Return the data that are inputs: those asked for, or all that the outputs need."""
    if asked is not None:
        return [data_named(model, name) for name in asked]
    needed = set(ancestors(outputs))
    return [data for data in model.data_vars if data in needed and data not in _targets(model)]


def _targets(model: Any) -> set[Any]:
    """Return what was observed."""
    return set(ancestors([model.rvs_to_values[rv] for rv in model.observed_RVs]))


def _axes_of(model: Any, data: Any, held: Sequence[Any]) -> tuple[Dimension, ...]:
    """Return the names of data's open axes, and the sizes of those that draws depend on."""
    fixed = {dim for rv in held for dim in named_axes(model, rv.name)}
    names = named_axes(model, data.name)
    axes: list[Dimension] = []
    for position, size in enumerate(data.get_value(borrow=True).shape):
        name = names[position] if position < len(names) else None
        if name is None:
            axes.append(f"{data.name}_0" if position == 0 else size)
        else:
            axes.append(size if name in fixed else name)
    return tuple(axes)


def _fitting(model: Any, array: Array, rv: Any) -> Array:
    """Return the draws of a variable, in its dtype.

    Raises:
        InvalidRequest: When a draw has another shape than the variable.
    """
    if array.ndim != rv.type.ndim + 1:
        raise InvalidRequest(
            f"a draw of {rv.name!r} has {array.ndim - 1} axes in the trace, and {rv.type.ndim} in the "
            "model: was it drawn from another one?"
        )
    lengths = [_length_of(model, name) for name in named_axes(model, rv.name)]
    known = [*lengths, *rv.type.shape[len(lengths) :]]
    if any(size not in (None, found) for size, found in zip(known, array.shape[1:], strict=True)):
        raise InvalidRequest(
            f"a draw of {rv.name!r} has the shape {list(array.shape[1:])} in the trace, and "
            f"{known} in the model: was it drawn from another one?"
        )
    return array.astype(rv.dtype)


def _length_of(model: Any, dim: str | None) -> int | None:
    length = model.dim_lengths.get(dim)
    value = length.get_value() if hasattr(length, "get_value") else getattr(length, "data", None)
    return None if value is None else int(value)


def _with_open_sizes(
    model: Any,
    outputs: Sequence[Any],
    given: Sequence[Any],
    dims: Mapping[str, Sequence[Dimension]],
) -> list[Any]:
    """Return outputs in which the lengths of dims are those of the data, or known."""
    lengths = {
        name: data.shape[position]
        for data in given
        for position, name in enumerate(dims[data.name])
        if isinstance(name, str)
    }
    needed = set(ancestors(outputs))
    replaced = {
        length: lengths.get(dim, pt.constant(length.get_value(), dtype=length.dtype))
        for dim, length in model.dim_lengths.items()
        if length in needed and hasattr(length, "get_value")
    }
    for data in _targets(model) & set(model.data_vars) & needed - set(given):
        names = named_axes(model, data.name)
        sizes = [
            lengths.get((names[i] if i < len(names) else None) or "", size)
            for i, size in enumerate(data.get_value(borrow=True).shape)
        ]
        replaced[data] = pt.zeros(sizes, dtype=data.dtype)
    found: list[Any] = clone_replace(list(outputs), replaced)
    return found


def _summarized(told: Quantities, summary: Sequence[str | float], count: int) -> Quantities:
    """Return means and quantiles over the draws, in place of these."""
    outputs: list[Any] = []
    names: list[str] = []
    axes: dict[str, Sequence[str | None]] = {}
    for name, draws in zip(told.output_names, told.outputs, strict=True):
        ordered = sort(draws, axis=0)
        for entry in summary:
            mean = entry == "mean"
            outputs.append(draws.mean(axis=0) if mean else _quantile(ordered, float(entry), count))
            names.append(f"{name}_mean" if mean else f"{name}_q{entry:g}")
            axes[names[-1]] = told.axes[name][1:]
    return replace(told, outputs=outputs, output_names=names, axes=axes)


def _quantile(ordered: Any, chance: float, count: int) -> Any:
    """Return the quantile of ordered draws, linear between two of them, as `np.quantile` has it."""
    place = chance * (count - 1)
    below = int(place)
    above = min(below + 1, count - 1)
    return ordered[below] * (1 - (place - below)) + ordered[above] * (place - below)
