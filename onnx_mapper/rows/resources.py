"""Where the package's data lies: beside the code when installed, above it in a checkout."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parents[1]


def folder(name: str) -> Path:
    """Return the folder `mappings` or `schema`.

    Raises:
        FileNotFoundError: When the installation lacks it.

    Example:
        >>> folder("mappings").name
        'mappings'
    """
    for parent in (_PACKAGE, _PACKAGE.parent):
        if (parent / name).is_dir():
            return parent / name
    raise FileNotFoundError(
        f"onnx_mapper's folder {name!r} is missing beside {_PACKAGE}: reinstall the package"
    )
