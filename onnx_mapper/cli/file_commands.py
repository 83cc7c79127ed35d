"""The commands around files of models: diff, view; and completion for shells."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
from dataclasses import asdict
from typing import Any

from onnx_mapper.checking.difference import diff
from onnx_mapper.checking.drawing import draw
from onnx_mapper.cli.options import Commands, add_command, add_json
from onnx_mapper.cli.show import show_json, show_table
from onnx_mapper.errors import InvalidRequest
from onnx_mapper.model.file import load, save_text

SHELLS = ("bash", "zsh", "tcsh")


def add_parsers(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add these commands to the command line."""
    parser = add_command(commands, "diff", "tell what is different between two models", _diff)
    parser.add_argument("first", help="a model")
    parser.add_argument("second", help="another model")
    add_json(parser)
    parser = add_command(commands, "view", "draw a model, in the browser with netron", _view)
    parser.add_argument("model", help="a model")
    parser.add_argument(
        "--svg",
        metavar="FILE",
        help="write a picture instead: nodes in boxes of their PyTensor ops",
    )
    parser = add_command(
        commands, "completion", "print what makes a shell complete commands", _completion
    )
    parser.add_argument("shell", choices=SHELLS, help='for example: eval "$(… completion bash)"')


def _diff(arguments: argparse.Namespace) -> int:
    found = diff(arguments.first, arguments.second)
    if arguments.json:
        show_json({"same": found.same, "changes": [asdict(change) for change in found.changes]})
    elif found.same:
        print(found)
    else:
        show_table(found.table)
    return 0 if found.same else 1


def _view(arguments: argparse.Namespace) -> int:
    model = load(arguments.model)
    if arguments.svg:
        save_text(draw(model), arguments.svg)
        print(f"{arguments.svg}: {len(model.graph.node)} nodes")
        return 0
    netron = _extra("netron", "to draw a model")
    netron.start(arguments.model)
    netron.wait()
    return 0


def _completion(arguments: argparse.Namespace) -> int:
    shtab = _extra("shtab", "for shell completion")
    print(shtab.complete(arguments.parser, arguments.shell))
    return 0


def _extra(name: str, purpose: str) -> Any:
    if importlib.util.find_spec(name) is None:
        raise InvalidRequest(
            f"{name} is needed {purpose}, and is not installed: pip install {name}"
        )
    return importlib.import_module(name)
