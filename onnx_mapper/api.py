"""The main job: a PyTensor function in, an ONNX model out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Unpack

from onnx import ModelProto

from onnx_mapper.capture.raw import raw_function
from onnx_mapper.capture.reading import capture
from onnx_mapper.delivery import build_variables, deliver
from onnx_mapper.mapping.to_model import to_model
from onnx_mapper.model.file import check_target
from onnx_mapper.options import OptionArguments, options_of, takes_options


@takes_options
def export(
    fn: Any,
    path: str | os.PathLike[str] | None = None,
    *,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    verify: bool = False,
    **options: Unpack[OptionArguments],
) -> ModelProto:
    """Turn a compiled PyTensor function into an ONNX model that gives the same numbers.

    What the function runs is what is exported: inputs in order, then as outputs the
    function's outputs and the next values of shared variables that it updates. Shared
    variables become initializers under their names; what is computed from one at export is `<name>_folded`.

    Args:
        fn: What `pytensor.function` returned, or a `FunctionGraph`.
        path: Where to write the model as well; an earlier file stays until the new one is
            complete.
        input_names: Names for the inputs, instead of the variables' own.
        output_names: Names for the outputs, instead of the variables' own.
        verify: Whether to run the model in ONNX Runtime and compare it with the function.
        **options: See `Options`.

    Returns:
        The model, checked by `onnx.checker.check_model(full_check=True)`; without its weights where
        these are in a file of their own.

    Raises:
        Refused: When ops, attributes or dtypes of the graph can't be expressed; lists all.
        RowError: When a mapping file is wrong.
        Mismatch: When verification finds other numbers than PyTensor's.
        InvalidRequest: When an argument is impossible, or names clash.

    Warns:
        PrecisionWarning: Where a node computes in fewer digits, for want of a kernel.
        DriftWarning: Where an Op of a newer PyTensor has an attribute that its row doesn't know,
            and the attribute stands at its default.

    Example:
        >>> import pytensor, pytensor.tensor as pt
        >>> x = pt.fvector("x")
        >>> model = export(pytensor.function([x], pt.exp(x).copy(name="y")))
        >>> [output.name for output in model.graph.output]
        ['y']
    """
    target = None if path is None else check_target(path)
    asked = options_of(options)
    captured = capture(fn, input_names, output_names)
    built = to_model(captured, asked)
    return deliver(built, target, asked, fn if verify else None)


@takes_options
def export_graph(
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    path: str | os.PathLike[str] | None = None,
    *,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    verify: bool = False,
    **options: Unpack[OptionArguments],
) -> ModelProto:
    """Turn the graph between symbolic variables into an ONNX model.

    The graph is cloned and given PyTensor's `canonicalize` and `stabilize` rewrites, which fold
    constants and keep numerically stable forms, and nothing that is meant for a backend.

    Args:
        inputs: The variables that become inputs of the model, in order.
        outputs: The variables that become its outputs, in order.
        path: Where to write the model as well.
        input_names: Names for the inputs, instead of the variables' own.
        output_names: Names for the outputs, instead of the variables' own.
        verify: Whether to compare the model with PyTensor.
        **options: See `Options`.

    Returns:
        The model, checked.

    Raises:
        Refused: See `export`.
        InvalidRequest: Also when the graph needs a variable that is not among the inputs.

    Example:
        >>> import pytensor.tensor as pt
        >>> x = pt.fmatrix("x")
        >>> export_graph([x], [x.sum(axis=1)], output_names=["sums"]).graph.output[0].name
        'sums'
    """
    target = None if path is None else check_target(path)
    asked = options_of(options)
    built = build_variables(inputs, outputs, input_names, output_names, asked)
    function = raw_function(inputs, outputs) if verify else None
    return deliver(built, target, asked, function)
