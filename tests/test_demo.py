"""The main job: `examples/digits.py`, run as a user runs it."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


def has(module):
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


NETWORKS = {
    "digits.py": ("pytensor.tensor.conv", ("AbstractConv2d", "conv.yaml")),
    "digits_pytensor_ml.py": ("pytensor_ml.layers", ("ConvLayer", "pytensor_ml.yaml")),
}
MISSING = {
    "digits.py": ("digits_pytensor_ml.py", "pip install pytensor==2.36.2"),
    "digits_pytensor_ml.py": ("pip install pytensor-ml", "examples/digits.py"),
}


def run(example, folder):
    return subprocess.run(
        [sys.executable, EXAMPLES / example, "--output", "model/digits.onnx"],
        cwd=folder,
        env=os.environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )


def number(pattern, text):
    found = re.search(pattern, text)
    assert found, f"{pattern!r} is not in:\n{text}"
    return [float(group.replace(",", "")) for group in found.groups()]


@pytest.mark.slow
@pytest.mark.parametrize("example", NETWORKS)
def test_digits_leave_pytensor_unchanged(example, tmp_path):
    """A trained CNN that predicts something else in ONNX Runtime makes the project useless."""
    needed, told_of = NETWORKS[example]
    if not has(needed):
        pytest.skip(f"{needed} is not here")
    result = run(example, tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    output = result.stdout

    pytensor_accuracy, onnx_accuracy = number(r"accuracy +([\d.]+)% +([\d.]+)%", output)
    assert pytensor_accuracy == onnx_accuracy
    assert onnx_accuracy >= 95
    assert number(r"predictions that differ: (\d+) of 450", output) == [0]
    assert number(r"largest difference in a probability: ([\d.e+-]+)", output)[0] < 1e-5
    assert min(number(r"images per second +([\d,]+) +([\d,]+)", output)) > 0

    path = tmp_path / "model" / "digits.onnx"
    size, nodes = number(r"The model: ([\d,]+) bytes, (\d+) nodes", output)
    assert path.stat().st_size == size
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    operators = [node.op_type for node in model.graph.node]
    assert len(operators) == nodes
    assert operators.count("Conv") == 2
    assert "\n  " + " ".join(operators) + "\n" in output
    assert output.splitlines()[-1].split() == ["netron", "model/digits.onnx"]

    command = re.search(r"^ +(\S*onnx-mapper explain model/digits\.onnx)$", output, re.MULTILINE)
    assert command, output
    explained = subprocess.run(
        command[1].split(), cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True
    )
    for told in told_of:
        assert told in explained.stdout


@pytest.mark.parametrize("example", NETWORKS)
@pytest.mark.slow
def test_digits_say_what_they_need(example, tmp_path):
    """Someone on another PyTensor must learn what to install, not read a traceback."""
    if has(NETWORKS[example][0]):
        pytest.skip("what it needs is here")
    result = run(example, tmp_path)
    assert result.returncode == 2
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    for told in MISSING[example]:
        assert told in result.stderr.splitlines()[-1]
    assert not (tmp_path / "model").exists()
