"""A folder for a web server: in Node, and where there is a Chromium, in a browser."""

from __future__ import annotations

import functools
import http.server
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest

from onnx_mapper import InvalidRequest, Refused, bundle
from onnx_mapper.cli.main import main

RNG = np.random.default_rng(17)
NODE, NPM = shutil.which("node"), shutil.which("npm")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
RUNTIME = "onnxruntime-web@1.30.0"

X, A, I = pt.fmatrix("x"), pt.dmatrix("a"), pt.lvector("i")  # noqa: E741
W = pytensor.shared(RNG.normal(size=(3, 4)).astype("float32"), name="w")


def function(inputs: list[Any], outputs: list[Any]) -> Any:
    return pytensor.function(inputs, outputs, mode="FAST_COMPILE")


def running_total() -> Any:
    totals = pytensor.scan(
        lambda x, total: total * 0.5 + x,
        sequences=[A],
        outputs_info=[pt.zeros(A.shape[1])],
        return_updates=False,
    )
    return totals[-1]


FUNCTIONS: dict[str, Any] = {
    "network": lambda: function([X], [pt.special.softmax(pt.maximum(X @ W, 0), axis=1)]),
    "float64": lambda: function([A], [pt.log1p(pt.exp(A)), A.sum(axis=0), A > 0]),
    "integers": lambda: function([I], [I // 3, pt.cast(I, "int8"), pt.cast(abs(I), "uint16")]),
    "special": lambda: function([X], [pt.gammaln(X), pt.switch(X > 0, np.inf, np.nan) * X]),
    "loop": lambda: function([A], [running_total()]),
    "halves": lambda: function([X], [pt.cast(X * 2, "float16")]),
    "factor": lambda: function([A], [pt.linalg.cholesky(A @ A.T + 3 * pt.eye(A.shape[0]))]),
}


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which Node finds ONNX Runtime Web."""
    if not (NODE and NPM):
        pytest.skip("there is no Node with npm here")
    if pytensor.__version__ < "3.3":
        pytest.skip("what runs there is the same whichever PyTensor a model is made with")
    folder = tmp_path_factory.mktemp("web")
    command = [str(NPM), "install", "--silent", "--no-audit", "--no-fund", RUNTIME]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    if done.returncode:
        pytest.skip(f"npm can't install {RUNTIME} here: {done.stderr[-200:]}")
    return folder


def checked(site: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(NODE), "check.mjs"], cwd=site, capture_output=True, text=True, timeout=120
    )


@pytest.mark.slow
@pytest.mark.parametrize("which", FUNCTIONS)
def test_it_checks_itself_in_node(which: str, packages: Path) -> None:
    """ONNX Runtime Web gives PyTensor's numbers, also where these are NaN, infinite, or whole."""
    site = packages / which
    bundle(FUNCTIONS[which](), site)
    done = checked(site)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "numbers as PyTensor's" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["int8", "uint32"])
def test_what_the_browser_has_no_kernel_for_is_computed_otherwise(
    dtype: str, packages: Path
) -> None:
    """ONNX Runtime Web can't choose between numbers of these dtypes; with `runtime` they are wider."""
    x, y = pt.vector("x", dtype=dtype), pt.vector("y", dtype=dtype)
    chooses = function([x, y], [pt.switch(x > y, x, y)])
    bundle(chooses, packages / f"{dtype}-web", runtime="web")
    assert checked(packages / f"{dtype}-web").returncode == 0
    bundle(chooses, packages / dtype)
    done = checked(packages / dtype)
    assert done.returncode == 1
    assert "Could not find an implementation" in done.stdout + done.stderr


@pytest.mark.slow
def test_numbers_around_an_image_count_in_a_pool(packages: Path) -> None:
    """Some releases of ONNX Runtime, the browser's among them, merge a Pad of zeros into a pool."""
    image = pt.tensor("image", shape=(2, 2, 6, 4), dtype="float32")
    around = pt.set_subtensor(pt.zeros((2, 2, 8, 4), dtype="float32")[:, :, 1:7], -abs(image) - 1)
    pool = pt.maximum(around[:, :, ::2], around[:, :, 1::2])
    site = packages / "pool"
    bundle(function([image], [pool]), site)
    done = checked(site)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_it_notices_another_model(packages: Path) -> None:
    site, other = packages / "one", packages / "other"
    bundle(function([X], [pt.tanh(X)]), site)
    bundle(function([X], [pt.tanh(X) * np.float32(1.01)]), other)
    shutil.copy(other / "model.onnx", site / "model.onnx")
    done = checked(site)
    assert done.returncode == 1
    assert "numbers differ" in done.stdout


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@pytest.fixture
def served(packages: Path) -> Iterator[tuple[Path, str]]:
    """Return a folder, and where a server on this machine has it."""
    site = packages / "served"
    bundle(FUNCTIONS["network"](), site)
    dist = packages / "node_modules" / "onnxruntime-web" / "dist"
    for file in (
        "ort.wasm.bundle.min.mjs",
        *(p.name for p in dist.glob("ort-wasm-simd-threaded.[mw]*")),
    ):
        shutil.copy(dist / file, site / file)
    handler = functools.partial(_Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield site, f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
    shutil.rmtree(site)


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")
def test_the_page_checks_itself_in_a_browser(served: tuple[Path, str], tmp_path: Path) -> None:
    _, address = served
    words = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    wait = ["--virtual-time-budget=60000", "--dump-dom", f"--user-data-dir={tmp_path / 'profile'}"]
    done = subprocess.run(
        [str(CHROMIUM), *words, *quiet, *wait, address],
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert "All outputs are as PyTensor's." in done.stdout, done.stdout + done.stderr


def test_what_was_there_stays(tmp_path: Path) -> None:
    own = tmp_path / "site"
    own.mkdir()
    (own / "index.html").write_text("mine")
    with pytest.raises(InvalidRequest, match="give the name of a new folder"):
        bundle(function([X], [X + 1]), own)
    assert (own / "index.html").read_text() == "mine"
    (own / "index.html").unlink()
    bundle(function([X], [X + 1]), own, dtype="float32", inputs={"x": np.ones((2, 3), "f4")})
    trials = json.loads((own / "expected.json").read_text())["trials"]
    assert [trial["inputs"]["x"]["dims"] for trial in trials] == [[2, 3]]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["site"]


def test_what_is_refused_leaves_no_folder(tmp_path: Path) -> None:
    site = tmp_path / "site"
    with pytest.raises(Refused):
        bundle(function([A], [pt.linalg.eig(A)[0]]), site)
    draw = pt.random.normal(X, 1)
    with pytest.raises(InvalidRequest, match="takes its random numbers as inputs"):
        bundle(function([X], [draw]), site, random="input")
    assert not list(tmp_path.iterdir())


def test_from_a_shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import pytensor, pytensor.tensor as pt\n"
        "x = pt.fvector('x')\n"
        "f = pytensor.function([x], pt.exp(x), mode='FAST_COMPILE')\n"
    )
    site = str(tmp_path / "site")
    assert main(["bundle", f"{program}:f", site]) == 0
    assert f"python -m http.server --directory {site}" in capsys.readouterr().out
    assert main(["bundle", f"{program}:f", site, "--json"]) == 2
