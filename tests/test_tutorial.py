"""The tutorial of docs/rows.md runs as it stands there, from an Op of one's own to its mutants."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import forget_modules

from onnx_mapper.cli.main import main
from onnx_mapper.errors import MapperError

pytestmark = pytest.mark.one_line

PAGE = (Path(__file__).parent.parent / "docs" / "rows.md").read_text(encoding="utf-8")
TUTORIAL = PAGE[PAGE.index("## An Op of your own") : PAGE.index("## A row\n")]
FILES = re.findall(r"```(?:python|yaml)\n# (\S+)\n(.*?)```", TUTORIAL, re.DOTALL)
COMMANDS = re.findall(r"^onnx-mapper (.*)$", TUTORIAL, re.MULTILINE)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    forget_modules(monkeypatch, "my_ops")
    return tmp_path


@pytest.mark.slow
def test_every_command_succeeds(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert [name for name, _ in FILES] == ["my_ops.py", "rows/wrap.yaml"]
    assert len(COMMANDS) == 5
    told = []
    for command in COMMANDS:
        sys.modules.pop("my_ops", None)
        assert main(shlex.split(command)) == 0, command
        told.append(capsys.readouterr().out)
    check, export, rows, test, mutants = told
    assert check == "Everything converts.\n"
    assert re.fullmatch(r"model\.onnx: \d+ bytes, \d nodes\n", export)
    assert re.search(r"my_ops:Wrap +wrap\.yaml:\d+ +mapped", rows)
    assert re.search(r"1 rows, \d\d items passed, 0 failed", test)
    assert re.search(r"\d+ mutants, 0 survived", mutants)
    assert (folder / "model.onnx").is_file()


@pytest.mark.slow
def test_under_pytest(folder: Path) -> None:
    words = ["--onnx-mapper-rows", "rows", "--onnx-mapper-import", "my_ops", "-q"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
    assert re.search(r"\d\d passed", done.stdout)


def test_without_the_import_it_says_what_to_add(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["test", "rows"]) == 1
    told = capsys.readouterr().err
    assert re.search(r"left out: wrap\.yaml:\d: my_ops is not loaded, .* add --import my_ops", told)
    assert main(["rows", "--mappings", "rows"]) == 0
    listed = capsys.readouterr().out
    assert re.search(r"my_ops:Wrap +wrap\.yaml:\d+ +not loaded", listed)
    assert "my_ops is not loaded: add --import my_ops" in listed


def test_what_is_not_named_may_not_be_made(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loaded by whom ever: a mapping file alone makes no objects of other people's classes."""
    (folder / "others.py").write_text((folder / "my_ops.py").read_text())
    row = (folder / "rows" / "wrap.yaml").read_text().replace("my_ops:", "others:")
    (folder / "rows" / "wrap.yaml").write_text(row)
    monkeypatch.syspath_prepend(folder)
    __import__("others")
    assert main(["test", "rows", "-j", "0"]) == 1
    assert "Wrap may not be made in a case; if others is yours, allow it: --import others" in (
        capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("op", "says"),
    [
        ("pytensor.tensor.special:Softmaxx", r"has no class Softmaxx; did you mean Softmax or"),
        ("my_ops:Warp", r"my_ops has no class Warp; did you mean Wrap\?"),
        ("pytensor.tensor.math:Nothing_like_it", r"has no class Nothing_like_it$"),
    ],
)
def test_a_class_that_its_module_lacks(op: str, says: str, folder: Path) -> None:
    row = (folder / "rows" / "wrap.yaml").read_text().replace("my_ops:Wrap", op)
    (folder / "rows" / "wrap.yaml").write_text(row)
    from onnx_mapper.conformance.subject import find_subject
    from onnx_mapper.user_code import import_ops

    import_ops(["my_ops"])
    with pytest.raises(MapperError, match=rf"^rows/wrap\.yaml:1: op: .*{says}"):
        find_subject(["rows"])
