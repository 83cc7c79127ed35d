"""The built wheel works without the checkout, and the sdist builds the same wheel."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.one_line

ROOT = Path(__file__).parent.parent

EXPORT = """
import numpy as np, onnxruntime, pytensor, pytensor.tensor as pt
import onnx_mapper

x = pt.matrix("x", dtype="float32")
fn = pytensor.function([x], pt.exp(x).sum(axis=1))
onnx_mapper.export(fn, "model.onnx")
value = np.arange(6, dtype="float32").reshape(2, 3)
(result,) = onnxruntime.InferenceSession("model.onnx").run(None, {"x": value})
np.testing.assert_allclose(result, fn(value), rtol=1e-6)
print(onnx_mapper.__file__)
"""


def call(*arguments, **options):
    result = subprocess.run(
        [sys.executable, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        **options,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def build_wheel(source, folder):
    call(
        *("-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"),
        *("--no-build-isolation", "--no-index", "--wheel-dir", folder, source),
    )
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Build the wheel and the sdist at one time, so that both see the same files."""
    folder = tmp_path_factory.mktemp("built")
    wheel = build_wheel(ROOT, folder)
    call("-m", "hatchling", "build", "-t", "sdist", "-d", folder, cwd=ROOT)
    (sdist,) = folder.glob("*.tar.gz")
    return wheel, sdist


@pytest.fixture(scope="module")
def wheel(built):
    return built[0]


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    folder = tmp_path_factory.mktemp("installed")
    call(
        *("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"),
        *("--no-index", "--target", folder, wheel),
    )
    return folder


def export_elsewhere(installed, folder):
    """Export in a process that finds the installed wheel first and starts in another folder."""
    environment = dict(os.environ, PYTHONPATH=str(installed))
    return subprocess.run(
        [sys.executable, "-c", EXPORT],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )


def files(folder, suffix):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*" + suffix)
    }


@pytest.mark.slow
def test_wheel_holds_rows_and_schema(wheel, tmp_path):
    """A wheel without the rows, or with rows of another day, maps nothing or something else."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    for part, suffix in ("mappings", ".yaml"), ("schema", ".json"):
        assert files(ROOT / part, suffix)
        assert files(tmp_path / "onnx_mapper" / part, suffix) == files(ROOT / part, suffix)
    for path in tmp_path.iterdir():
        assert path.name.startswith("onnx_mapper"), "nothing else belongs into site-packages"
    assert list(tmp_path.glob("*.dist-info/licenses/LICENSE"))


@pytest.mark.slow
def test_installed_wheel_exports(installed, tmp_path):
    """What a user gets from pip must work with no checkout beside it."""
    result = export_elsewhere(installed, tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert Path(result.stdout.strip()).is_relative_to(installed)
    assert (tmp_path / "model.onnx").stat().st_size > 0


@pytest.mark.slow
@pytest.mark.parametrize("part", ["mappings", "schema"])
def test_installed_wheel_reads_its_own_files(installed, tmp_path, part):
    """If an export still works without the wheel's files, it has read those of the checkout."""
    crippled = tmp_path / "installed"
    shutil.copytree(installed, crippled)
    shutil.rmtree(crippled / "onnx_mapper" / part)
    result = export_elsewhere(crippled, tmp_path)
    assert result.returncode != 0, f"it exported without its {part}/"
    assert f"folder {part!r} is missing" in result.stderr
    assert not (tmp_path / "model.onnx").exists()


@pytest.mark.slow
def test_sdist_builds_the_same_wheel(built, tmp_path):
    """Who installs from source must get the package that was tested."""
    wheel, sdist = built
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "source", filter="data")
    (source,) = (tmp_path / "source").iterdir()
    again = build_wheel(source, tmp_path / "again")
    with zipfile.ZipFile(wheel) as first, zipfile.ZipFile(again) as second:
        assert sorted(first.namelist()) == sorted(second.namelist())
        for name in first.namelist():
            assert first.read(name) == second.read(name), name
