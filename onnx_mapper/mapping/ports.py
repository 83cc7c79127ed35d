"""Inputs and outputs of a graph, as the model declares them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np

from onnx_mapper.capture.graph import Captured, GraphInput, Parameter
from onnx_mapper.errors import InvalidRequest, Refusal, Refused
from onnx_mapper.language.tensors import Value
from onnx_mapper.language.values import DTYPES
from onnx_mapper.mapping.equal_sizes import AxisOfInput
from onnx_mapper.mapping.site import (
    Dtypes,
    Generator,
    Swallowed,
    is_generator,
    is_tensor_type,
)
from onnx_mapper.mapping.sparse import vector_of
from onnx_mapper.model.builder import GraphBuilder
from onnx_mapper.model.finish import Port
from onnx_mapper.options import Dimension, Options


@dataclass(frozen=True)
class Entrance:
    """What a graph starts with.

    Attributes:
        known: The tensors of inputs and parameters, by their variables.
        ports: The inputs that the model declares.
        refusals: Inputs that can't be any.
        swallowed: Numbers of parameters that became 0 or infinite.
    """

    known: Mapping[Any, Any]
    ports: tuple[Port, ...]
    refusals: tuple[Refusal, ...]
    swallowed: tuple[Swallowed, ...]


def enter(
    captured: Captured,
    builder: GraphBuilder,
    dtypes: Dtypes,
    options: Options,
    equal: Mapping[AxisOfInput, str],
) -> Entrance:
    """Make tensors of inputs and parameters, and declare the inputs.

    Args:
        captured: The graph.
        builder: The model.
        dtypes: What becomes of float64.
        options: Names and sizes of axes, and what becomes of generators.
        equal: Symbols of sizes that turned out to be equal.

    Raises:
        InvalidRequest: When `dims` names no input, or doesn't fit one.
    """
    known: dict[Any, Any] = {}
    ports: list[Port] = []
    refusals: list[Refusal] = []
    swallowed: list[Swallowed] = []
    dims = options.dims or {}
    _check_names(dims, captured.inputs)
    for input_ in captured.inputs:
        if is_generator(input_.variable) and options.random != "refuse":
            known[input_.variable] = Generator()
            continue
        type_ = dtypes.type_of(input_.variable)
        if type_.dtype not in DTYPES or type_.shape is None:
            refusals.append(type_refusal("input", input_.name, input_.variable))
            known[input_.variable] = builder.stand_in(type_)
            continue
        declared = _declared_dims(input_.name, type_.shape or (), dims.get(input_.name))
        ports.append(Port(input_.name, type_.dtype, declared))
        symbols = [
            dim if isinstance(dim, int) else equal.get((input_.name, axis), dim)
            for axis, dim in enumerate(declared)
        ]
        known[input_.variable] = builder.input(input_.name, type_.dtype, symbols)
    for parameter in captured.parameters:
        if is_generator(parameter.variable):
            known[parameter.variable] = Generator()
        if parameter.entries is not None:
            if parameter.updated:
                refusals.append(_update_refusal(parameter))
            numbers, lost = dtypes.narrowed(parameter.entries.data, parameter.name)
            swallowed += lost
            data = builder.parameter(parameter.name, numbers)
            known[parameter.variable] = vector_of(parameter.entries, data, builder)
        if parameter.value is None or not is_tensor_type(parameter.variable.type):
            continue
        numbers, lost = dtypes.narrowed(parameter.value, parameter.name)
        swallowed += lost
        open_dims = (None,) * len(numbers.shape)
        if parameter.updated:
            ports.append(Port(parameter.name, numbers.dtype.name, open_dims))
        if parameter.updated and options.state == "input":
            known[parameter.variable] = builder.input(parameter.name, numbers.dtype.name, open_dims)
        else:
            known[parameter.variable] = builder.parameter(
                parameter.name, numbers, parameter.updated
            )
    return Entrance(known, tuple(ports), tuple(refusals), tuple(swallowed))


def leave(
    captured: Captured,
    builder: GraphBuilder,
    values: Mapping[Any, Any],
    results: Sequence[Any],
    options: Options,
) -> list[Port]:
    """Give the outputs their names, and other computed tensors the names of their variables.

    Args:
        captured: The graph.
        builder: The model.
        values: The tensors of its variables.
        results: What stands for each output.
        options: What becomes of generators.

    Raises:
        Refused: When an output is no tensor.
    """
    ports: list[Port] = []
    computed = {node_output for node in builder.nodes for node_output in node.output}
    renamed = builder.names.renamed
    for output, value in zip(captured.outputs, results, strict=True):
        if is_generator(output.variable) and options.random != "refuse":
            continue
        if not isinstance(value, Value):
            raise Refused((type_refusal("output", output.name, output.variable),))
        free = value.name in computed and value.name not in renamed
        builder.as_output(value, output.name, free)
        shape = getattr(output.variable.type, "shape", ()) if value.shape is None else value.shape
        ports.append(Port(output.name, value.dtype, tuple(shape or ())))
    for variable, value in values.items():
        named = variable.name and variable.owner is not None
        is_computed = isinstance(value, Value) and value.name in computed
        if named and is_computed and value.name not in renamed:
            builder.names.rename(value.name, builder.fresh_name(variable.name))
    return ports


def sizes_named_by(ports: Sequence[Port], value: Value) -> tuple[Dimension, ...]:
    """Return a tensor's sizes, by the names that inputs of the model have for them."""
    dims = {(port.name, axis): dim for port in ports for axis, dim in enumerate(port.dims)}
    return tuple(
        dims.get((open_.tensor.name, open_.axis)) if size is None and open_ else size
        for size, open_ in zip_longest(value.shape or (), value.sizes)
    )


