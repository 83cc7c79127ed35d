"""The command line, as a person types it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import onnx
import pytensor.tensor as pt
import pytest
from helpers import forget_modules

import onnx_mapper
from onnx_mapper import export_graph
from onnx_mapper.cli.main import main
from onnx_mapper.model import file

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
    clip = next(entry for entry in entries if entry["op"] == "pattern Clip")
    assert clip["row"].startswith("patterns.yaml:")
    assert clip["kind"] == "pattern"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["check", "nothing"], "write module:name or file.py:name"),
        (["check", "no_such_module:f"], "there is no module 'no_such_module'"),
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


def test_refused_export_exits_with_1_and_writes_nothing(
    program: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", f"{program}:bad", str(tmp_path / "model.onnx")]) == 1
    assert "can't be exported" in capsys.readouterr().err
    assert not (tmp_path / "model.onnx").exists()


USERS: dict[str, tuple[str, str]] = {
    "an error": ("1 / 0", "ZeroDivisionError: division by zero"),
    "a syntax error": ("def f(:", "SyntaxError: invalid syntax"),
    "a module that is missing": (
        "import nothing_of_that_name",
        "No module named 'nothing_of_that_",
    ),
    "an exit": ("raise SystemExit(1)", "SystemExit: 1"),
}


@pytest.mark.parametrize("which", USERS)
@pytest.mark.parametrize("way", ["file", "module"])
def test_code_of_the_users_that_fails_exits_with_3(
    which: str, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Its own traceback is shown, without this package's and without Python's import."""
    code, says = USERS[which]
    (tmp_path / "mine.py").write_text(f"x = 1\n{code}\n")
    monkeypatch.chdir(tmp_path)
    forget_modules(monkeypatch, "mine")
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert main(["check", "mine.py:f" if way == "file" else "mine:f"]) == 3
    told = capsys.readouterr().err
    assert "fails by itself" in told
    assert says in told
    assert "mine.py" in told
    assert "user_code.py" not in told
    assert "importlib" not in told


def test_a_script_finds_its_neighbours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "sub"
    folder.mkdir()
    (folder / "neighbour_of_mine.py").write_text(
        "import pytensor.tensor as pt\nx = pt.fvector('x')\n"
    )
    (folder / "uses.py").write_text(
        "import pytensor\nfrom neighbour_of_mine import x\nf = pytensor.function([x], x * 2)\n"
    )
    monkeypatch.chdir(tmp_path)
    assert main(["check", "sub/uses.py:f"]) == 0


def test_results_that_can_not_be_written_are_told_before_the_tests_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["test", "-k", "nothing", "--json", "nowhere/results.json"]) == 2
    assert "the folder nowhere does not exist" in capsys.readouterr().err
    with pytest.raises(SystemExit) as raised:
        main(["test", "-j", "-3"])
    assert raised.value.code == 2


