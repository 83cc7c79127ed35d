"""Model files: read one, or write one whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import onnx
from onnx import ModelProto

from onnx_mapper.errors import CannotWrite, InvalidRequest


def load(model: ModelProto | str | os.PathLike[str]) -> ModelProto:
    """Return a model, read from a file where a path is given.

    Raises:
        InvalidRequest: When there is no such file, or no ONNX model in it.
    """
    if isinstance(model, ModelProto):
        return model
    if not isinstance(model, str | os.PathLike):
        raise InvalidRequest(f"a model is a ModelProto or the path of a file, not {model!r}")
    path = Path(model)
    if not path.is_file():
        raise InvalidRequest(f"there is no file {path}")
    try:
        loaded = onnx.load(path)
    except Exception as error:
        raise InvalidRequest(f"{path} holds no ONNX model: {error}") from None
    if not loaded.HasField("graph"):
        raise InvalidRequest(f"{path} holds no ONNX model")
    return loaded


def save(model: ModelProto, path: str | os.PathLike[str]) -> None:
    """Write a model, whole or not at all: an earlier file stays until the new one is complete.

    Args:
        model: The model.
        path: The file to write, in a folder that exists.

    Raises:
        InvalidRequest: When the folder doesn't exist, or the path is no regular file.
        CannotWrite: When the disk is full or the folder can't be written to; the earlier file is
            as it was.
    """
    target = check_target(path)
    data = model.SerializeToString(deterministic=True)
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    except OSError as error:
        raise _cannot_write(path, error) from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, _permissions(target))
        os.replace(temporary, target)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise _cannot_write(path, error) from None
        raise


def _cannot_write(path: str | os.PathLike[str], error: OSError) -> CannotWrite:
    return CannotWrite(f"{os.fspath(path)} can't be written: {error.strerror or error}")


def check_target(path: str | os.PathLike[str]) -> Path:
    """Return where a file will be written, or say at once why it can't be.

    Raises:
        InvalidRequest: When the path is no text, the folder doesn't exist, or the path is
            something else than a regular file, such as a folder, a device or a pipe.
        CannotWrite: When the folder can't be written to.
    """
    if not isinstance(path, str | os.PathLike) or not os.fspath(path):
        raise InvalidRequest(
            f"the model's path is the name of a file, not {path!r}; options go by their names, "
            "such as opset=18"
        )
    target = Path(path)
    target = target.resolve() if target.is_symlink() else target
    if target.is_dir():
        raise InvalidRequest(f"{path} is a folder: give the name of a file in it")
    if target.exists() and not target.is_file():
        raise InvalidRequest(
            f"{path} is a device, a pipe or the like, and would be replaced: give the name of a file"
        )
    if not target.parent.is_dir():
        raise InvalidRequest(f"the folder {target.parent} does not exist: make it first")
    if not os.access(target.parent, os.W_OK):
        raise CannotWrite(f"{path} can't be written: no permission to write in {target.parent}")
    return target


def _permissions(target: Path) -> int:
    if target.exists():
        return target.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
