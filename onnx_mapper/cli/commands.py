"""The commands around one function or one model: check, export, explain, verify, rows."""

from __future__ import annotations

import argparse
import json
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
from onnx_mapper.checking.drift import find_drift
from onnx_mapper.checking.explain import explain
from onnx_mapper.checking.verify import verify
from onnx_mapper.cli.options import add_mappings, add_names, add_options, names_in, options_in
from onnx_mapper.errors import (
    DriftWarning,
    InvalidRequest,
    PrecisionWarning,
    VerificationWarning,
)
from onnx_mapper.model.weights import files_beside
from onnx_mapper.rows.fingerprints import releases_like
from onnx_mapper.rows.fit import installed_class, module_to_import
from onnx_mapper.rows.table import load_table
from onnx_mapper.text_table import table
from onnx_mapper.user_code import add_import_option, import_ops, load_function

_FUNCTION_HELP = "a compiled function, as module:name or file.py:name"

Commands = argparse._SubParsersAction


def add_parsers(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add these commands to the command line."""
    parser = _command(commands, "check", "tell what of a function would not convert", _check)
    parser.add_argument("function", help=_FUNCTION_HELP)
    add_options(parser)
    _add_json(parser)
    parser = _command(commands, "export", "write a function's ONNX model", _export)
    parser.add_argument("function", help=_FUNCTION_HELP)
    parser.add_argument("model", help="the file to write")
    parser.add_argument("--verify", action="store_true", help="compare it with PyTensor first")
    add_names(parser)
    add_options(parser)
    _add_json(parser)
    parser = _command(commands, "explain", "tell which op and row made each node", _explain)
    parser.add_argument("model", help="an exported model")
    _add_json(parser)
    parser = _command(commands, "verify", "compare a model with its function", _verify)
    parser.add_argument("model", help="an exported model")
    parser.add_argument("function", help=_FUNCTION_HELP)
    parser.add_argument("--inputs", metavar="FILE.npz", help="arrays by the inputs' names")
    parser.add_argument(
        "--strict", action="store_true", help="fail where what was compared says little"
    )
    add_mappings(parser)
    parser = _command(
        commands, "rows", "list the rows and patterns, and which are active here", _rows
    )
    parser.add_argument(
        "--drift",
        action="store_true",
        help="tell where rows and the installed PyTensor disagree; the exit status is 1 if they do",
    )
    add_import_option(parser)
    _add_json(parser)
    add_mappings(parser)


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def _command(
    commands: Commands[argparse.ArgumentParser], name: str, summary: str, run: Any
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=summary, description=f"{summary.capitalize()}.")
    parser.set_defaults(run=run)
    return parser


def _check(arguments: argparse.Namespace) -> int:
    found = check(load_function(arguments.function), **options_in(arguments))
    if arguments.json:
        _print_json([asdict(refusal) for refusal in found.refusals])
    else:
        print(found)
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
    beside = files_beside(model)
    if arguments.json:
        _print_json(
            {
                "model": arguments.model,
                "bytes": size,
                "beside": beside,
                "nodes": len(model.graph.node),
                "inputs": [port.name for port in model.graph.input],
                "outputs": [port.name for port in model.graph.output],
                "warnings": notes,
            }
        )
        return 0
    _print_warnings(notes)
    print(f"{arguments.model}: {size:,} bytes, {len(model.graph.node)} nodes")
    for name, held in beside.items():
        print(f"{name}, beside it: {held:,} bytes of weights")
    return 0


def _explain(arguments: argparse.Namespace) -> int:
    explanation = explain(arguments.model)
    if arguments.json:
        _print_json([asdict(node) for node in explanation])
    else:
        print(explanation)
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    function = load_function(arguments.function)
    inputs = None
    if arguments.inputs:
        inputs = _read_inputs(arguments.inputs, function)
    notes: list[str] = []
    with _warnings_in(notes):
        report = verify(
            arguments.model,
            function,
            inputs,
            mappings=arguments.mappings,
            strict=arguments.strict,
        )
    _print_warnings(notes)
    print(report)
    return 0


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


def _rows(arguments: argparse.Namespace) -> int:
    import_ops(arguments.imports)
    if arguments.drift:
        return _drift(arguments)
    entries: list[dict[str, Any]] = []
    loaded = load_table(arguments.mappings)
    for row in loaded.rows:
        cls = installed_class(row, import_modules=True)
        entries.append(
            {
                "op": row.ops[0],
                "row": row.at,
                "active": cls is not None,
                "import": None if cls else module_to_import(row),
                "kind": "refused" if row.refuse else "mapped",
                "tested": list(releases_like(row.ops[0], cls)) if cls and row.shipped else [],
                "summary": row.refuse or row.summary,
            }
        )
    entries += [
        {
            "op": f"pattern {row.pattern}",
            "row": row.at,
            "active": True,
            "import": None,
            "kind": "pattern",
            "tested": [],
            "summary": row.summary,
        }
        for row in loaded.patterns
    ]
    if arguments.json:
        _print_json(entries)
        return 0
    rows = [
        (
            e["op"],
            e["row"],
            e["kind"] if e["active"] else "not loaded" if e["import"] else "not installed",
            ", ".join(e["tested"]) or "-",
            e["summary"],
        )
        for e in entries
    ]
    print(table(("op", "row", "state", "tested with PyTensor", "summary"), rows))
    for module in dict.fromkeys(e["import"] for e in entries if e["import"]):
        print(f"{module} is not loaded: add --import {module} for the state of its rows.")
    return 0


def _drift(arguments: argparse.Namespace) -> int:
    drift = find_drift(arguments.mappings)
    if arguments.json:
        _print_json({"ok": drift.ok, **asdict(drift)})
    else:
        print(drift)
    return 0 if drift.ok else 1


def _print_json(data: Any) -> None:
    print(json.dumps(data, indent=1))
