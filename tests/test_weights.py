"""Weights in a file beside the model: always a whole pair, whatever happens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytensor
import pytensor.tensor as pt
import pytest
from helpers import RAW
from pytensor.graph.fg import FunctionGraph

from onnx_mapper import InvalidRequest, Mismatch, PrecisionWarning, explain, export, verify
from onnx_mapper.cli.main import main
from onnx_mapper.errors import CannotWrite
from onnx_mapper.model import finish


def layer(seed: int = 0, scale: float = 1.0) -> Any:
    """Return a function with two weights of some kilobytes."""
    random = np.random.default_rng(seed)
    x = pt.matrix("x", dtype="float32")
    w, b = (
        pytensor.shared((random.normal(size=shape) * scale).astype("float32"), name=name)
        for name, shape in (("w", (40, 30)), ("b", (300,)))
    )
    return pytensor.function([x], x @ w + b[:30], mode=RAW)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def run(path: Path, array: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (result,) = session.run(None, {"x": array})
    return np.asarray(result)


ARRAY = np.random.default_rng(5).normal(size=(3, 40)).astype("float32")


def test_weights_beside_the_model(tmp_path: Path) -> None:
    f, path = layer(), tmp_path / "model.onnx"
    returned = export(f, path, external_data=True)
    name, data = names_in(tmp_path)
    assert name == "model.onnx"
    assert data.startswith("model.onnx.")
    assert data.endswith(".data")
    assert path.stat().st_size < 4_000 < (tmp_path / data).stat().st_size
    assert all(not t.raw_data or len(t.raw_data) <= 1024 for t in returned.graph.initializer)
    np.testing.assert_allclose(run(path, ARRAY), f(ARRAY), rtol=1e-5)
    onnx.checker.check_model(str(path), full_check=True)
    assert verify(path, f).ok
    assert len(explain(path)) == len(returned.graph.node)
    whole = onnx.load(path)
    assert {t.name for t in whole.graph.initializer if t.raw_data} >= {"w"}


def test_another_function_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    export(layer(), path, external_data=True)
    with pytest.raises(Mismatch, match="w"):
        verify(path, layer(seed=1))


def test_verified_before_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    export(layer(), path, external_data=True, verify=True)
    assert len(names_in(tmp_path)) == 2


def test_exporting_again_leaves_one_pair(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    bystander = tmp_path / "model.onnx.notes.data"
    bystander.write_text("mine", encoding="utf-8")
    for seed in (0, 1, 1):
        f = layer(seed)
        export(f, path, external_data=True)
        assert len(names_in(tmp_path)) == 3
        np.testing.assert_allclose(run(path, ARRAY), f(ARRAY), rtol=1e-5)
    export(layer(), path)
    assert names_in(tmp_path) == ["model.onnx", "model.onnx.notes.data"]


def test_the_same_weights_give_the_same_files(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        export(layer(), tmp_path / folder / "model.onnx", external_data=True)
    assert names_in(tmp_path / "a") == names_in(tmp_path / "b")
    for name in names_in(tmp_path / "a"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_weights_of_all_dtypes_and_without_numbers(tmp_path: Path) -> None:
    arrays = [
        np.arange(2_000).astype(dtype) for dtype in ("float64", "int8", "bool", "int64", "float16")
    ]
    arrays += [np.zeros((0, 3)), np.array(2.5), np.asfortranarray(np.arange(600.0).reshape(20, 30))]
    shared = [pytensor.shared(a, name=f"w{i}") for i, a in enumerate(arrays)]
    x = pt.dscalar("x")
    outputs = [x + w.astype("float64") for w in shared]
    f = pytensor.function([x], outputs, mode=RAW)
    path = tmp_path / "model.onnx"
    export(f, path, external_data=True)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for found, expected in zip(session.run(None, {"x": np.array(0.5)}), f(0.5), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.slow
def test_large_weights_become_float32_piece_by_piece(order: Any, tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    arrays = [np.asarray(random.normal(size=(2_000, 1_000)), order=order) for _ in range(10)]
    x = pt.dmatrix("x")
    shared = [pytensor.shared(array, name=f"w{i}", borrow=True) for i, array in enumerate(arrays)]
    graph = FunctionGraph([x, *shared], [x @ w for w in shared], clone=False)
    path = tmp_path / "model.onnx"
    export(graph, path, dtype="float32", external_data=True)
    tracemalloc.start()
    export(graph, path, dtype="float32", external_data=True)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < sum(array.nbytes for array in arrays) / 4
    array = random.normal(size=(1, 2_000)).astype("float32")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for found, weight in zip(session.run(None, {"x": array}), arrays, strict=True):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, array @ weight, rtol=1e-3, atol=1e-3)


def test_numbers_that_float32_swallows_are_told_wherever_they_are(tmp_path: Path) -> None:
    array = np.ones((3_000, 1_000))
    array[2_999, 999], array[0, 0], array[1_500, 7] = 1e-60, 1e-50, -1e300
    f = pytensor.function([], pytensor.shared(array, name="w").sum(axis=0), mode=RAW)
    with pytest.warns(PrecisionWarning) as told:
        export(f, tmp_path / "model.onnx", dtype="float32")
    text = "\n".join(str(warning.message) for warning in told)
    assert all(number in text for number in ("1e-60", "1e-50", "-1e+300"))


def test_past_what_one_file_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finish, "LARGEST_MODEL_BYTES", 5_000)
    f, path = layer(), tmp_path / "model.onnx"
    export(f, path)
    assert len(names_in(tmp_path)) == 2
    np.testing.assert_allclose(run(path, ARRAY), f(ARRAY), rtol=1e-5)
    with pytest.raises(InvalidRequest, match=r"less than 2: leave out external_data=False"):
        export(f, path, external_data=False)
    with pytest.raises(InvalidRequest, match=r"give a path, export\(f, 'model.onnx'\)"):
        export(f)


def test_a_model_in_memory_has_no_file_beside_it(tmp_path: Path) -> None:
    f = layer()
    model = export(f, tmp_path / "model.onnx", external_data="always")
    with pytest.raises(InvalidRequest, match="give the path of the model"):
        verify(model, f)


def test_a_file_of_weights_that_is_gone_or_cut(tmp_path: Path) -> None:
    f, path = layer(), tmp_path / "model.onnx"
    export(f, path, external_data=True)
    data = tmp_path / names_in(tmp_path)[1]
    data.write_bytes(data.read_bytes()[:100])
    with pytest.raises(
        InvalidRequest, match=r"bytes of weights in model\.onnx\.\w+\.data, of which"
    ):
        verify(path, f)
    data.unlink()
    with pytest.raises(InvalidRequest, match=r"which is not beside it: the two files go together"):
        verify(path, f)


def test_what_is_no_model_is_no_model() -> None:
    with pytest.raises(
        InvalidRequest, match="a model is a ModelProto or the path of a file, not 3"
    ):
        verify(3, layer())  # type: ignore[arg-type]


def test_a_wrong_policy() -> None:
    with pytest.raises(InvalidRequest, match="external_data is 'big'; it must be 'auto' or"):
        export(layer(), external_data="big")  # type: ignore[arg-type]


def test_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "built_for_weights.py").write_text(
        "import numpy as np, pytensor, pytensor.tensor as pt\n"
        "x = pt.fvector('x')\n"
        "w = pytensor.shared(np.arange(900, dtype='float32'), name='w')\n"
        "f = pytensor.function([x], x.sum() * w)\n",
        encoding="utf-8",
    )
    folder = tmp_path / "out"
    folder.mkdir()
    target = str(folder / "m.onnx")
    assert main(["export", "built_for_weights:f", target, "--external-data", "always"]) == 0
    assert len(names_in(folder)) == 2
    assert f"{names_in(folder)[1]}, beside it: 3,600 bytes of weights" in capsys.readouterr().out
    assert main(["verify", target, "built_for_weights:f"]) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits of file sizes")
def test_a_full_disk_leaves_the_earlier_pair(tmp_path: Path) -> None:
    import resource

    f, path = layer(), tmp_path / "model.onnx"
    export(f, path, external_data=True)
    before = {name: (tmp_path / name).read_bytes() for name in names_in(tmp_path)}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3_000, limits[1]))
    try:
        with pytest.raises(CannotWrite, match="can't be written"):
            export(layer(seed=2), path, external_data=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert {name: (tmp_path / name).read_bytes() for name in names_in(tmp_path)} == before


WRITER = """
import os
import sys
import numpy as np
import onnx
from onnx_mapper.model.file import save
from onnx_mapper.model.weights import refer_to
from onnx import ModelProto, helper

