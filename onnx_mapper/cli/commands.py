"""The commands around one function or one model: check, export, explain, verify."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from onnx_mapper.api import export
from onnx_mapper.capture.reading import capture
from onnx_mapper.checking.check import check
from onnx_mapper.checking.explain import explain
from onnx_mapper.checking.verify import Compared, Verification, verify
from onnx_mapper.cli.options import (
    Commands,
    add_command,
    add_json,
    add_mappings,
    add_names,
    add_options,
    names_in,
    options_in,
)
from onnx_mapper.cli.show import show_json, show_table
from onnx_mapper.errors import (
    DriftWarning,
    InvalidRequest,
    Mismatch,
    PrecisionWarning,
    VerificationWarning,
)
from onnx_mapper.model.metadata import dtype_of, wider_operators
from onnx_mapper.model.weights import files_beside
from onnx_mapper.user_code import load_function
from onnx_mapper.web_bundle import bundle

_FUNCTION_HELP = "a compiled function, as module:name or file.py:name"


def add_parsers(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add these commands to the command line."""
    parser = add_command(commands, "check", "tell what of a function would not convert", _check)
    parser.add_argument("function", help=_FUNCTION_HELP)
    add_options(parser)
    add_json(parser)
    parser = add_command(commands, "export", "write a function's ONNX model", _export)
    parser.add_argument("function", help=_FUNCTION_HELP)
    parser.add_argument("model", help="the file to write")
    parser.add_argument("--verify", action="store_true", help="compare it with PyTensor first")
    add_names(parser)
    add_options(parser)
    add_json(parser)
    parser = add_command(
        commands, "bundle", "make a folder that runs a function in a browser", _bundle
    )
    parser.add_argument("function", help=_FUNCTION_HELP)
    parser.add_argument("folder", help="the folder to make; it must be new, or empty")
    add_options(parser)
    add_json(parser)
    parser = add_command(commands, "explain", "tell which op and row made each node", _explain)
    parser.add_argument("model", help="an exported model")
    add_json(parser)
    parser = add_command(commands, "verify", "compare a model with its function", _verify)
    parser.add_argument("model", help="an exported model")
    parser.add_argument("function", help=_FUNCTION_HELP)
    parser.add_argument("--inputs", metavar="FILE.npz", help="arrays by the inputs' names")
    parser.add_argument(
        "--domain",
        action="append",
        default=[],
        metavar="INPUT=LOW,HIGH",
        help="the least and the largest number of an input that is tried",
    )
    for kind in ("relative", "absolute"):
        parser.add_argument(
            f"--{kind[0]}tol", type=float, help=f"largest {kind} difference that is allowed"
        )
    parser.add_argument(
        "--strict", action="store_true", help="fail where what was compared says little"
    )
    add_mappings(parser)
    add_json(parser)


def _check(arguments: argparse.Namespace) -> int:
    found = check(load_function(arguments.function), **options_in(arguments))
    if arguments.json:
        show_json([asdict(refusal) for refusal in found.refusals])
    elif found.ok:
        print(found)
    else:
        show_table(found.table)
    return 0 if found.ok else 1


def _export(arguments: argparse.Namespace) -> int:
    function = load_function(arguments.function)
    notes: list[str] = []
    with _warnings_in(notes):
        model = export(
            function,
            arguments.model,
            **names_in(arguments),
            **options_in(arguments),
            verify=arguments.verify,
        )
    size = Path(arguments.model).stat().st_size
    beside, wider = files_beside(model), wider_operators(model)
    if arguments.json:
        show_json(
            {
                "model": arguments.model,
                "bytes": size,
                "beside": beside,
                "nodes": len(model.graph.node),
                "inputs": [port.name for port in model.graph.input],
                "outputs": [port.name for port in model.graph.output],
                "wider": wider,
                "warnings": notes,
            }
        )
        return 0
    _print_warnings(notes)
    print(f"{arguments.model}: {size:,} bytes, {len(model.graph.node)} nodes")
    for name, held in beside.items():
        print(f"{name}, beside it: {held:,} bytes of weights")
    if wider:
        listed = ", ".join(wider)
        print(f"computed in float32, where {dtype_of(model)} is held: {listed}")
    return 0


