"""The names that inputs, outputs and shared variables have in the model: the user's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onnx_mapper.capture.graph import Captured, GraphInput, GraphOutput, Parameter
from onnx_mapper.capture.sparse import Entries, entries_of, is_sparse
from onnx_mapper.errors import InvalidRequest
from onnx_mapper.language.arrays import Array


def chosen(
    asked: Sequence[str] | None, own: Sequence[str | None], role: str
) -> list[tuple[str | None, bool]]:
    """Return for each variable its name, and whether the caller asked for it explicitly."""
    if asked is None:
        return [(name, False) for name in own]
    if isinstance(asked, str) or not all(isinstance(name, str) and name for name in asked):
        raise InvalidRequest(f"{role}_names is a list of non-empty texts, not {asked!r}")
    if len(asked) != len(own):
        raise InvalidRequest(
            f"{role}_names has {len(asked)} names, and the function has {len(own)} {role}s"
        )
    return [(name, True) for name in asked]


def named(
    inputs: Sequence[Any],
    shared: Sequence[tuple[Any, Any, bool]],
    outputs: Sequence[Any],
    updates: Sequence[tuple[Any, Any]],
    wanted_in: Sequence[tuple[str | None, bool]],
    wanted_out: Sequence[tuple[str | None, bool]],
    origins: Sequence[Any],
    leaves: Sequence[Any],
    name: str = "pytensor",
) -> Captured:
    """Give everything its name: the user's, exactly, where there is one.

    Args:
        inputs: The variables of the graph that are inputs of the model.
        shared: Shared variables: in the graph, as the user made them, and whether updated.
        outputs: The variables of the graph that are outputs of the model.
        updates: New values of shared variables, and which ones.
        wanted_in: The inputs' names, and whether the caller asked for them explicitly.
        wanted_out: The outputs' names, likewise.
        origins: For each output the variable that the user meant; one that stands here twice,
            or is a leaf as well, has one name for two roles.
        leaves: The user's inputs and shared variables.
        name: What the graph is called.
    """
    taken: dict[str, str] = {}

    def claim(name: str, what: str) -> str:
        if name in taken:
            raise InvalidRequest(
                f"{what} and {taken[name]} are both named {name!r}: give one of the variables "
                "another name, or pass input_names or output_names"
            )
        taken[name] = what
        return name

    def invent(hint: str, what: str) -> str:
        candidate, number = hint, 0
        while candidate in taken or candidate in asked:
            number += 1
            candidate = f"{hint}_{number}"
        return claim(candidate, what)

    asked = {name for name, _ in (*wanted_in, *wanted_out) if name}
    asked |= {origin.name for _, origin, _ in shared if origin.name}
    graph_inputs = [
        GraphInput(
            claim(wanted, f"input {position}")
            if wanted
            else invent(f"input_{position}", f"input {position}"),
            variable,
        )
        for position, (variable, (wanted, _)) in enumerate(zip(inputs, wanted_in, strict=True))
    ]
    graph_outputs: list[GraphOutput] = []
    met = {id(variable) for variable in leaves}
    for position, (variable, (wanted, explicit)) in enumerate(
        zip(outputs, wanted_out, strict=True)
    ):
        what = f"output {position}"
        origin = origins[position] if position < len(origins) else variable
        repeated = wanted in taken and taken[wanted].startswith("output")
        if wanted and not explicit and id(origin) in met:
            final = invent(f"{wanted}_output", what)
        elif wanted and not explicit and repeated:
            # PyTensor itself names results, and gives two means one name.
            final = invent(wanted, what)
        elif wanted:
            final = claim(wanted, what)
            met.add(id(origin))
        else:
            final = invent(f"output_{position}", what)
        graph_outputs.append(GraphOutput(final, variable))
    parameters = []
    for position, (variable, origin, updated) in enumerate(shared):
        what = f"the shared variable {origin.name or position}"
        repeated = origin.name in taken and taken[origin.name].startswith("the shared")
        if not origin.name or repeated:
            final = invent(origin.name or f"parameter_{position}", what)
        else:
            final = claim(origin.name, what)
        parameters.append(
            Parameter(final, variable, _value_of(origin), updated, _entries_of(origin), origin)
        )
    by_variable = {parameter.variable: parameter.name for parameter in parameters}
    for variable, updated_input in updates:
        owner = by_variable.get(updated_input, "an input")
        graph_outputs.append(
            GraphOutput(invent(f"{owner}_next", f"the update of {owner}"), variable, owner)
        )
    return Captured(tuple(graph_inputs), tuple(parameters), tuple(graph_outputs), name)


def _value_of(shared: Any) -> Array | None:
    value = shared.get_value(borrow=True) if hasattr(shared, "get_value") else None
    if value is None or not isinstance(value, np.ndarray | np.generic | int | float | bool):
        return None
    return np.asarray(value)


def _entries_of(shared: Any) -> Entries | None:
    return entries_of(shared.get_value(borrow=True)) if is_sparse(shared.type) else None
