"""`onnx-mapper test`, and the pytest plugin, as a person who writes rows uses them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from onnx_mapper.cli.main import main
from onnx_mapper.conformance.select import selector
from onnx_mapper.errors import InvalidRequest
from onnx_mapper.mapping import build

pytestmark = pytest.mark.one_line

ROOT = Path(__file__).parent.parent

ROWS = """
- op: pytensor.scalar.basic:Exp
  summary: Exponential function.
  inputs: [x]
  promote: dtype(out)
  onnx: %s
  cases: {dtypes: {T: floats}, domain: {x: [-3, 3]}, opsets: [21]}

- op: pytensor.scalar.basic:Log
  summary: Natural logarithm.
  inputs: [x]
  promote: dtype(out)
  onnx: Log(x)
  cases: {dtypes: {T: floats}, domain: {x: [0.1, 9]}, opsets: [21]}
  equivalent:
    - {mutant: "promote: dropped", because: x has the dtype already.}
"""


def write(folder: Path, exp: str = "Exp(x)") -> Path:
    path = folder / "mine.yaml"
    path.write_text(ROWS % exp, encoding="utf-8")
    return path


def test_rows_that_follow_pytensor(tmp_path, capsys):
    write(tmp_path)
    assert main(["test", str(tmp_path), "-j0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("mine.yaml::Exp: 6 passed, worst ")
    assert lines[-1] == "2 rows, 12 items passed, 0 failed in 0 rows"


@pytest.mark.slow
def test_each_case_at_one_opset(tmp_path, capsys):
    """Opset 21 where a case has it, else the first that it has."""
    path = write(tmp_path)
    text = path.read_text(encoding="utf-8")
    text = text.replace("opsets: [21]", "opsets: [18, 21, 28]", 1)
    path.write_text(text.replace("opsets: [21]", "opsets: [28, 20]", 1), encoding="utf-8")
    counts, found = [], tmp_path / "found.json"
    for flags in ([], ["--one-opset"]):
        assert main(["test", str(tmp_path), "-j0", "--json", str(found), *flags]) == 0
        report = json.loads(found.read_text(encoding="utf-8"))
        assert report["one_opset"] == bool(flags)
        counts.append([row["passed"] for row in report["rows"]])
    capsys.readouterr()
    assert counts == [[18, 12], [6, 6]]
    assert main(["test", str(tmp_path), "-j0", "--one-opset", "-k", "opset20 or opset21"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("2 rows, 12 items passed")


def test_a_row_of_whose_cases_pytensor_builds_none(tmp_path, capsys):
    """It would pass whatever it says."""
    row = """
- op: pytensor.scalar.basic:Invert
  summary: Bits the other way round.
  inputs: [x]
  onnx: Exp(x)
  cases: {graph: "pt.invert(x.astype('float32'))", opsets: [21]}
"""
    (tmp_path / "mine.yaml").write_text(row, encoding="utf-8")
    assert main(["test", str(tmp_path), "-j0"]) == 1
    out = capsys.readouterr().out
    assert "mine.yaml::Invert: PyTensor has none of the graphs of its cases" in out


@pytest.mark.parametrize("jobs", ["-j0", "-j2"])
def test_a_row_that_does_not(jobs, tmp_path, capsys):
    report = tmp_path / "report.json"
    arguments = ["test", str(write(tmp_path, "Pow(2.7, x)")), jobs, "--json", str(report)]
    assert main(arguments) == 1
    out = capsys.readouterr().out
    assert "FAILED mine.yaml::Exp[float32-opset21-static]" in out
    assert "… and 1 more; -v shows all" in out
    assert "2 rows, 6 items passed, 6 failed in 1 rows" in out
    data = json.loads(report.read_text(encoding="utf-8"))
    exp, log = data["rows"]
    assert (exp["row"], exp["failed"], len(exp["failures"])) == ("mine.yaml::Exp", 6, 6)
    assert (log["row"], log["passed"]) == ("mine.yaml::Log", 6)
    assert "pytensor" in data["versions"]


def test_the_command_of_a_reproduction_selects_that_item(tmp_path, capsys):
    path = write(tmp_path, "Pow(2.7, x)")
    name = "mine.yaml::Exp[float32-opset21-static]"
    assert main(["test", str(path), "-k", name, "-j0"]) == 1
    assert capsys.readouterr().out.endswith(
        "1 rows, 0 items passed, 1 failed in 1 rows\n  FAILED mine.yaml::Exp\n"
    )


def test_nothing_matches(tmp_path, capsys):
    assert main(["test", str(write(tmp_path)), "-k", "Cosh"]) == 1
    assert "no item matches" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere"], "nowhere does not exist"),
        ([str(ROOT / "tests")], "holds no .yaml file"),
        (["-k", "exp and"], "write words, and, or, not"),
    ],
)
def test_wrong_calls_end_with_status_2(arguments, says, capsys):
    assert main(["test", *arguments]) == 2
    assert says in capsys.readouterr().err


def test_mutants_are_counted_and_survivors_shown(tmp_path, capsys):
    report = tmp_path / "report.json"
    assert main(["test", str(write(tmp_path)), "--mutants", "-j1", "--json", str(report)]) == 1
    out = capsys.readouterr().out
    assert "SURVIVED mine.yaml::Exp: promote: dropped (the models are the same)" in out
    assert "mine.yaml::Exp: 2/3 mutants killed, 1 SURVIVED" in out
    assert "mine.yaml::Log: 2/3 mutants killed, 1 equivalent" in out
    assert out.endswith(
        "6 mutants, 1 survived or wrongly declared equivalent, 0 ended by a crash\n"
        "  SURVIVED mine.yaml::Exp: promote: dropped (the models are the same)\n"
    )
    first = json.loads(report.read_text(encoding="utf-8"))["mutants"][0]
    assert first["survived"] == ["promote: dropped"]
    assert first["crashed"] == []


@pytest.mark.slow
def test_mutants_that_end_by_a_crash_are_no_good_news(tmp_path, capsys, monkeypatch):
    """A lie that makes the package itself fail is noticed, but not as it should be."""

    def finish(builder, *arguments):
        if any(node.op_type == "Abs" for node in builder.nodes):
            raise KeyError("to")
        return unbroken(builder, *arguments)

    unbroken = build.finish
    monkeypatch.setattr(build, "finish", finish)
    arguments = ["test", str(write(tmp_path)), "--mutants", "-j0", "-k", "Exp"]
    assert main(arguments) == 1
    out = capsys.readouterr().out
    assert "CRASHED mine.yaml::Exp: onnx: Exp(x) => Abs(x)" in out
    assert "onnx-mapper itself raises KeyError: 'to'" in out
    assert "2/3 mutants killed, 1 of them by a CRASH, 1 SURVIVED" in out
    assert ", 1 ended by a crash\n" in out


def test_a_model_that_ends_its_process_fails_alone(tmp_path, capsys):
    rows = (
        ROWS % "Exp(x)"
        + """
