"""From variables to a model, and from a model to a file: what every public export shares."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from onnx import ModelProto

from onnx_mapper.capture.reading import capture_variables
from onnx_mapper.checking.verify import compare
from onnx_mapper.errors import InvalidRequest, Refused
from onnx_mapper.mapping.build import Built
from onnx_mapper.mapping.to_model import to_model
from onnx_mapper.model.file import save
from onnx_mapper.options import Options

NEEDS_A_PATH = (
    "the weights go to a file beside the model's, as one ONNX file holds less than 2 GB of them (or "
    "because external_data asks for it): give a path, export(f, 'model.onnx')"
)


def build_variables(
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    input_names: Sequence[str] | None,
    output_names: Sequence[str] | None,
    options: Options,
) -> Built:
    """Return the model of the graph between variables.

    Raises:
        Refused: When ops, attributes or dtypes of the graph can't be expressed; lists all.
        InvalidRequest: When an argument is impossible.
    """
    try:
        return to_model(capture_variables(inputs, outputs, input_names, output_names), options)
    except Refused:  # what needs constants may get them where PyTensor infers sizes
        captured = capture_variables(inputs, outputs, input_names, output_names, sizes=True)
        return to_model(captured, options)


def deliver(
    built: Built,
    target: Path | None,
    options: Options,
    function: Any | None,
    inputs: Sequence[Any] | None = None,
) -> ModelProto:
    """Compare a model with its function where there is one to compare with, write it, and return it.

    The comparison is on these inputs, or on some that are found by trying.

    Raises:
        Mismatch: When the model gives other numbers than the function.
        InvalidRequest: When there is no file for weights that need one.
        CannotWrite: When the file can't be written.
    """
    if built.weights.arrays and target is None:
        raise InvalidRequest(NEEDS_A_PATH)
    if function is not None:
        compare(built.model, function, built.weights, inputs, strict=options.strict, built=built)
    if target is not None:
        save(built.model, target, built.weights.arrays)
    return built.model