def model_of(fill):
    array = np.full((700, 500), fill, dtype="float32")
    ports = [helper.make_tensor_value_info(n, 1, [700, 500]) for n in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "g", ports[:1], ports[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    refer_to(model, {"w": array})
    return model, {"w": array}

def write_on_and_on(fill):
    while True:
        fill += 1
        model, arrays = model_of(fill)
        save(model, sys.argv[1], arrays)

for line in sys.stdin:
    child = os.fork()
    if not child:
        write_on_and_on(float(line))
    print(child, flush=True)
    os.waitpid(child, 0)
    print("gone", flush=True)
"""


@pytest.mark.slow
def test_the_pair_is_whole_after_each_of_a_hundred_kills(tmp_path: Path) -> None:
    """A process that exports all the time is killed at any moment; what it leaves loads and adds."""
    script, path = tmp_path / "writer.py", tmp_path / "model.onnx"
    script.write_text(WRITER, encoding="utf-8")
    random = np.random.default_rng(0)
    zeros = np.zeros((700, 500), dtype="float32")
    last = 0.0
    with subprocess.Popen(
        [sys.executable, str(script), str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        for _ in range(100):
            server.stdin.write(f"{last}\n")
            child = int(server.stdout.readline())
            time.sleep(float(random.uniform(0, 0.06)))
            os.kill(child, signal.SIGKILL)
            assert server.stdout.readline() == "gone\n"
            if not path.exists():
                continue
            found = run(path, zeros)
            assert (found == found[0, 0]).all()
            assert found[0, 0] >= last
            last = float(found[0, 0])
    assert last > 10
