"""The command line: `onnx-mapper COMMAND …`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from onnx_mapper import commands as model_commands
from onnx_mapper.conformance import command as test_command
from onnx_mapper.errors import MapperError


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: The words after the program's name; those of this process by default.

    Returns:
        The exit status: 0 for success, 1 for failure, 2 for a wrong call or mapping file.
    """
    parser = argparse.ArgumentParser(
        prog="onnx-mapper", description="PyTensor graphs to ONNX models, by rows of YAML."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    model_commands.add_parsers(commands)
    test_command.add_parser(commands)
    arguments = parser.parse_args(argv)
    try:
        status: int = arguments.run(arguments)
    except MapperError as error:
        print(error, file=sys.stderr)
        return 2
    return status
