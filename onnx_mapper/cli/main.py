"""The command line: `onnx-mapper COMMAND …`."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence

from onnx_mapper.cli import commands as model_commands
from onnx_mapper.cli import file_commands, row_commands
from onnx_mapper.cli import test as test_command
from onnx_mapper.errors import MapperError, Mismatch, Refused, UserCodeError
from onnx_mapper.version import VERSION

OBSTACLES = 1
WRONG_CALL = 2
USERS_CODE = 3
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: The words after the program's name; those of this process by default.

    Returns:
        The exit status: 0 where all is well; 1 for obstacles or differences (an op that is
        refused, a model that gives other numbers, a row that fails); 2 for a wrong call, a wrong
        mapping file, or what can't be written; 3 where the user's own code fails. A shell reports
        an interruption as 130.
    """
    parser = argparse.ArgumentParser(
        prog="onnx-mapper",
        description="PyTensor graphs to ONNX models, by rows of YAML.",
        epilog="Exit status: 0 all is well, 1 obstacles or differences, 2 a wrong call or what can't "
        "be written, 3 your own code fails.",
    )
    parser.add_argument("--version", action="version", version=f"onnx-mapper {VERSION}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    model_commands.add_parsers(commands)
    file_commands.add_parsers(commands)
    row_commands.add_parsers(commands)
    test_command.add_parser(commands)
    arguments = parser.parse_args(argv)
    arguments.parser = parser
    try:
        status: int = arguments.run(arguments)
        sys.stdout.flush()
    except MapperError as error:
        if arguments.debug:
            traceback.print_exc()
        return _told(error, _status_of(error))
    except BrokenPipeError:  # who read the output has had enough of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return WRONG_CALL
    except KeyboardInterrupt:
        return _told("interrupted", INTERRUPTED)
    except OSError as error:
        return _told(f"{error.filename or ''}: {error.strerror or error}".lstrip(": "), WRONG_CALL)
    return status


def _status_of(error: MapperError) -> int:
    if isinstance(error, Refused | Mismatch):
        return OBSTACLES
    return USERS_CODE if isinstance(error, UserCodeError) else WRONG_CALL


def _told(error: object, status: int) -> int:
    print(error, file=sys.stderr)
    return status
