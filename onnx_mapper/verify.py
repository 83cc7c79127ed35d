"""A model in ONNX Runtime against its function in PyTensor, element by element."""

from __future__ import annotations

import copy
import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, ValueInfoProto, helper

from onnx_mapper.bisect import FirstDifference, first_difference
from onnx_mapper.capture import capture
from onnx_mapper.compare import Difference, compare_arrays, tolerance_of
from onnx_mapper.errors import InvalidRequest, Mismatch
from onnx_mapper.explain import load
from onnx_mapper.export import DTYPE_KEY, NARROWED_KEY
from onnx_mapper.report import table
from onnx_mapper.runtime import open_session
from onnx_mapper.value import Array

MOST_SIZES_TRIED = 200


@dataclass(frozen=True)
class Verification:
    """The comparison of a model with its function.

    Attributes:
        outputs: One entry per output: the worst element, in ulps, and whether it is close.
        first: Where the numbers part, if they do: the first Apply node whose value differs.
    """

    outputs: tuple[Difference, ...]
    first: FirstDifference | None = None

    @property
    def ok(self) -> bool:
        """Whether every output is close."""
        return all(output.ok for output in self.outputs)

    def __str__(self) -> str:
        rows = [
            (o.name, o.where, o.found, o.expected, o.ulps_text, "ok" if o.ok else o.problem)
            for o in self.outputs
        ]
        header = ("output", "worst element", "ONNX Runtime", "PyTensor", "ulps", "verdict")
        text = table(header, rows)
        return f"{text}\n{self.first}" if self.first else text


def verify(
    model: ModelProto | str | os.PathLike[str],
    fn: Any,
    inputs: Sequence[Any] | None = None,
    *,
    rtol: float | None = None,
    atol: float | None = None,
    mappings: Sequence[str | Path] = (),
) -> Verification:
    """Run a model in ONNX Runtime, its function in PyTensor, and compare every output.

    Args:
        model: The exported model, or its path.
        fn: The function that it was exported from.
        inputs: One array per input of the function; seeded random numbers by default, with
            sizes that fit the function where sizes are open.
        rtol: Largest relative difference; by default 1e-4 in float32, 1e-9 in float64, exact
            for integers. A model that computes in float32 for want of kernels gets float32's.
        atol: Largest absolute difference; by default `rtol` times the largest element.
        mappings: The further rows that the model was exported with, for finding the first
            node that differs.

    Returns:
        Per output the worst element: its index, both values and their distance in ulps.

    Raises:
        Mismatch: When an output has another dtype, shape or other numbers; carries the
            comparison as `report`, with the first node whose value differs.
        InvalidRequest: When the inputs don't fit the function.

    Example:
        >>> import pytensor, pytensor.tensor as pt
        >>> from onnx_mapper import export
        >>> x = pt.fvector("x")
        >>> fn = pytensor.function([x], pt.exp(x).copy(name="y"))
        >>> verify(export(fn), fn).ok
        True
    """
    loaded = load(model)
    captured = capture(fn)
    session = open_session(loaded)
    function = _callable(fn)
    states = {parameter.name for parameter in captured.parameters if parameter.updated}
    ports = [port for port in loaded.graph.input if port.name not in states]
    if len(ports) != len(captured.inputs):
        raise InvalidRequest(
            f"the model has {len(ports)} inputs and the function has {len(captured.inputs)}: "
            "is the model exported from another function?"
        )
    arrays, expected = _evaluated(function, captured, ports, inputs)
    feed = {port.name: _as_declared(port, array) for port, array in zip(ports, arrays, strict=True)}
    found = session.run(None, feed)[: len(expected)]
    narrow = _narrowed(loaded)
    whole = any(e.key == DTYPE_KEY and e.value == "float32" for e in loaded.metadata_props)
    outputs = tuple(
        compare_arrays(
            port.name,
            ours,
            _float32(theirs) if whole else theirs,
            *tolerance_of(ours, rtol, atol, narrow),
        )
        for port, ours, theirs in zip(loaded.graph.output, found, expected, strict=False)
    )
    if all(output.ok for output in outputs):
        return Verification(outputs)
    first = first_difference(loaded, captured, feed, arrays, mappings, rtol, atol, narrow)
    report = Verification(outputs, first)
    raise Mismatch(f"the model does not give PyTensor's numbers:\n{report}", report)


