"""Mapping files that other installed packages bring along."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from onnx_mapper.errors import InvalidRequest

GROUP = "onnx_mapper.mappings"


@cache
def installed_folders() -> tuple[Path, ...]:
    """Return the folders of rows that installed packages name, in the order of the packages' names.

    A package names one by an entry point of the group `onnx_mapper.mappings`, whose value is the folder
    as a dotted path from the package on: `wrap = "onnx_wrap.rows"`. Nothing of the package is imported.

    Raises:
        InvalidRequest: When a package names a folder that it doesn't have.
    """
    found = sorted(entry_points(group=GROUP), key=lambda entry: (_owner(entry), entry.name))
    return tuple(_folder_of(entry) for entry in found)


def _folder_of(entry: EntryPoint) -> Path:
    package, *parts = entry.value.split(".")
    for place in _places_of(package):
        if (folder := place.joinpath(*parts)).is_dir():
            return folder
    raise InvalidRequest(
        f"the installed package {_owner(entry)} says that it has rows in {entry.value!r} (entry point "
        f"{entry.name!r} of {GROUP}), and has no such folder: reinstall or remove it"
    )


def _places_of(package: str) -> Iterator[Path]:
    spec = importlib.util.find_spec(package)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        yield Path(place)


def _owner(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else "?"