- op: pytensor.scalar.basic:IntDiv
  summary: Quotient, which ends the process where y is 0.
  inputs: [x, y]
  promote: dtype(out)
  onnx: Div(x, y)
  cases: {dtypes: {T: int32}, opsets: [21]}
"""
    )
    (tmp_path / "mine.yaml").write_text(rows, encoding="utf-8")
    assert main(["test", str(tmp_path), "-j1"]) == 1
    out = capsys.readouterr().out
    assert "mine.yaml::Exp: 6 passed" in out
    assert "12 items passed" in out.splitlines()[-1] or "items passed" in out


def test_the_selector():
    name = "conv.yaml::AbstractConv2d[border_mode=half-float32-opset21-static]"
    for expression in ("", "conv2d and half", "not (full or opset18)", name, name.split("[")[0]):
        assert selector(expression)(name)
    for expression in ("full", "conv2d and not half", name.replace("half", "full"), "conv.yaml::A"):
        assert not selector(expression)(name)
    for expression in ("(", "and", "half or", "half)", "not"):
        with pytest.raises(InvalidRequest, match="-k"):
            selector(expression)


def pytest_run(*arguments, cwd):
    """Run pytest with the plugin, which an installed package brings by itself."""
    installed = entry_points(group="pytest11", name="onnx-mapper")
    plugin = () if installed else ("-p", "onnx_mapper_pytest")
    return subprocess.run(
        [sys.executable, "-m", "pytest", *plugin, "-p", "no:cacheprovider", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.slow
@pytest.mark.parametrize("way", [["mine.yaml"], ["--onnx-mapper-rows", "."]])
def test_pytest_collects_mapping_files_that_are_asked_for(way, tmp_path):
    write(tmp_path, "Pow(2.7, x)")
    result = pytest_run(*way, "-q", cwd=tmp_path)
    assert "6 failed, 6 passed" in result.stdout, result.stdout + result.stderr
    assert "mine.yaml::Exp[float32-opset21-static]" in result.stdout
    assert "again: onnx-mapper test mine.yaml" in result.stdout
    assert "Traceback" not in result.stdout


@pytest.mark.slow
def test_pytest_leaves_other_files_alone(tmp_path):
    write(tmp_path)
    (tmp_path / "other.yaml").write_text("- name: nothing of ours\n", encoding="utf-8")
    (tmp_path / "test_mine.py").write_text(
        "import sys\ndef test_light():\n    assert 'pytensor' not in sys.modules\n",
        encoding="utf-8",
    )
    result = pytest_run("-q", ".", cwd=tmp_path)
    assert "1 passed" in result.stdout, result.stdout
    result = pytest_run("-q", "other.yaml", cwd=tmp_path)
    assert "Traceback" not in result.stdout


@pytest.mark.slow
def test_pytest_says_what_is_wrong_with_a_mapping_file(tmp_path):
    (tmp_path / "mine.yaml").write_text("- op: nowhere\n  onnx: Exp(x)\n", encoding="utf-8")
    result = pytest_run("mine.yaml", "-q", cwd=tmp_path)
    assert "mine.yaml:1: op" in result.stdout
    assert "Traceback" not in result.stdout


@pytest.mark.slow
def test_an_attribute_without_a_verb_is_found_though_nothing_has_loaded_its_class(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "- op: pytensor.breakpoint:PdbBreakpoint\n  summary: What is looked at.\n"
        "  inputs: [condition, x]\n  onnx: x\n",
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "onnx_mapper", "test", str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "mine.yaml:1: PdbBreakpoint's attribute 'name' has no verb" in done.stderr
