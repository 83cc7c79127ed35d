"""Model files: read one, or write one whole or not at all."""

from __future__ import annotations

import glob
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

import onnx
from onnx import ModelProto

from onnx_mapper.errors import CannotWrite, InvalidRequest
from onnx_mapper.language.arrays import Numbers
from onnx_mapper.model.weights import Weights, chunks_of, files_beside, name_file


def load(model: ModelProto | str | os.PathLike[str]) -> ModelProto:
    """Return a model, read from a file where a path is given, without weights that lie beside it.

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
        loaded = onnx.load(path, load_external_data=False)
    except Exception as error:
        raise InvalidRequest(f"{path} holds no ONNX model: {error}") from None
    if not loaded.HasField("graph"):
        raise InvalidRequest(f"{path} holds no ONNX model")
    return loaded


def weights_beside(model: ModelProto, source: ModelProto | str | os.PathLike[str]) -> Weights:
    """Return the weights that a model refers to: those beside its file.

    Args:
        model: The model.
        source: What it was loaded from.

    Raises:
        InvalidRequest: When they are in a file that lies nobody knows where, is not there, or is
            shorter than the model says.
    """
    files = files_beside(model)
    if not files:
        return Weights()
    if isinstance(source, ModelProto):
        raise InvalidRequest(
            "the model's weights are in a file beside its own: give the path of the model"
        )
    folder = Path(source).resolve().parent
    for name, size in files.items():
        beside = folder / name
        if not beside.is_file():
            raise InvalidRequest(
                f"{source} has its weights in {name}, which is not beside it: the two files go together"
            )
        if beside.stat().st_size < size:
            raise InvalidRequest(
                f"{source} has {size:,} bytes of weights in {name}, of which there are "
                f"{beside.stat().st_size:,}: was it copied in part?"
            )
    return Weights(folder=folder)


def save(
    model: ModelProto, path: str | os.PathLike[str], weights: Mapping[str, Numbers] | None = None
) -> None:
    """Write a model, whole or not at all: an earlier file stays until the new one is complete.

    Weights go to a file beside it that is named after what it holds, so that at any moment the
    model's file, the earlier one or the new one, names a file that is whole.

    Args:
        model: The model.
        path: The file to write, in a folder that exists.
        weights: Weights that the model refers to.

    Raises:
        InvalidRequest: When the folder doesn't exist, or the path is no regular file.
        CannotWrite: When the disk is full or the folder can't be written to; the earlier file is
            as it was.
    """
    target = check_target(path)
    permissions = _permissions(target)
    beside = ""
    if weights:
        chunks = chunks_of(list(weights.values()))
        beside = _write(
            path, target, chunks, permissions, lambda digest: _beside(target, digest)
        ).name
        name_file(model, beside)
    whole = [model.SerializeToString(deterministic=True)]
    _write(path, target, whole, permissions, lambda _: target)
    for file in target.parent.glob(f"{glob.escape(target.name)}.*.data"):
        if file.name != beside and _BESIDE.fullmatch(file.name.removeprefix(target.name)):
            with suppress(OSError):
                file.unlink()


def save_text(text: str, path: str | os.PathLike[str]) -> None:
    """Write a file of text, whole or not at all: an earlier file stays until the new one is complete.

    Raises:
        InvalidRequest: When the folder doesn't exist, or the path is no regular file.
        CannotWrite: When the disk is full or the folder can't be written to.
    """
    target = check_target(path)
    _write(path, target, [text.encode()], _permissions(target), lambda _: target)


_BESIDE = re.compile(r"\.[0-9a-f]{16}\.data")


def _beside(target: Path, digest: str) -> Path:
    return target.with_name(f"{target.name}.{digest}.data")


def _write(
    path: str | os.PathLike[str],
    target: Path,
    chunks: Iterable[bytes | memoryview],
    permissions: int,
    named: Callable[[str], Path],
) -> Path:
    """Write a file under another name, and give it its own, found from a digest, when it is whole."""
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    except OSError as error:
        raise _cannot_write(path, error) from None
    try:
        digest = blake2b(digest_size=8)
        with os.fdopen(descriptor, "wb") as file:
            for chunk in chunks:
                file.write(chunk)
                digest.update(chunk)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, permissions)
        final = named(digest.hexdigest())
        os.replace(temporary, final)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise _cannot_write(path, error) from None
        raise
    return final


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
            f"a path is the name of a file, not {path!r}; options go by their names, "
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
