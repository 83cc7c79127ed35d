"""The options of an export as flags: one for each field of `Options`, and the names of ports."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import fields
from typing import Any, cast, get_type_hints

from onnx_mapper.errors import InvalidRequest
from onnx_mapper.options import Dimension, OptionArguments, Options, choices, told_of_options

UNKNOWN = "-"

Commands = argparse._SubParsersAction


def add_command(
    commands: Commands[argparse.ArgumentParser], name: str, summary: str, run: Any
) -> argparse.ArgumentParser:
    """Add a command to the command line, and return its parser."""
    parser = commands.add_parser(name, help=summary, description=f"{summary.capitalize()}.")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error, too")
    parser.set_defaults(run=run)
    return parser


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the flag for output that programs read."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add a flag for each field of `Options`; what it means is said by the record's docstring."""
    told, texts, hints = told_of_options(), choices(), get_type_hints(Options)
    for option in fields(Options):
        flag = f"--{option.name.replace('_', '-')}"
        help_ = _short(told[option.name])
        if option.name == "dims":
            parser.add_argument(
                flag, action="append", default=[], metavar="INPUT=NAME,SIZE,-",
                help="names or sizes for the axes of an input, - for an open one",
            )  # fmt: skip
        elif option.name == "mappings":
            add_mappings(parser)
        elif option.default == ():
            parser.add_argument(flag, action="append", default=[], metavar="NAME", help=help_)
        elif option.name in texts:
            parser.add_argument(
                flag, choices=texts[option.name], default=option.default, help=help_
            )
        elif option.default is True:
            action = argparse.BooleanOptionalAction
            parser.add_argument(flag, action=action, default=True, help=help_)
        elif hints[option.name] is bool:
            parser.add_argument(flag, action="store_true", help=help_)
        else:
            parser.add_argument(flag, type=hints[option.name], default=option.default, help=help_)


def add_mappings(parser: argparse.ArgumentParser) -> None:
    """Add the flag for folders of further rows."""
    help_ = _short(told_of_options()["mappings"])
    parser.add_argument("--mappings", action="append", default=[], metavar="FOLDER", help=help_)


def add_names(parser: argparse.ArgumentParser) -> None:
    """Add flags for the names of inputs and outputs."""
    for role in ("input", "output"):
        parser.add_argument(
            f"--{role}-names", metavar="NAME,…", help=f"names for the {role}s, in order"
        )


def options_in(arguments: argparse.Namespace) -> OptionArguments:
    """Return the options among the arguments of a command.

    Raises:
        InvalidRequest: When `--dims` doesn't say which input's axes are meant.
    """
    given: dict[str, Any] = {f.name: getattr(arguments, f.name) for f in fields(Options)}
    given["dims"] = dict(map(_dims, arguments.dims)) or None
    return cast(OptionArguments, given)


def names_in(arguments: argparse.Namespace) -> dict[str, list[str] | None]:
    """Return the names of inputs and outputs among the arguments of a command."""
    return {
        name: text.split(",") if (text := getattr(arguments, name)) is not None else None
        for name in ("input_names", "output_names")
    }


def _dims(text: str) -> tuple[str, tuple[Dimension, ...]]:
    """Return the input that a `--dims` is about, and its axes.

    Example:
        >>> _dims("x=batch,3,-")
        ('x', ('batch', 3, None))
    """
    name, equals, listed = text.partition("=")
    if not (name and equals):
        raise InvalidRequest(f"--dims {text}: write INPUT=NAME,SIZE,- such as --dims x=batch,3,-")
    return name, tuple(_dimensions(listed))


def _dimensions(listed: str) -> Iterator[Dimension]:
    for entry in listed.split(",") if listed else ():
        yield None if entry == UNKNOWN else int(entry) if entry.isdecimal() else entry


def _short(text: str) -> str:
    """Return the first sentence, as help of a flag."""
    first = " ".join(text.split()).split(". ")[0].split(": `{")[0].rstrip(".")
    return (first[:1].lower() + first[1:] if first[:1].isupper() else first).replace("%", "%%")