def _bundle(arguments: argparse.Namespace) -> int:
    function = load_function(arguments.function)
    notes: list[str] = []
    with _warnings_in(notes):
        model = bundle(function, arguments.folder, **options_in(arguments))
    files = sorted(path.name for path in Path(arguments.folder).iterdir())
    if arguments.json:
        show_json({"folder": arguments.folder, "files": files, "warnings": notes})
        return 0
    _print_warnings(notes)
    print(f"{arguments.folder}: {len(model.graph.node)} nodes; {', '.join(files)}")
    print(f"To look at it: python -m http.server --directory {arguments.folder}")
    return 0


def _explain(arguments: argparse.Namespace) -> int:
    explanation = explain(arguments.model)
    if arguments.json:
        show_json([asdict(node) for node in explanation])
    else:
        show_table(explanation.table)
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    function = load_function(arguments.function)
    inputs = None
    if arguments.inputs:
        inputs = _read_inputs(arguments.inputs, function)
    notes: list[str] = []
    try:
        with _warnings_in(notes):
            report = verify(
                arguments.model,
                function,
                inputs,
                rtol=arguments.rtol,
                atol=arguments.atol,
                domain=dict(map(_domain, arguments.domain)),
                mappings=arguments.mappings,
                strict=arguments.strict,
            )
    except Mismatch as mismatch:
        if not arguments.json or not isinstance(mismatch.report, Verification):
            raise
        report = mismatch.report
    if arguments.json:
        outputs = [_told(output) for output in report.outputs]
        first = None if report.first is None else str(report.first)
        show_json({"ok": report.ok, "outputs": outputs, "first": first, "warnings": notes})
        return 0 if all(output.ok for output in report.outputs) else 1
    _print_warnings(notes)
    show_table(report.table)
    return 0


def _told(output: Compared) -> dict[str, Any]:
    worst = output.worst
    return {
        "output": worst.name,
        "ok": output.ok,
        "numbers": output.count,
        "finite": output.finite,
        "ulps": worst.ulps,
        "where": worst.where,
        "found": worst.found,
        "expected": worst.expected,
    }


@contextmanager
def _warnings_in(notes: list[str]) -> Iterator[None]:
    """Collect the texts of this package's warnings."""
    told = (PrecisionWarning, DriftWarning, VerificationWarning)
    with warnings.catch_warnings(record=True) as caught:
        for category in told:
            warnings.simplefilter("always", category)
        yield
    notes += [str(w.message) for w in caught if issubclass(w.category, told)]


def _print_warnings(notes: Sequence[str]) -> None:
    for note in notes:
        print(f"warning: {note}", file=sys.stderr)


def _domain(text: str) -> tuple[str, tuple[float, float]]:
    name, _, listed = text.partition("=")
    try:
        low, high = map(float, listed.split(","))
    except ValueError:
        raise InvalidRequest(
            f"--domain {text}: write INPUT=LOW,HIGH such as --domain age=18,99"
        ) from None
    return name, (low, high)


def _read_inputs(path: str, function: Any) -> list[Any]:
    names = [input_.name for input_ in capture(function).inputs]
    try:
        arrays = np.load(path)
    except (OSError, ValueError) as error:
        raise InvalidRequest(f"{path} can't be read as .npz: {error}") from None
    if not isinstance(arrays, np.lib.npyio.NpzFile):
        raise InvalidRequest(
            f"{path} holds one array without a name: save them with np.savez, by the inputs' names"
        )
    lacking = [name for name in names if name not in arrays.files]
    if lacking:
        raise InvalidRequest(
            f"{path} has no {lacking[0]!r}; it has {', '.join(arrays.files) or 'nothing'}, and needs "
            f"{', '.join(names)}"
        )
    return [arrays[name] for name in names]