@pytest.mark.parametrize(
    ("save", "says"),
    [
        (lambda path: np.savez(path, x=np.ones(2, "float32")), "has 1 axes; the input has 2"),
        (lambda path: np.savez(path, y=np.ones(2, "float32")), "has no 'x'; it has y, and needs x"),
        (lambda path: path.write_text("text"), "can't be read as .npz"),
        (lambda path: np.save(path.open("wb"), np.ones(2)), "holds one array without a name"),
    ],
)
def test_inputs_that_do_not_fit_exit_with_2(
    save: Callable[[Path], None], says: str, program: str, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    model, inputs = str(tmp_path / "m.onnx"), tmp_path / "inputs.npz"
    assert main(["export", f"{program}:good", model]) == 0
    save(inputs)
    assert main(["verify", model, f"{program}:good", "--inputs", str(inputs)]) == 2
    assert says in capsys.readouterr().err


@pytest.mark.slow
def test_a_closed_pipe_and_an_interruption_end_quietly(
    program: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    listing = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "onnx_mapper", "rows"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert listing.stdout is not None
    assert listing.stderr is not None
    listing.stdout.close()
    assert listing.stderr.read() == ""
    assert listing.wait() == 2

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("onnx_mapper.cli.commands.check", interrupt)
    assert main(["check", f"{program}:good"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(["--version"])
    assert raised.value.code == 0
    assert capsys.readouterr().out == f"onnx-mapper {onnx_mapper.__version__}\n"


def test_what_verifying_warns_of_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By `export --verify` and by `verify`, which `--strict` turns into a failure."""
    source = tmp_path / "constant.py"
    source.write_text(
        "import pytensor, pytensor.tensor as pt\n"
        "x = pt.fvector('x')\n"
        "f = pytensor.function([x], x * 0 + 7, mode='FAST_COMPILE')\n"
    )
    model = str(tmp_path / "constant.onnx")
    says = "warning: what was compared says little of the model"
    assert main(["export", f"{source}:f", model, "--verify"]) == 0
    assert says in capsys.readouterr().err
    assert main(["verify", model, f"{source}:f"]) == 0
    assert says in capsys.readouterr().err
    assert main(["verify", model, f"{source}:f", "--strict"]) == 1


def test_check_is_asked_about_the_export_that_is_meant(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "wide.py"
    source.write_text(
        "import pytensor, pytensor.tensor as pt\n"
        "x = pt.dvector('x')\n"
        "f = pytensor.function([x], pt.gammaln(x), mode='FAST_COMPILE')\n"
    )
    assert main(["check", f"{source}:f"]) == 0
    assert main(["check", f"{source}:f", "--dtype", "float32"]) == 1
    assert "wide='ok'" in capsys.readouterr().out
    assert main(["check", f"{source}:f", "--dtype", "float32", "--wide", "ok"]) == 0


def test_verify_tells_programs_what_differs(
    program: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(tmp_path / "model.onnx")
    assert main(["export", f"{program}:good", model]) == 0
    capsys.readouterr()
    assert main(["verify", model, f"{program}:good", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["outputs"][0]["ok"]
    assert main(["verify", model, f"{program}:other", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert not told["ok"]
    assert told["outputs"][0]["ulps"] > 1000
    assert main(["verify", model, f"{program}:other", "--rtol", "2"]) == 0


def test_diff_tells_in_words(
    program: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, named = (str(tmp_path / f"{name}.onnx") for name in ("a", "b", "c"))
    assert main(["export", f"{program}:good", first]) == 0
    assert main(["export", f"{program}:other", second]) == 0
    assert main(["export", f"{program}:good", named, "--dims", "x=batch,3", "--opset", "18"]) == 0
    capsys.readouterr()
    assert main(["diff", first, first]) == 0
    assert capsys.readouterr().out == "The models are the same.\n"
    assert main(["diff", first, second]) == 1
    assert "Mul, pytensor.scalar.basic:Mul" in capsys.readouterr().out
    assert main(["diff", first, named, "--json"]) == 1
    changes = json.loads(capsys.readouterr().out)["changes"]
    assert {"what": "opset", "name": "ai.onnx", "before": "21", "after": "18"} in changes
    assert [c["after"] for c in changes if c["what"] == "input"] == ["0: float32[batch, 3]"]


def test_the_content_of_a_model_has_a_digest(program: str, tmp_path: Path) -> None:
    """It tells models apart that compute otherwise, and is the same for the same function."""

    def digest(function: str, *options: str) -> str:
        path = tmp_path / "model.onnx"
        assert main(["export", f"{program}:{function}", str(path), *options]) == 0
        told = {e.key: e.value for e in onnx.load(path, load_external_data=False).metadata_props}
        return told["onnx_mapper.content"]

    assert digest("good") == digest("good", "--strict")
    assert len({digest("good"), digest("other"), digest("good", "--opset", "18")}) == 3


def test_rows_about_one_op_are_shown_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rows", "LogSoftmax"]) == 0
    out = capsys.readouterr().out
    assert "onnx: log_softmax_of(" in out
    assert "Exp\n" not in out
    assert main(["rows", "--missing"]) == 0
    assert "has a row" in capsys.readouterr().out
    assert main(["rows", "NoSuchOp"]) == 2
    assert "onnx-mapper new module:Class begins one" in capsys.readouterr().err


OPS = """
import numpy as np, pytensor.tensor as pt
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op

class Wrap(Op):
    __props__ = ("period", "mode")
    def __init__(self, period, mode="floor"):
        self.period, self.mode = period, mode
    def make_node(self, x, y=None):
        x = pt.as_tensor(x)
        return Apply(self, [x, pt.as_tensor(y)], [x.type()])
    def perform(self, node, inputs, storage):
        storage[0][0] = np.mod(inputs[0] + inputs[1], self.period)
"""


def test_a_new_row_is_finished_line_by_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What `new` writes, `lint` says what is left of, and with that said the row is right."""
    monkeypatch.chdir(tmp_path)
    forget_modules(monkeypatch, "wrapping_ops")
    Path("wrapping_ops.py").write_text(OPS)
    assert main(["new", "wrapping_ops:Wrap", "-o", "wrap.yaml"]) == 0
    assert main(["new", "wrapping_ops:Wrap", "-o", "wrap.yaml"]) == 2
    assert "is there already" in capsys.readouterr().err
    assert main(["lint", "wrap.yaml", "--import", "wrapping_ops"]) == 1
    told = capsys.readouterr().err
    assert "wrap.yaml:5: TODO is left to say: summary" in told
    assert "inputs: [x, y?]" in Path("wrap.yaml").read_text()
    text = Path("wrap.yaml").read_text()
    for left, said in (
        ("TODO what it computes, in one line.", "A sum, wrapped around."),
        ("[x, y?]", "[x, y]"),
        ("TODO(x, y)", "Mod(Add(x, y), period, fmod=0)"),
        ("    period: {require: null, because: TODO}\n", ""),
        ("because: TODO", "because: It has no other."),
        ("[null]", "[7, 3]"),
        ("[float64, float32]", "[int64]"),
    ):
        assert left in text
        text = text.replace(left, said)
    Path("wrap.yaml").write_text(text)
    assert main(["lint", "wrap.yaml", "--import", "wrapping_ops"]) == 0
    assert "1 file, 1 row, 0 problems" in capsys.readouterr().out
    assert main(["test", "wrap.yaml", "--import", "wrapping_ops", "-j", "0"]) == 0


def test_lint_tells_every_file_that_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.yaml").write_text(
        "- op: a:B\n  summary: Short.\n  onnx: Nope(x)\n  inputs: [x]\n"
    )
    (tmp_path / "b.yaml").write_text("- op: [\n")
    assert main(["lint", str(tmp_path), "--json"]) == 1
    problems = json.loads(capsys.readouterr().out)["problems"]
    assert len(problems) == 2
    assert "a.yaml:3" in problems[0]


def test_lint_takes_the_files_of_a_folder_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A definition of one file serves another, and two rows about one class are told."""
    row = "- op: a:B\n  summary: Short.\n  inputs: [x]\n  onnx: twice(x)\n"
    (tmp_path / "a.yaml").write_text(row)
    (tmp_path / "b.yaml").write_text(
        "- define: twice(x)\n  summary: Two of it.\n  onnx: Add(x, x)\n"
    )
    assert main(["lint", str(tmp_path)]) == 0
    (tmp_path / "c.yaml").write_text(row)
    assert main(["lint", str(tmp_path)]) == 1
    assert "a:B is mapped at" in capsys.readouterr().err


def test_models_that_differ_in_an_attribute_are_not_the_same() -> None:
    x = pt.fmatrix("x")
    ways = [export_graph([x], [pt.special.softmax(x, axis=axis)]) for axis in (0, 1)]
    (change,) = onnx_mapper.diff(*ways).changes
    assert "Softmax" in change.name
    assert onnx_mapper.diff(ways[0], ways[0]).same


def test_debug_shows_where_an_error_comes_from(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "nowhere.onnx"]) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert main(["explain", "nowhere.onnx", "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_completion_and_view_ask_for_what_they_need(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    program: str,
) -> None:
    assert main(["completion", "bash"]) == 0
    assert "onnx-mapper" in capsys.readouterr().out
    model = str(tmp_path / "model.onnx")
    assert main(["export", f"{program}:good", model]) == 0
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["view", model]) == 2
    assert "pip install netron" in capsys.readouterr().err


def test_a_picture_has_every_node_in_the_box_of_its_op(
    program: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, picture = str(tmp_path / "model.onnx"), tmp_path / "model.svg"
    assert main(["export", f"{program}:other", model]) == 0
    assert main(["view", model, "--svg", str(picture)]) == 0
    assert f"{picture}: 3 nodes" in capsys.readouterr().out
    drawn = ElementTree.parse(picture).getroot()
    texts = ["".join(text.itertext()) for text in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert [text for text in texts if text in ("x", "Tanh", "Add", "Mul")] == [
        "x",
        "Tanh",
        "Add",
        "Mul",
    ]
    assert any(text.startswith("Tanh (elemwise.yaml:") for text in texts)
    assert "float32[x_0, x_1]" in texts


def test_rows_have_pages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = tmp_path / "rows"
    rows.mkdir()
    (rows / "wrap.yaml").write_text(
        "- op: my_ops:Wrap\n  summary: A sum, wrapped around.\n  inputs: [x]\n  onnx: Neg(x)\n"
    )
    pages = tmp_path / "pages"
    assert main(["docs", str(rows), "-o", str(pages)]) == 0
    text = (pages / "wrap.md").read_text()
    assert "## Wrap\n\nA sum, wrapped around." in text
    assert "onnx: Neg(x)" in text
    assert main(["docs", str(rows), "-o", str(pages)]) == 0
    (pages / "wrap.md").write_text("my own notes")
    assert main(["docs", str(rows), "-o", str(pages)]) == 2
    assert "is not such a page" in capsys.readouterr().err
    assert (pages / "wrap.md").read_text() == "my own notes"


def test_a_full_disk_leaves_what_was_there(
    program: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Pictures, pages and reports are written whole or not at all, as models are."""
    monkeypatch.chdir(tmp_path)
    assert main(["export", f"{program}:good", "model.onnx"]) == 0
    rows = tmp_path / "rows.yaml"
    rows.write_text(
        "- op: pytensor.scalar.basic:Exp\n  summary: Exponential, e to the power of x.\n"
        "  inputs: [x]\n  promote: dtype(out)\n  onnx: Exp(x)\n"
        '  cases: {inputs: {x: "f32[2]"}}\n',
        encoding="utf-8",
    )
    written = {
        "model.svg": ["view", "model.onnx", "--svg", "model.svg"],
        "pages/rows.md": ["docs", "rows.yaml", "-o", "pages"],
        "report.json": ["test", "rows.yaml", "-j", "0", "--json", "report.json"],
    }
    earlier = {}
    for name, command in written.items():
        assert main(command) == 0
        earlier[name] = (tmp_path / name).read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(file.os, "fsync", full)
    capsys.readouterr()
    for name, command in written.items():
        assert main(command) == 2
        assert f"{Path(name).name} can't be written: No space left" in capsys.readouterr().err
        assert (tmp_path / name).read_bytes() == earlier[name]
        assert [p.name for p in (tmp_path / name).parent.glob(".*")] == []
