"""A long export shows how far it is, to people who look at a terminal, and to nobody else."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.one_line

EXPORT = """
import pytensor.tensor as pt
from pytensor.graph.fg import FunctionGraph
from onnx_mapper import export, progress
progress.SECONDS_UNTIL_LONG = 0.0
x = pt.fvector("x")
y = x
for _ in range(500):
    y = pt.sin(y)
export(FunctionGraph([x], [y], clone=False))
"""


def told_on_a_terminal(code: str, folder: Path) -> str:
    """Return what a program writes to standard error where that is a terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=folder, stdin=subprocess.DEVNULL, stderr=theirs
    ) as process:
        os.close(theirs)
        told = b""
        try:
            while part := os.read(ours, 1024):
                told += part
        except OSError:  # the terminal's other end is closed
            pass
        finally:
            os.close(ours)
    assert process.returncode == 0, told.decode()
    return told.decode()


@pytest.mark.slow
def test_a_long_export_shows_a_bar_on_a_terminal_and_takes_it_away(tmp_path: Path) -> None:
    told = told_on_a_terminal(EXPORT, tmp_path)
    assert "/500 Elemwise" in told
    assert told.endswith("\r\033[K")


@pytest.mark.slow
def test_a_short_export_shows_none(tmp_path: Path) -> None:
    assert told_on_a_terminal(EXPORT.replace(" = 0.0", " = 60.0"), tmp_path) == ""


@pytest.mark.slow
def test_elsewhere_nothing_is_written(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", EXPORT], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert run.stdout == run.stderr == ""


@pytest.mark.slow
def test_workers_show_none(tmp_path: Path) -> None:
    lines = "".join(f"    {line}\n" for line in EXPORT.strip().splitlines())
    code = f"""
import multiprocessing
def work():
{lines}
process = multiprocessing.get_context("fork").Process(target=work)
process.start()
process.join()
assert process.exitcode == 0
"""
    assert told_on_a_terminal(code, tmp_path) == ""


@pytest.mark.slow
def test_an_export_that_fails_takes_its_bar_away(tmp_path: Path) -> None:
    code = EXPORT.replace("[y], clone", "[pt.sort(y.astype('complex64'))], clone").replace(
        "export(F", "from onnx_mapper import Refused\ntry:\n    export(F"
    )
    told = told_on_a_terminal(code.rstrip() + "\nexcept Refused:\n    pass\n", tmp_path)
    assert told.endswith("\r\033[K")
