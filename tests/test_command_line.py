"""The command line, as a person types it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from onnx_mapper.cli import main

PROGRAM = """
import pytensor, pytensor.tensor as pt
x = pt.fmatrix("x")
y = pt.tanh(x) + 1
y.name = "y"
good = pytensor.function([x], y, mode="FAST_COMPILE")
bad = pytensor.function([x], pt.linalg.eig(x)[0], mode="FAST_COMPILE")
other = pytensor.function([x], y * 2, mode="FAST_COMPILE")
"""


@pytest.fixture
def program(tmp_path: Path) -> str:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    return str(path)


def test_check(program: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", f"{program}:good"]) == 0
    assert capsys.readouterr().out == "Everything converts.\n"
    assert main(["check", f"{program}:bad"]) == 1
    assert "Eig" in capsys.readouterr().out
    assert main(["check", f"{program}:bad", "--json"]) == 1
    (refusal,) = json.loads(capsys.readouterr().out)
    assert refusal["count"] == 1


def test_export_explain_verify(
    program: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(tmp_path / "model.onnx")
    assert main(["export", f"{program}:good", model, "--verify"]) == 0
    assert "2 nodes" in capsys.readouterr().out
    assert onnx.load(model).graph.output[0].name == "y"
    assert main(["explain", model]) == 0
    assert "pytensor.scalar.basic:Tanh" in capsys.readouterr().out
    assert main(["explain", model, "--json"]) == 0
    assert [node["operator"] for node in json.loads(capsys.readouterr().out)] == ["Tanh", "Add"]
    assert main(["verify", model, f"{program}:good"]) == 0
    assert "ok" in capsys.readouterr().out
    assert main(["verify", model, f"{program}:other"]) == 1
    assert "elements differ" in capsys.readouterr().err
    np.savez(tmp_path / "inputs.npz", x=np.ones((2, 3), "f4"))
    inputs = str(tmp_path / "inputs.npz")
    assert main(["verify", model, f"{program}:good", "--inputs", inputs]) == 0


def test_rows(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rows"]) == 0
    out = capsys.readouterr().out
    assert "pytensor.scalar.basic:Exp" in out
    assert main(["rows", "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    exp = next(entry for entry in entries if entry["op"] == "pytensor.scalar.basic:Exp")
    assert exp["active"]
    assert exp["kind"] == "mapped"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["check", "nothing"], "write module:name or file.py:name"),
        (["check", "no_such_module:f"], "can't import no_such_module"),
        (["check", "nowhere.py:f"], "there is no file nowhere.py"),
        (["explain", "nowhere.onnx"], "there is no file nowhere.onnx"),
    ],
)
def test_wrong_calls_say_what_to_do(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert message in capsys.readouterr().err


def test_a_file_that_is_no_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"not a model")
    assert main(["explain", str(path)]) == 2
    assert "holds no ONNX model" in capsys.readouterr().err


def test_refused_export_exits_with_2_and_writes_nothing(
    program: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", f"{program}:bad", str(tmp_path / "model.onnx")]) == 2
    assert "can't be exported" in capsys.readouterr().err
    assert not (tmp_path / "model.onnx").exists()
