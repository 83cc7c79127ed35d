"""Which variables of a PyMC model are inputs and outputs of what is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from pytensor.graph.replace import clone_replace

from onnx_mapper.capture.raw import raw_function
from onnx_mapper.errors import InvalidRequest
from onnx_mapper.language.arrays import Array
from onnx_mapper.options import Dims

SEED = 20


@dataclass(frozen=True)
class Quantities:
    """A graph between variables, with the names that they have in a model.

    Attributes:
        inputs: The variables that are given.
        outputs: Those that are computed.
        input_names: The inputs' names.
        output_names: The outputs' names.
        example: Numbers for the inputs.
        dims: Names and sizes of the inputs' axes.
        axes: Names of the outputs' axes, where the model names them.
    """

    inputs: Sequence[Any]
    outputs: Sequence[Any]
    input_names: Sequence[str]
    output_names: Sequence[str]
    example: Sequence[Array] = ()
    dims: Dims = field(default_factory=dict)
    axes: Mapping[str, Sequence[str | None]] = field(default_factory=dict)

    def with_data(self, model: Any, names: Sequence[str]) -> Quantities:
        """Return the same graph with some of the model's data as further inputs."""
        data = [data_named(model, name) for name in names]
        return replace(
            self,
            inputs=[*self.inputs, *data],
            input_names=[*self.input_names, *names],
            example=[*self.example, *(variable.get_value() for variable in data)],
        )


def data_named(model: Any, name: str) -> Any:
    """Return a variable of `pm.Data`.

    Raises:
        InvalidRequest: When the model has none of that name.
    """
    data = {variable.name: variable for variable in model.data_vars}
    if name not in data:
        listed = ", ".join(data) or "none"
        raise InvalidRequest(f"the model has no pm.Data named {name!r}; it has: {listed}")
    return data[name]


def variables_named(names: Sequence[str] | None, among: Sequence[Any], what: str) -> list[Any]:
    """Return variables by their names; all of them where no names are given.

    Raises:
        InvalidRequest: When there is none of such a name, or none at all.
    """
    found = {variable.name: variable for variable in among}
    if not found:
        raise InvalidRequest(f"the model has no {what}")
    for name in names or ():
        if name not in found:
            raise InvalidRequest(f"{name!r} is none of the model's {what}: {', '.join(found)}")
    return [found[name] for name in names] if names is not None else list(found.values())


def named_axes(model: Any, name: str) -> Sequence[str | None]:
    """Return the names that the model gives a variable's axes."""
    return tuple(model.named_vars_to_dims.get(name) or ())


def _of_values(
    model: Any, outputs: Sequence[Any], names: Sequence[str], wanted: Sequence[Any] = ()
) -> Quantities:
    """Return what is computed of unconstrained values, all of which are inputs."""
    values = list(model.value_vars)
    point = _point(model)
    dims = {name: array.shape for name, array in point.items()}
    axes = {variable.name: named_axes(model, variable.name) for variable in wanted}
    return Quantities(values, outputs, list(point), names, list(point.values()), dims, axes)


def _point(model: Any) -> dict[str, Array]:
    """Return unconstrained values near PyMC's starting point, by their names."""
    start, generator = model.initial_point(), np.random.default_rng(SEED)
    return {
        value.name: _moved(np.asarray(start[value.name], value.dtype), generator)
        for value in model.value_vars
    }


def _moved(array: Array, generator: np.random.Generator) -> Array:
    if array.dtype.kind != "f":
        return array
    moved: Array = (array + generator.normal(0, 0.1, array.shape)).astype(array.dtype)
    return moved


def _logp(model: Any, var_names: Sequence[str] | None) -> Quantities:
    chosen = None
    if var_names is not None:
        among = [*model.basic_RVs, *model.potentials]
        chosen = variables_named(var_names, among, "random variables")
    return _of_values(model, [model.logp(vars=chosen)], ["logp"])


def _dlogp(model: Any, var_names: Sequence[str] | None) -> Quantities:
    if not any(value.dtype.startswith("float") for value in model.value_vars):
        raise InvalidRequest("the model has no values to take the gradient by: all are discrete")
    if var_names is not None:
        raise InvalidRequest('what="dlogp" is about the whole density, and takes no var_names')
    return _of_values(model, [model.logp(), model.dlogp()], ["logp", "dlogp"])


def _deterministics(model: Any, var_names: Sequence[str] | None) -> Quantities:
    wanted = variables_named(var_names, model.deterministics, "deterministic variables")
    outputs = model.replace_rvs_by_values(wanted)
    return _of_values(model, outputs, [variable.name for variable in wanted], wanted)


def _log_likelihood(model: Any, var_names: Sequence[str] | None) -> Quantities:
    wanted = variables_named(var_names, model.observed_RVs, "observed variables")
    outputs = model.logp(vars=wanted, sum=False)
    return _of_values(model, outputs, [variable.name for variable in wanted], wanted)


def _inverse(model: Any, var_names: Sequence[str] | None) -> Quantities:
    wanted = _transformed(model, var_names)
    outputs = model.replace_rvs_by_values(wanted)
    return _of_values(model, outputs, [rv.name for rv in wanted], wanted)


def _transform(model: Any, var_names: Sequence[str] | None) -> Quantities:
    wanted = _transformed(model, var_names)
    given = {rv: rv.type(name=rv.name) for rv in model.free_RVs}
    outputs = [model.rvs_to_transforms[rv].forward(given[rv], *rv.owner.inputs) for rv in wanted]
    outputs = clone_replace(outputs, given)
    names = [rv.name for rv in given]
    point = _point(model)
    values = model.replace_rvs_by_values(list(given))
    constrained = raw_function(model.value_vars, values)(*point.values())
    dims = {name: array.shape for name, array in zip(names, constrained, strict=True)}
    told = [model.rvs_to_values[rv].name for rv in wanted]
    return Quantities(list(given.values()), outputs, names, told, constrained, dims)


def _transformed(model: Any, var_names: Sequence[str] | None) -> list[Any]:
    free = [rv for rv in model.free_RVs if model.rvs_to_transforms[rv] is not None]
    return variables_named(var_names, free, "variables that are transformed")


QUANTITIES: Mapping[str, Callable[[Any, Sequence[str] | None], Quantities]] = {
    "logp": _logp,
    "dlogp": _dlogp,
    "deterministics": _deterministics,
    "transform": _transform,
    "inverse": _inverse,
    "log_likelihood": _log_likelihood,
}