def reference_function(inputs: Sequence[Any], outputs: Sequence[Any]) -> Any:
    """Compile a graph for evaluation by PyTensor's own `perform` methods, without rewrites."""
    import pytensor
    from pytensor.compile.mode import Mode

    raw = Mode(linker="py", optimizer=None)  # type: ignore[arg-type]
    return pytensor.function(  # type: ignore[attr-defined]
        list(inputs), list(outputs), mode=raw, on_unused_input="ignore"
    )


def _callable(fn: Any) -> Any:
    if callable(fn):
        return _without_traces(fn)
    graph = fn.clone()
    return reference_function(graph.inputs, graph.outputs)


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


def _evaluated(
    function: Any, captured: Any, ports: Sequence[ValueInfoProto], inputs: Sequence[Any] | None
) -> tuple[list[Array], list[Array]]:
    """Return the inputs, and what PyTensor makes of them."""
    if inputs is not None:
        if len(inputs) != len(ports):
            raise InvalidRequest(f"{len(inputs)} inputs given; the function has {len(ports)}")
        given = [
            np.asarray(array, dtype=input_.variable.type.dtype)
            for array, input_ in zip(inputs, captured.inputs, strict=True)
        ]
        return given, _results(function, given)
    failure: Exception | None = None
    for sizes in itertools.islice(_sizes(captured), MOST_SIZES_TRIED):
        arrays = _random_inputs(captured, sizes)
        try:
            return arrays, _results(function, arrays)
        except Exception as error:
            failure = failure or error
    raise InvalidRequest(
        f"no random inputs fit the function ({type(failure).__name__}: "
        f"{str(failure).splitlines()[0] if str(failure) else ''}): pass inputs=[…]"
    )


def _results(function: Any, arrays: Sequence[Array]) -> list[Array]:
    results = function(*[array.copy() for array in arrays])
    if isinstance(results, dict):
        results = list(results.values())
    if not isinstance(results, list | tuple):
        results = [results]
    return [np.asarray(result) for result in results]


def _sizes(captured: Any) -> Iterator[Mapping[tuple[int, int], int]]:
    """Yield sizes to try for the open axes: one for all, then those that parameters have."""
    open_axes = [
        (position, axis)
        for position, input_ in enumerate(captured.inputs)
        for axis, size in enumerate(input_.variable.type.shape)
        if size is None
    ]
    found = [size for p in captured.parameters if p.value is not None for size in p.value.shape]
    found += [s for i in captured.inputs for s in i.variable.type.shape if s is not None]
    candidates = list(dict.fromkeys([3, *sorted(set(found) - {1}), 8, 1]))
    for size in candidates:
        yield dict.fromkeys(open_axes, size)
    for chosen in itertools.product(candidates, repeat=len(open_axes)):
        yield dict(zip(open_axes, chosen, strict=True))


def _random_inputs(captured: Any, sizes: Mapping[tuple[int, int], int]) -> list[Array]:
    generator = np.random.default_rng(20260103)
    arrays = []
    for position, input_ in enumerate(captured.inputs):
        type_ = input_.variable.type
        shape = [
            sizes[position, axis] if size is None else size for axis, size in enumerate(type_.shape)
        ]
        kind = np.dtype(type_.dtype).kind
        numbers: Array = (
            np.asarray(generator.normal(size=shape))
            if kind == "f"
            else np.asarray(generator.integers(0, 2 if kind == "b" else 3, size=shape))
        )
        arrays.append(numbers.astype(type_.dtype))
    return arrays


def _float32(array: Array) -> Array:
    return array.astype("float32") if array.dtype == np.float64 else array


def _as_declared(port: ValueInfoProto, array: Array) -> Array:
    return array.astype(helper.tensor_dtype_to_np_dtype(port.type.tensor_type.elem_type))


def _narrowed(model: ModelProto) -> bool:
    """Tell whether a model computes in fewer digits than its function, as its metadata says."""
    return any(
        entry.key == NARROWED_KEY or (entry.key == DTYPE_KEY and entry.value != "keep")
        for entry in model.metadata_props
    )
