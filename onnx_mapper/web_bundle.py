"""A folder to put on a web server: a model, a page that runs it, and the numbers that it must give."""

from __future__ import annotations

import base64
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from onnx import ModelProto

from onnx_mapper.capture.reading import capture
from onnx_mapper.checking.compare import tolerance_of
from onnx_mapper.checking.trial_inputs import Trial
from onnx_mapper.checking.tried import as_declared, tried_inputs
from onnx_mapper.errors import CannotWrite, InvalidRequest
from onnx_mapper.language.arrays import Array
from onnx_mapper.mapping.to_model import to_model
from onnx_mapper.model.file import save
from onnx_mapper.model.metadata import narrowed_to, told_of_draws
from onnx_mapper.options import OptionArguments, options_of, takes_options

PAGES = Path(__file__).parent / "web"


@takes_options
def bundle(
    fn: Any,
    folder: str | os.PathLike[str],
    *,
    inputs: Sequence[Any] | Mapping[str, Any] | None = None,
    **options: Unpack[OptionArguments],
) -> ModelProto:
    """Write a folder that runs a function in a browser and checks itself when it is opened.

    It holds `model.onnx`, `index.html`, `expected.json` with inputs and PyTensor's outputs, and what
    compares them (`compare.mjs`); `check.mjs` does the same in Node. Serve it with any web server,
    `python -m http.server` for one. The page takes ONNX Runtime Web (its part for WebAssembly) from
    beside it, where `ort.wasm.bundle.min.mjs` and `ort-wasm-simd-threaded.*` of the npm package
    `onnxruntime-web` are put there, and from the network otherwise.

    Args:
        fn: What `export` takes.
        folder: The folder to make; it must be new, or empty.
        inputs: Numbers to check with, in order or by name; by default those that `verify` finds.
        **options: See `Options`.

    Returns:
        The model. `dtype="float32"` is what browsers compute fastest.

    Raises:
        Refused: When ops, attributes or dtypes of the graph can't be expressed; lists all.
        InvalidRequest: When the folder holds something, or the function draws random numbers.
        CannotWrite: When the folder can't be written.

    Example:
        >>> import tempfile, pytensor, pytensor.tensor as pt
        >>> x = pt.fvector("x")
        >>> site = Path(tempfile.mkdtemp()) / "site"
        >>> model = bundle(pytensor.function([x], pt.exp(x)), site)
        >>> sorted(path.name for path in site.iterdir())
        ['check.mjs', 'compare.mjs', 'expected.json', 'index.html', 'model.onnx']
    """
    target = Path(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InvalidRequest(
            f"{target} is there already, and not empty: give the name of a new folder"
        )
    captured = capture(fn)
    built = to_model(captured, options_of({**options, "external_data": "never"}))
    draws = told_of_draws(built.model)
    if draws:
        raise InvalidRequest(
            f"{draws}, for which there is nothing to compare with: make the draws inputs of the function"
        )
    trials = tried_inputs(built.model, captured, fn, inputs, {})
    expected = {"trials": [_told(built.model, trial) for trial in trials]}
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as made:
            whole = Path(made) / target.name
            shutil.copytree(PAGES, whole)
            (whole / "expected.json").write_text(json.dumps(expected), encoding="utf-8")
            save(built.model, whole / "model.onnx", {})
            if target.exists():
                target.rmdir()
            whole.rename(target)
    except OSError as error:
        raise CannotWrite(f"{target} can't be written: {error.strerror or error}") from None
    return built.model


def _told(model: ModelProto, trial: Trial) -> dict[str, dict[str, Any]]:
    """Return inputs and outputs as JSON, in the dtypes that the model has."""
    inputs = {
        port.name: _encoded(as_declared(port, array))
        for port, array in zip(model.graph.input, trial.inputs, strict=False)
    }
    outputs = {}
    for port, array in zip(model.graph.output, trial.expected, strict=False):
        cast = as_declared(port, array)
        rtol, atol = tolerance_of(cast, None, None, narrowed_to(model))
        finite = np.abs(cast[np.isfinite(cast)]) if cast.dtype.kind == "f" else cast[:0]
        largest = float(finite.max()) if finite.size else 0.0
        outputs[port.name] = {
            **_encoded(cast), "rtol": rtol, "atol": rtol * largest if atol is None else atol
        }  # fmt: skip
    return {"inputs": inputs, "outputs": outputs}


def _encoded(array: Array) -> dict[str, Any]:
    little = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False))
    data = base64.b64encode(little.tobytes()).decode()
    return {"dtype": array.dtype.name, "dims": list(array.shape), "data": data}
