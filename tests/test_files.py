"""Writing the model: whole or not at all, and never at the cost of a file that was there."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnx
import pytensor
import pytensor.tensor as pt
import pytest
from helpers import RAW

from onnx_mapper import InvalidRequest, Refused, export, export_graph
from onnx_mapper.errors import CannotWrite
from onnx_mapper.model import file as files


def good() -> Any:
    x = pt.fvector("x")
    return pytensor.function([x], pt.exp(x), mode=RAW)


def refused() -> Any:
    x = pt.dmatrix("x")
    return pytensor.function([x], pt.linalg.eig(x), mode=RAW)


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"an earlier model")
    return path


def assert_untouched(path: Path) -> None:
    assert path.read_bytes() == b"an earlier model"
    assert os.listdir(path.parent) == [path.name], "no temporary file stays behind"


def test_file_holds_the_model(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    model = export(good(), path)
    assert onnx.load(path) == model
    assert os.listdir(tmp_path) == ["model.onnx"]


def test_file_gets_the_permissions_that_any_new_file_gets(tmp_path: Path) -> None:
    export(good(), tmp_path / "model.onnx")
    (tmp_path / "other").touch()
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert len(modes) == 1


def test_symbolic_link_stays_one(tmp_path: Path) -> None:
    target, link = tmp_path / "v1.onnx", tmp_path / "latest.onnx"
    target.write_bytes(b"old")
    link.symlink_to(target)
    export(good(), link)
    assert link.is_symlink()
    onnx.load(target)


def test_refusal_leaves_the_earlier_file(earlier: Path) -> None:
    with pytest.raises(Refused):
        export(refused(), earlier)
    assert_untouched(earlier)


def test_failed_write_leaves_the_earlier_file(
    earlier: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        export(good(), earlier)
    assert_untouched(earlier)


def test_interrupt_leaves_the_earlier_file(earlier: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        export(good(), earlier)
    assert_untouched(earlier)


FULL_DISK = """
import resource, sys
import pytensor, pytensor.tensor as pt, numpy as np
from onnx_mapper import export
x = pt.fvector("x")
f = pytensor.function([x], x * pytensor.shared(np.ones(100_000, "f4"), "w"), mode="FAST_COMPILE")
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
try:
    export(f, sys.argv[1])
except OSError as error:
    print("refused by the system:", error)
"""


@pytest.mark.slow
def test_a_file_that_does_not_fit_leaves_the_earlier_one(earlier: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(earlier)], capture_output=True, text=True, check=True
    )
    assert "refused by the system" in done.stdout
    assert_untouched(earlier)


def test_read_only_folder(earlier: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusal is simulated: tests may run as root, who may write everywhere."""

    def refuse(**_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(files.tempfile, "mkstemp", refuse)
    with pytest.raises(CannotWrite, match=r"model.onnx can't be written: Permission denied"):
        export(good(), earlier)
    assert_untouched(earlier)


def test_what_is_no_regular_file_is_not_replaced(tmp_path: Path) -> None:
    """As root, replacing a device would take it from the whole machine."""
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    for path in (pipe, link):
        with pytest.raises(InvalidRequest, match="is a device, a pipe or the like"):
            export(refused(), path)
    assert pipe.is_fifo()
    assert link.is_symlink()


def test_missing_folder_is_said_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="does not exist: make it first"):
        export(refused(), tmp_path / "nowhere" / "model.onnx")
    with pytest.raises(InvalidRequest, match="is a folder: give the name of a file in it"):
        export(refused(), tmp_path)


def test_export_graph_writes_too(tmp_path: Path) -> None:
    x = pt.fvector("x")
    export_graph([x], [pt.exp(x)], tmp_path / "model.onnx")
    onnx.checker.check_model(onnx.load(tmp_path / "model.onnx"), full_check=True)


def test_model_records_where_it_comes_from(tmp_path: Path) -> None:
    model = export(good())
    assert model.producer_name == "onnx-mapper"
    assert model.producer_version
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert metadata["pytensor"] == pytensor.__version__
    (node,) = model.graph.node
    (entry,) = node.metadata_props
    assert entry.key == "onnx_mapper"
    assert entry.value.startswith("pytensor.scalar.basic:Exp elemwise.yaml:")


def test_older_ir_versions_carry_the_origin_in_the_doc_string() -> None:
    (node,) = export(good(), opset=18).graph.node
    assert not node.metadata_props
    assert node.doc_string.startswith("onnx_mapper: pytensor.scalar.basic:Exp elemwise.yaml:")
