"""A PyTensor function that runs in ONNX Runtime, called as the function is."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Unpack

import numpy as np
from onnx import ModelProto

from onnx_mapper.capture.graph import Captured
from onnx_mapper.capture.reading import capture, capture_variables, function_in
from onnx_mapper.mapping.build import Built
from onnx_mapper.mapping.to_model import to_model
from onnx_mapper.model.file import check_target, save
from onnx_mapper.model.session import open_session
from onnx_mapper.options import OptionArguments, options_of, takes_options


@takes_options
def compile(  # noqa: A001 - as torch and numba call it, in their own namespaces
    fn: Any,
    outputs: Any = None,
    *,
    frozen: bool = False,
    **options: Unpack[OptionArguments],
) -> Program:
    """Turn a PyTensor function into one that runs in ONNX Runtime.

    Args:
        fn: What `pytensor.function` returned; or a list of variables, the inputs of `outputs`.
        outputs: A list of variables, or a single one, that are to be computed from inputs.
        frozen: Whether shared variables keep the values that they have now. Otherwise each call
            reads them, so that weights can be trained on; what follows from them is then computed
            anew in each call, and no pattern that needs to know them is found.
        **options: See `Options`.

    Returns:
        What is called like the function: inputs by position or by name, as many outputs as it has, in
        a list unless it is compiled for a single one. Shared variables that the function updates have
        their next values after a call. A point of PyMC's, a dictionary, is taken too.

    Raises:
        Refused: When ops, attributes or dtypes of the graph can't be expressed; lists all.
        InvalidRequest: When an argument is impossible.

    Warns:
        PrecisionWarning: See `export`.

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
    return Program(captured, to_model(captured, asked), is_single)


def _with_live_parameters(captured: Captured) -> Captured:
    """Return a graph whose shared variables are inputs of the model, as those that are updated are."""
    live = [p if p.value is None else replace(p, updated=True) for p in captured.parameters]
    return replace(captured, parameters=tuple(live))


class Program:
    """A function that runs in ONNX Runtime; `compile` makes it.

    Attributes:
        model: The ONNX model that it runs.
        session: The `onnxruntime.InferenceSession` of it.
    """

    def __init__(self, captured: Captured, built: Built, is_single: bool) -> None:
        self.model: ModelProto = built.model
        self.session: Any = open_session(built.model, weights=built.weights)
        self._weights = built.weights
        self._is_single = is_single
        live = [p for p in captured.parameters if p.updated and p.value is not None]
        self._shared = {parameter.name: parameter.shared for parameter in live}
        given = {port.name for port in self.session.get_outputs()}  # no states of generators
        self._updates = [output.updates for output in captured.outputs if output.name in given]
        ports = [*self.session.get_inputs(), *self.session.get_overridable_initializers()]
        self._dtypes = {port.name: _dtype_of(port.type) for port in ports}
        self._wanted = [name for name in self._dtypes if name not in self._shared]
        self._inputs = {i.name: i.variable for i in captured.inputs if i.name in self._dtypes}

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
        results = self.session.run(None, feed)
        self._update(results)
        own = [r for r, updated in zip(results, self._updates, strict=True) if updated is None]
        return own[0] if self._is_single else own

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model, with the values that shared variables had when it was compiled.

        Raises:
            InvalidRequest: When the path is none.
            CannotWrite: When it can't be written.
        """
        save(self.model, check_target(path), self._weights.arrays)

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
        return np.asarray(value, self._dtypes[name])

    def _update(self, results: Sequence[Any]) -> None:
        """Give shared variables their next values."""
        for result, updated in zip(results, self._updates, strict=True):
            if updated in self._shared:
                shared = self._shared[updated]
                shared.set_value(np.asarray(result, shared.type.dtype))


def _dtype_of(declared: str) -> np.dtype[Any]:
    """Return the dtype of what ONNX Runtime calls `tensor(float)`."""
    name = declared.removeprefix("tensor(").removesuffix(")")
    return np.dtype({"float": "float32", "double": "float64"}.get(name, name))
