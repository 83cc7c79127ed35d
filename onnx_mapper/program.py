"""A PyTensor function that runs in ONNX Runtime, called as the function is."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, Unpack

import numpy as np
from onnx import ModelProto

from onnx_mapper.capture.graph import Captured, GraphOutput
from onnx_mapper.capture.reading import capture, capture_variables, function_in
from onnx_mapper.errors import Refusal, Refused
from onnx_mapper.mapping.build import Built
from onnx_mapper.mapping.to_model import to_model
from onnx_mapper.model.file import check_target, save
from onnx_mapper.model.session import open_session
from onnx_mapper.options import OptionArguments, Options, options_of, takes_options
from onnx_mapper.parts import Parts


@takes_options
def compile(  # noqa: A001 - as torch and numba call it, in their own namespaces
    fn: Any,
    outputs: Any = None,
    *,
    frozen: bool = False,
    partly: bool = False,
    **options: Unpack[OptionArguments],
) -> Program:
    """Turn a PyTensor function into one that runs in ONNX Runtime.

    Args:
        fn: What `pytensor.function` returned; or a list of variables, the inputs of `outputs`.
        outputs: A list of variables, or a single one, that are to be computed from inputs.
        frozen: Whether shared variables keep the values that they have now. Otherwise each call
            reads them, so that weights can be trained on; what follows from them is then computed
            anew in each call, and no pattern that needs to know them is found.
        partly: Whether ops that don't convert run in PyTensor, one by one, between models of all others.
            `Program.refusals` tells which these are; there is no single `model` then.
        **options: See `Options`.

    Returns:
        What is called like the function: inputs by position or by name, as many outputs as it has, in
        a list unless it is compiled for a single one. Shared variables that the function updates have
        their next values after a call. A point of PyMC's, a dictionary, is taken too.

    Raises:
        Refused: When ops, attributes or dtypes of the graph can't be expressed; lists all. With
            `partly`, when no op can.
        InvalidRequest: When an argument is impossible.

    Warns:
        PrecisionWarning: See `export`.
        FallbackWarning: When ops run in PyTensor.

    Example:
        >>> import pytensor, pytensor.tensor as pt
        >>> x, scale = pt.dvector("x"), pytensor.shared(2.0, name="scale")
        >>> doubled = compile([x], x * scale)
        >>> doubled([1.0, 2.5]).tolist()
        [2.0, 5.0]
        >>> scale.set_value(3.0)
        >>> doubled(x=[1.0, 2.5]).tolist()
        [3.0, 7.5]
    """
    asked = options_of(options)
    if outputs is None:
        captured = capture(fn)
        is_single = bool(getattr(function_in(fn), "unpack_single", False))
    else:
        is_single = not isinstance(outputs, list | tuple)
        captured = capture_variables(fn, [outputs] if is_single else outputs)
    if not frozen:
        captured = _with_live_parameters(captured)
    try:
        runner: _Runner = _WholeModel(captured, to_model(captured, asked))
    except Refused:
        if not partly:
            raise
        runner = _InParts(captured, asked)
    return Program(captured, runner, is_single)


def _with_live_parameters(captured: Captured) -> Captured:
    """Return a graph whose shared variables are inputs of the model, as those that are updated are."""
    live = [p if p.value is None else replace(p, updated=True) for p in captured.parameters]
    return replace(captured, parameters=tuple(live))


class _Runner(Protocol):
    """What computes the outputs of a graph."""

    @property
    def dtypes(self) -> Mapping[str, np.dtype[Any] | None]:
        """The dtypes of all that it takes, by name; None for what is taken as it is."""

    @property
    def outputs(self) -> Sequence[GraphOutput]:
        """Which of the graph's outputs it gives."""

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """What of the graph it leaves to PyTensor."""

    def run(self, feed: Mapping[str, Any]) -> Sequence[Any]:
        """Return what it gives, in order."""


class _WholeModel:
    """One model."""

    def __init__(self, captured: Captured, built: Built) -> None:
        self.built = built
        self.session = open_session(built.model, weights=built.weights)
        given = {port.name for port in self.session.get_outputs()}  # no states of generators
        self.outputs = [output for output in captured.outputs if output.name in given]
        ports = [*self.session.get_inputs(), *self.session.get_overridable_initializers()]
        self.dtypes = {port.name: _dtype_of(port.type) for port in ports}
        self.refusals: tuple[Refusal, ...] = ()

    def run(self, feed: Mapping[str, Any]) -> Sequence[Any]:
        results: Sequence[Any] = self.session.run(None, feed)
        return results


