"""The options of an export are declared once, and are the same wherever they can be given."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytensor
import pytensor.tensor as pt
import pytest
from helpers import RAW, operators
from scipy.special import erf

import onnx_mapper
from onnx_mapper import InvalidRequest, Refused, check, export, export_graph
from onnx_mapper.cli.main import main
from onnx_mapper.model.metadata import options_of_model, told_by
from onnx_mapper.options import OptionArguments, Options, told_of_options

NAMES = [f.name for f in fields(Options)]
PROGRAM = """
import pytensor, pytensor.tensor as pt
x = pt.dmatrix("x")
y = pt.gammaln(x) + pt.random.normal(size=(3,))
f = pytensor.function([x], y, mode="FAST_COMPILE")
g = pytensor.function([x], pt.exp(x), mode="FAST_COMPILE")
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "mine.py").write_text(PROGRAM)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("function", [export, export_graph, check])
def test_every_call_takes_and_tells_of_every_option(function: Any) -> None:
    shown = inspect.signature(function).parameters
    assert [n for n in shown if n in NAMES] == NAMES
    for option in fields(Options):
        assert shown[option.name].default == option.default
        assert shown[option.name].kind is inspect.Parameter.KEYWORD_ONLY
    told = inspect.getdoc(function) or ""
    arguments = re.findall(r"^    (\w+): ", told, re.MULTILINE)
    assert [name for name in arguments if name in NAMES] == NAMES
    assert "See `Options`" not in told


def test_the_record_is_what_is_told_and_typed() -> None:
    assert list(told_of_options()) == NAMES
    assert list(OptionArguments.__annotations__) == NAMES


@pytest.mark.parametrize("command", ["export", "check"])
def test_every_option_is_a_flag(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    flags = re.findall(r"--([a-z-]+)", capsys.readouterr().out)
    assert not [name for name in NAMES if name.replace("_", "-") not in flags]


@pytest.mark.parametrize("function", [export, check])
def test_an_option_that_there_is_not(function: Any) -> None:
    x = pt.dvector("x")
    compiled = pytensor.function([x], pt.exp(x), mode=RAW)
    with pytest.raises(TypeError, match=r"no option 'opsets'; did you mean 'opset'\? There are: "):
        function(compiled, opsets=18)


@pytest.mark.slow
def test_a_model_tells_the_options_that_it_was_made_with() -> None:
    x = pt.matrix("x", dtype="float64")
    y = pt.gammaln(x) + pt.random.normal(size=(3,))
    asked = Options(18, "float32", {"x": ("rows", 3)}, (), "input", "ok")
    model = export_graph(
        [x], [y], opset=18, dtype="float32", dims=asked.dims, random="input", wide="ok"
    )
    told = options_of_model(model, {"x"}, ())
    assert told.dims == {"x": ["rows", 3]}
    assert [getattr(told, n) for n in NAMES if n != "dims"] == [
        getattr(asked, n) for n in NAMES if n != "dims"
    ]
    plain = export_graph([x], [pt.exp(x)])
    keys = {"pytensor", "onnx_mapper.dtype", "onnx_mapper.content"}
    assert {entry.key for entry in plain.metadata_props} == keys


def test_the_command_line_takes_them_all(program: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "mine.py:f"]) == 1
    assert 'random="input"' in capsys.readouterr().out
    options = ["--random", "input", "--dims", "x=batch,3", "--dtype", "float32", "--wide", "ok"]
    assert main(["check", "mine.py:f", *options]) == 0
    names = ["--input-names", "points", "--output-names", "density"]
    arguments = ["export", "mine.py:f", "m.onnx", "--random", "input", "--dims", "points=batch,3"]
    assert main([*arguments, *names]) == 0
    model = onnx.load(program / "m.onnx")
    assert model.graph.input[0].name == "points"
    dims = model.graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_param or d.dim_value for d in dims] == ["batch", 3]
    assert [port.name for port in model.graph.output] == ["density"]


@pytest.mark.parametrize(
    ("dims", "says"),
    [
        ("batch,3", "--dims batch,3: write INPUT=NAME,SIZE,-"),
        ("x=batch", r"dims\['x'\] must have 2 entries"),
        ("z=batch,3", "dims names 'z', which is no input; there are: x"),
    ],
)
def test_dims_that_say_nothing(
    program: Path, dims: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "mine.py:g", "m.onnx", "--dims", dims]) == 2
    assert re.search(says, capsys.readouterr().err)
    assert not (program / "m.onnx").exists()


def test_open_sizes_by_the_command_line(program: Path) -> None:
    assert main(["export", "mine.py:g", "m.onnx", "--dims", "x=-,7"]) == 0
    dims = onnx.load(program / "m.onnx").graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_param or d.dim_value for d in dims] == ["x_0", 7]


def test_impossible_options_are_refused_wherever_they_are_given() -> None:
    x = pt.dvector("x")
    function = pytensor.function([x], pt.exp(x), mode=RAW)
    for call in (export, check):
        with pytest.raises(InvalidRequest, match="random is 'maybe'; it must be 'refuse' or"):
            call(function, random="maybe")  # type: ignore[arg-type]
    assert "export" in onnx_mapper.__all__


def test_the_browser_loads_no_newest_opset() -> None:
    x = pt.vector("x")
    assert export_graph([x], [x + 1], runtime="web", opset=26)
    with pytest.raises(InvalidRequest, match="opset is 28; ONNX Runtime Web loads 18 to 26"):
        export_graph([x], [x + 1], runtime="web", opset=28)


def test_a_model_without_some_operators() -> None:
    x, index = pt.dmatrix("x"), pt.lvector("index")
    gelu = x * (1 + pt.erf(x / np.sqrt(2))) / 2
    assert "Gelu" in operators(export_graph([x], [gelu], dtype="float32"))
    model = export_graph([x], [gelu], dtype="float32", without=["Gelu"])
    assert "Gelu" not in operators(model)
    array = np.linspace(-3, 3, 12, dtype="float32").reshape(3, 4)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    expected = array * (1 + erf(array / np.sqrt(2))) / 2
    np.testing.assert_allclose(session.run(None, {"x": array})[0], expected, rtol=1e-5, atol=1e-7)
    assert told_by(model)["onnx_mapper.without"] == "Gelu"
    assert options_of_model(model, {"x"}, ()).without == ("Gelu",)
    with pytest.raises(Refused, match=r"takes the operator Gather, which .* without \(.*yaml:\d+ "):
        export_graph([x, index], [x[index]], without=["Gather", "GatherND"])
    found = check(pytensor.function([x], pt.sort(x), mode=RAW), without=["TopK"])
    assert "takes the operator TopK" in found.refusals[0].reason


@pytest.mark.parametrize(
    ("without", "says"),
    [
        (["Lop"], "'Lop', which is no ONNX operator; did you mean 'Loop'"),
        (["Cast"], "'Cast', which every model may need"),
        ("Loop", r"without is 'Loop'; write a list, \['Loop'\]"),
        ([3], r"without is \[3\]; it must be a list of operators' names, such as \['Loop'\]"),
        (None, r"without is None; it must be a list of operators' names"),
    ],
)
def test_what_no_model_can_be_without(without: Any, says: str) -> None:
    x = pt.dvector("x")
    with pytest.raises(InvalidRequest, match=says):
        export_graph([x], [pt.exp(x)], without=without)


def test_operators_by_the_command_line(program: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "mine.py:g", "--without", "Exp", "--without", "Log"]) == 1
    assert "takes the operator" in capsys.readouterr().out
