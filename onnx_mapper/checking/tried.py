"""The inputs that a model and its function are compared on, and what PyTensor makes of them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from onnx import ModelProto, ValueInfoProto, helper

from onnx_mapper.capture.raw import raw_function
from onnx_mapper.capture.reading import function_in
from onnx_mapper.checking.trial_inputs import Domain, Trial, Wanted, trials
from onnx_mapper.errors import InvalidRequest
from onnx_mapper.language.arrays import Array


def tried_inputs(
    model: ModelProto,
    captured: Any,
    fn: Any,
    inputs: Sequence[Any] | Mapping[str, Any] | None,
    domain: Domain,
) -> list[Trial]:
    """Return what a function gives for inputs: the user's, or some that reach what it does.

    Args:
        model: The model, whose inputs say which sizes are known or equal.
        captured: The function's graph.
        fn: The function; what it holds stays as it is.
        inputs: The user's, in order or by name.
        domain: The ranges of some inputs.

    Raises:
        InvalidRequest: When the inputs or the model don't fit the function, or none can be found.
    """
    ports = own_ports(model, captured)
    function = _callable(function_in(fn))
    if inputs is not None:
        return [_given_trial(function, captured, inputs)]
    wanted = Wanted(
        [_dims_of(port) for port in ports],
        _checked(domain, captured),
        [_dtype_of(port) for port in ports],
    )
    return trials(captured, wanted, lambda arrays: _results(function, arrays))


def own_ports(model: ModelProto, captured: Any) -> list[ValueInfoProto]:
    """Return the model's inputs that are the function's, without states.

    Raises:
        InvalidRequest: When there are more or fewer than the function has.
    """
    states = {parameter.name for parameter in captured.parameters if parameter.updated}
    ports = [port for port in model.graph.input if port.name not in states]
    if len(ports) != len(captured.inputs):
        raise InvalidRequest(
            f"the model has {len(ports)} inputs and the function has {len(captured.inputs)}: "
            "is the model exported from another function?"
        )
    return ports


def as_declared(port: ValueInfoProto, array: Array) -> Array:
    """Return an array in the dtype that an input or output of the model has."""
    return array.astype(_dtype_of(port))


def _dtype_of(port: ValueInfoProto) -> np.dtype[Any]:
    return np.dtype(helper.tensor_dtype_to_np_dtype(port.type.tensor_type.elem_type))


def _dims_of(port: ValueInfoProto) -> list[int | str]:
    return [dim.dim_param or dim.dim_value for dim in port.type.tensor_type.shape.dim]


def _checked(domain: Domain, captured: Any) -> Domain:
    names = [input_.name for input_ in captured.inputs]
    for name, range_ in domain.items():
        if name not in names:
            raise InvalidRequest(
                f"domain is about {name!r}; the function's inputs are {', '.join(names) or 'none'}"
            )
        if len(range_) != 2 or not range_[0] <= range_[1]:
            raise InvalidRequest(f"domain of {name!r} is {range_!r}; it is (least, largest)")
    return domain


def _callable(fn: Any) -> Any:
    if callable(fn):
        return _without_traces(fn)
    graph = fn.clone()
    return raw_function(graph.inputs, graph.outputs)


def _without_traces(fn: Any) -> Callable[..., Any]:
    """Return a function whose calls leave shared variables, random states and defaults as they are.

    A call works on copies of all that the function holds; even the arrays stay the same objects.
    """

    def call(*arrays: Array) -> Any:
        held = [container.storage[0] for container in fn.input_storage]
        try:
            for container, value in zip(fn.input_storage, held, strict=True):
                container.storage[0] = copy.deepcopy(value)
            return fn(*arrays)
        finally:
            for container, value in zip(fn.input_storage, held, strict=True):
                container.storage[0] = value

    return call


def _given_trial(function: Any, captured: Any, inputs: Sequence[Any] | Mapping[str, Any]) -> Trial:
    """Return the user's inputs as arrays, with what PyTensor makes of them."""
    names = [input_.name for input_ in captured.inputs]
    if isinstance(inputs, Mapping):
        if set(inputs) != set(names):
            raise InvalidRequest(
                f"arrays are given for {', '.join(map(str, inputs))}; "
                f"the function's inputs are {', '.join(names)}"
            )
        inputs = [inputs[name] for name in names]
    if len(inputs) != len(names):
        raise InvalidRequest(f"{len(inputs)} inputs given; the function has {len(captured.inputs)}")
    arrays = []
    for array, input_ in zip(inputs, captured.inputs, strict=True):
        type_ = input_.variable.type
        try:
            arrays.append(np.asarray(array, dtype=type_.dtype))
        except (TypeError, ValueError) as error:
            raise InvalidRequest(
                f"what is given for {input_.name!r} is no {type_.dtype} tensor: {error}"
            ) from None
        if arrays[-1].ndim != type_.ndim:
            raise InvalidRequest(
                f"what is given for {input_.name!r} has {arrays[-1].ndim} axes; "
                f"the input has {type_.ndim}"
            )
    try:
        return Trial(arrays, _results(function, arrays))
    except Exception as error:
        raise InvalidRequest(
            f"PyTensor's function does not take these inputs ({type(error).__name__}: "
            f"{first_line(error)})"
        ) from None


def first_line(error: Exception) -> str:
    """Return the first line of an error's text."""
    return str(error).splitlines()[0] if str(error) else ""


def _results(function: Any, arrays: Sequence[Array]) -> list[Array]:
    results = function(*[array.copy() for array in arrays])
    if isinstance(results, dict):
        results = list(results.values())
    if not isinstance(results, list | tuple):
        results = [results]
    return [np.asarray(result) for result in results]