class _InParts:
    """Models, and ops of PyTensor's between them."""

    def __init__(self, captured: Captured, options: Options) -> None:
        self.outputs = captured.outputs
        inputs = {i.name: i.variable for i in captured.inputs}
        inputs |= {p.name: p.variable for p in captured.parameters}
        self.dtypes = dict.fromkeys(inputs)
        self._names = list(inputs)
        outputs = [output.variable for output in captured.outputs]
        self._parts = Parts(list(inputs.values()), outputs, options, partly=True)
        self._held = {p.name: p.value for p in captured.parameters}
        self.refusals = self._parts.refusals

    def run(self, feed: Mapping[str, Any]) -> Sequence[Any]:
        return self._parts.run([feed.get(name, self._held.get(name)) for name in self._names])


class Program:
    """A function that runs in ONNX Runtime; `compile` makes it.

    Attributes:
        refusals: What of the function runs in PyTensor as it does not convert, with the reasons; only a
            function that is compiled `partly` may have any.
    """

    def __init__(self, captured: Captured, runner: _Runner, is_single: bool) -> None:
        self._runner = runner
        self._is_single = is_single
        self.refusals = runner.refusals
        taken = runner.dtypes
        given = [p for p in captured.parameters if p.name in taken]
        live = [p for p in given if p.updated or p.value is None]
        self._shared = {p.name: p.shared for p in live if p.shared is not None}
        self._updates = [output.updates for output in runner.outputs]
        fixed = {p.name for p in captured.parameters if not p.updated}
        self._wanted = [name for name in taken if name not in self._shared and name not in fixed]
        self._inputs = {i.name: i.variable for i in captured.inputs if i.name in taken}

    @property
    def model(self) -> ModelProto:
        """The ONNX model that it runs.

        Raises:
            Refused: When there are several, and ops that run in PyTensor between them.
        """
        return self._whole().built.model

    @property
    def session(self) -> Any:
        """The `onnxruntime.InferenceSession` of its model.

        Raises:
            Refused: See `model`.
        """
        return self._whole().session

    def _whole(self) -> _WholeModel:
        if not isinstance(self._runner, _WholeModel):
            raise Refused(self.refusals)
        return self._runner

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Compute the outputs.

        Args:
            *arguments: Inputs in order, or one dictionary of them.
            **named: Inputs by their names, those for random numbers among them.

        Raises:
            TypeError: When an input is missing, unknown, given twice, or of a wrong type.
        """
        is_point = len(arguments) == 1 and isinstance(arguments[0], Mapping)
        if is_point:
            named = {**arguments[0], **named}
        given = self._given(() if is_point else arguments, named)
        feed = {name: self._array(name, value) for name, value in given.items()}
        for name, shared in self._shared.items():
            feed[name] = self._cast(name, shared.get_value(borrow=True))
        results = self._runner.run(feed)
        self._update(results)
        own = [r for r, updated in zip(results, self._updates, strict=True) if updated is None]
        return own[0] if self._is_single else own

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model, with the values that shared variables had when it was compiled.

        Raises:
            Refused: See `model`.
            InvalidRequest: When the path is none.
            CannotWrite: When it can't be written.
        """
        built = self._whole().built
        save(built.model, check_target(path), built.weights.arrays)

    def _given(self, arguments: Sequence[Any], named: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the inputs by their names."""
        listed = ", ".join(self._wanted) or "none"
        if len(arguments) > len(self._inputs):
            raise TypeError(f"{len(arguments)} inputs are given; there are: {listed}")
        given = dict(zip(self._inputs, arguments, strict=False))
        for name, value in named.items():
            if name not in self._wanted:
                raise TypeError(f"there is no input {name!r}; there are: {listed}")
            if name in given:
                raise TypeError(f"the input {name!r} is given twice")
            given[name] = value
        missing = [name for name in self._wanted if name not in given]
        if missing:
            raise TypeError(f"no value is given for: {', '.join(missing)}")
        return given

    def _array(self, name: str, value: Any) -> Any:
        """Return the value of an input as PyTensor takes it, in the model's dtype."""
        variable = self._inputs.get(name)
        try:
            taken = value if variable is None else variable.type.filter(value, strict=False)
        except (TypeError, ValueError) as error:
            raise TypeError(f"the input {name!r}: {error}") from None
        return self._cast(name, taken)

    def _cast(self, name: str, value: Any) -> Any:
        dtype = self._runner.dtypes[name]
        return value if dtype is None else np.asarray(value, dtype)

    def _update(self, results: Sequence[Any]) -> None:
        """Give shared variables their next values."""
        for result, updated in zip(results, self._updates, strict=True):
            if updated in self._shared:
                shared = self._shared[updated]
                dtype = getattr(shared.type, "dtype", None)
                shared.set_value(result if dtype is None else np.asarray(result, dtype))


def _dtype_of(declared: str) -> np.dtype[Any]:
    """Return the dtype of what ONNX Runtime calls `tensor(float)`."""
    name = declared.removeprefix("tensor(").removesuffix(")")
    return np.dtype({"float": "float32", "double": "float64"}.get(name, name))
