"""Rows that another installed package brings: `examples/onnx-mapper-wrap`, installed as a user would."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytensor
import pytest

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "onnx-mapper-wrap"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the package installed in it."""
    if pytensor.__version__ < "3.3":
        pytest.skip("how packages are found is the same whichever PyTensor there is")
    folder = tmp_path_factory.mktemp("site")
    copy = tmp_path_factory.mktemp("source") / "package"
    shutil.copytree(EXAMPLE, copy)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--no-index", "--target", str(folder), str(copy)]
    subprocess.run(command, check=True)
    return folder


def run(site: Path, *words: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(site), str(ROOT)])
    return subprocess.run(
        [sys.executable, *words],
        env={**os.environ, "PYTHONPATH": paths},
        cwd=EXAMPLE,
        text=True,
        capture_output=True,
        timeout=600,
    )


@pytest.mark.slow
def test_its_own_tests_pass(site: Path) -> None:
    """Its Op converts by the installed row alone, and the row holds on its cases."""
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "tests", "--rootdir", str(EXAMPLE)]
    rows = [
        "--onnx-mapper-rows",
        "onnx_mapper_wrap/rows",
        "--onnx-mapper-import",
        "onnx_mapper_wrap",
    ]
    done = run(site, *words, *rows)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


@pytest.mark.slow
def test_its_rows_are_listed_without_importing_it(site: Path) -> None:
    listing = """
import sys
from onnx_mapper.rows.table import load_table
print('onnx_mapper_wrap:Wrap' in load_table().by_class, 'onnx_mapper_wrap' in sys.modules)
"""
    done = run(site, "-c", listing)
    assert done.stdout.strip() == "True False", done.stderr


def mapping(folder: Path, name: str, formula: str) -> Path:
    folder.mkdir(exist_ok=True)
    text = (
        f"- op: onnx_mapper_wrap:Wrap\n  summary: Another.\n  inputs: [x, y]\n  onnx: {formula}\n"
    )
    (folder / name).write_text(text)
    return folder


@pytest.mark.slow
def test_a_users_rows_go_before_those_of_packages(site: Path, tmp_path: Path) -> None:
    """And two of one kind about one class are an error that names both places."""
    own = mapping(tmp_path / "own", "own.yaml", "Add(x, Mul(y, period))")
    program = """
import sys, pytensor.tensor as pt
from onnx_mapper import RowError, explain, export_graph
from onnx_mapper_wrap import wrap
x = pt.lvector("x")
used = [node.row for node in explain(export_graph([x], [wrap(x, x)], mappings=sys.argv[1:2]))]
print(used)
try:
    export_graph([x], [wrap(x, x)], mappings=sys.argv[1:])
except RowError as error:
    print(error)
"""
    other = mapping(tmp_path / "other", "other.yaml", "Sub(x, Mul(y, period))")
    done = run(site, "-c", program, str(own), str(other))
    assert "own.yaml:1" in done.stdout.splitlines()[0], done.stderr
    assert "own.yaml:1: onnx_mapper_wrap:Wrap is mapped at other.yaml:1 too" in done.stdout


def test_a_package_without_its_folder_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from importlib.metadata import EntryPoint

    from onnx_mapper import InvalidRequest
    from onnx_mapper.rows import installed

    entry = EntryPoint("lost", "onnx_mapper.no_such_folder", installed.GROUP)
    monkeypatch.setattr(installed, "entry_points", lambda group: [entry])
    installed.installed_folders.cache_clear()
    try:
        with pytest.raises(InvalidRequest, match="has no such folder: reinstall or remove it"):
            installed.installed_folders()
    finally:
        monkeypatch.undo()
        installed.installed_folders.cache_clear()