def type_refusal(role: str, name: str, variable: Any) -> Refusal:
    """Return why an input or output can't be one of a model."""
    return Refusal(
        f"the {role} {name!r}",
        "no row",
        f"it is of type {variable.type}, and a model's {role}s are dense tensors of "
        f"{', '.join(DTYPES)}",
    )


def _update_refusal(parameter: Parameter) -> Refusal:
    return Refusal(
        f"the shared variable {parameter.name!r}",
        "no row",
        "it is a sparse matrix that the function updates, and a model's inputs and outputs are dense "
        "tensors: update its numbers alone, as a vector, and make the matrix of them by CSR or CSC",
    )


def _check_names(dims: Mapping[str, Any], inputs: Sequence[GraphInput]) -> None:
    unknown = sorted(set(dims) - {input_.name for input_ in inputs})
    if unknown:
        listed = ", ".join(input_.name for input_ in inputs)
        raise InvalidRequest(f"dims names {unknown[0]!r}, which is no input; there are: {listed}")


def _declared_dims(
    name: str, shape: Sequence[int | None], asked: Sequence[Any] | None
) -> tuple[Dimension, ...]:
    if asked is None:
        return tuple(shape)
    if isinstance(asked, str) or len(asked) != len(shape):
        raise InvalidRequest(f"dims[{name!r}] must have {len(shape)} entries, one per axis")
    declared: list[Dimension] = []
    for axis, (ours, theirs) in enumerate(zip(shape, asked, strict=True)):
        if isinstance(theirs, np.integer):
            theirs = int(theirs)
        impossible = (
            isinstance(theirs, bool) or theirs == "" or (isinstance(theirs, int) and theirs < 0)
        )
        if impossible or not (theirs is None or isinstance(theirs, int | str)):
            raise InvalidRequest(
                f"dims[{name!r}][{axis}] is a name, a size from 0 on, or None, not {theirs!r}"
            )
        if ours is not None and theirs is not None and ours != theirs:
            raise InvalidRequest(f"dims[{name!r}][{axis}] is {theirs!r}, but the size is {ours}")
        declared.append(theirs if ours is None else ours)
    return tuple(declared)
