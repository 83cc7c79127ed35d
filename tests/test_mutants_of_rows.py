"""Every lie about every shipped row must be noticed by the row's own cases."""

from __future__ import annotations

from pathlib import Path

import pytest

from onnx_mapper.cli import main
from onnx_mapper.resources import folder

FILES = sorted(folder("mappings").glob("*.yaml"))


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_mutant_is_noticed(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["test", str(path), "--mutants", "--jobs", "1"])
    out = capsys.readouterr().out
    told = [line for line in out.splitlines() if line.startswith(("SURVIVED", "WRONG", "FAILED"))]
    assert status == 0, "\n".join(told[:50]) or out[-2000:]
