"""Python that belongs to the user: a function to export, a module that defines Ops."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from onnx_mapper.errors import InvalidRequest, UserCodeError

_named: set[str] = set()


def load_function(path: str) -> Any:
    """Import what `module:name` or `file.py:name` names.

    Raises:
        InvalidRequest: When there is no such module, file or name.
        UserCodeError: When the module's own code fails.
    """
    module_name, _, name = path.rpartition(":")
    if not module_name or not name:
        raise InvalidRequest(f"{path!r} names no function: write module:name or file.py:name")
    module = import_module(module_name)
    if not hasattr(module, name):
        raise InvalidRequest(f"{module_name} has no {name!r}")
    return getattr(module, name)


def import_ops(names: list[str]) -> None:
    """Import modules that the user names, so that cases may make the Ops which they define.

    A mapping file imports nothing by itself: it may come from a stranger.

    Args:
        names: Modules, or Python files.

    Raises:
        InvalidRequest: When there is no such module or file.
        UserCodeError: When a module's own code fails.
    """
    for name in names:
        _named.add(import_module(name).__name__)


def add_import_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that names modules for `import_ops`."""
    parser.add_argument(
        "--import",
        dest="imports",
        action="append",
        default=[],
        metavar="MODULE",
        help="import this module (or file.py) first: it defines Ops that the rows are about",
    )


def is_named(module_name: str) -> bool:
    """Tell whether a module, or a package that it is in, is one that `import_ops` imported."""
    return any(module_name == name or module_name.startswith(f"{name}.") for name in _named)


def import_module(name: str) -> ModuleType:
    """Import a module by its name or its file, as `python` would that is started there.

    Raises:
        InvalidRequest: When there is no such module or file.
        UserCodeError: When its own code fails.
    """
    if name.endswith(".py"):
        return _module_of_file(Path(name))
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        found = importlib.util.find_spec(name.partition(".")[0])
    except (ImportError, ValueError):
        found = None
    if found is None:
        raise InvalidRequest(f"there is no module {name!r}, here or among the installed packages")
    module: ModuleType = _running(name, lambda: importlib.import_module(name))
    return module


def _module_of_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise InvalidRequest(f"there is no file {path}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise InvalidRequest(f"{path} is no Python file")
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)  # for its neighbours, as `python file.py` does
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    loader = spec.loader
    _running(str(path), lambda: loader.exec_module(module))
    return module


def _running(what: str, code: Callable[[], Any]) -> Any:
    try:
        return code()
    except (Exception, SystemExit) as error:
        raise UserCodeError(f"{what} fails by itself:\n{_users_part(error)}") from None


def _users_part(error: BaseException) -> str:
    """Return a traceback without the frames of this package and of Python's import."""
    here = str(Path(__file__).parent)
    importing = str(Path(importlib.__file__).parent)
    told = traceback.TracebackException.from_exception(error)
    told.stack = traceback.StackSummary.from_list(
        [f for f in told.stack if not f.filename.startswith((here, importing, "<frozen importlib"))]
    )
    return "".join(told.format()).rstrip()
