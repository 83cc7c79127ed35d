"""Rows that are known to be wrong: the cases must catch every one of them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from onnx_mapper.conformance.run.oracle import FAILED, PASSED, run_item
from onnx_mapper.conformance.subject import find_subject

CONVOLUTION = """
- op: pytensor.tensor.conv.abstract_conv:AbstractConv2d
  summary: Convolve images with kernels.
  inputs: [image, kernel]
  let:
    extent: (dims(kernel)[2:] - 1) * filter_dilation + 1
  onnx: Conv(image, kernel)
  attributes:
    subsample: {to: strides}
    filter_dilation: {to: dilations}
    num_groups: {to: group}
    border_mode:
      to: pads
      table:
        valid: both_sides(0 * extent)
        half: both_sides(extent // 2)
        full: both_sides(extent - 1)
      otherwise: {hook: asymmetric_padding}
    filter_flip: {rewrite: {kernel: {hook: flip}}}
    convdim: {require: 2, because: This class convolves over two axes.}
    unshared: {require: false, because: ONNX has no locally connected convolution.}
    imshp: {ignore: A hint; shapes come from the graph.}
    kshp: {ignore: A hint; shapes come from the graph.}
  cases:
    inputs: {image: "f32[2,4,9,8]", kernel: "f32[6,4//num_groups,3,2]"}
    static: [kernel]
    grid:
      border_mode: [valid, half, full, [1, 1], [2, 0], [[1, 2], [0, 1]], [1, [0, 2]]]
      filter_flip: [true, false]
      subsample: [[1, 1], [2, 3]]
      filter_dilation: [[1, 1], [2, 1]]
      num_groups: [1, 2]
    domain: {image: [-3, 4], kernel: [-2, 3]}
    tolerance: {ulps: 16, of: largest, because: Sums of many products in another order.}
    refuse:
      - {graph: "op(unshared=True)(image, pt.zeros((7, 7, 6, 4, 3, 2)))", says: locally connected}
"""

BY_AXIS = "flat([side if is_vector(side) else [side, side] for side in border_mode])"

CONVOLUTION_LIES = {
    "kernel not flipped": (
        "filter_flip: {rewrite: {kernel: {hook: flip}}}",
        "filter_flip: {ignore: Surely a convolution is a convolution.}",
    ),
    "half is SAME_UPPER": (
        ("onnx: Conv(image, kernel)", "half: both_sides(extent // 2)"),
        (
            "onnx: \"Conv(image, kernel, auto_pad='SAME_UPPER' if border_mode == 'half' else None)\"",
            'half: "None"',
        ),
    ),
    "strides and dilations exchanged": (
        ("to: strides", "to: dilations", "to: swapped"),
        ("to: swapped", "to: strides", "to: dilations"),
    ),
    "pads by axis": ("otherwise: {hook: asymmetric_padding}", f'otherwise: "{BY_AXIS}"'),
    "valid is half": ("valid: both_sides(0 * extent)", "valid: both_sides(extent // 2)"),
    "groups forgotten": ("num_groups: {to: group}", "num_groups: {ignore: It is mostly one.}"),
    "unshared forgotten": (
        "unshared: {require: false, because: ONNX has no locally connected convolution.}",
        "unshared: {ignore: It is mostly false.}",
    ),
}

SCALAR = """
- family: Scalar ops
  op: "pytensor.scalar.{module}:*"
  inputs: {inputs}
  promote: dtype(out)
  cases: {cases}
  rows:
    {name}: "{body}"
"""

# An integer divided by 0, or the smallest by -1, ends the process: that is another mistake.
TRUNCATED = (
    "Mul(Div(x, Where(Or(Equal(y, 0), Equal(y, -1)), 1, y)), "
    "Where(Equal(y, -1), -1, Where(Equal(y, 0), 0, 1)))"
)
DIVISION_CASES = (
    '{inputs: {x: "T[n]", y: "T[n]"}, dtypes: {T: int32}, domain: {x: [-99, 99], y: [-9, 9]}}'
)

SCALAR_LIES = {
    "rounds halves to even": ("basic", "[x]", "{}", "RoundHalfAwayFromZero", "Round(x)"),
    "log1p by way of 1 + x": (
        "basic",
        "[x]",
        "{domain: {x: [-0.9, 9]}}",
        "Log1p",
        "Log(Add(x, 1))",
    ),
    "expm1 by way of exp": ("basic", "[x]", "{domain: {x: [-9, 9]}}", "Expm1", "Sub(Exp(x), 1)"),
    "sigmoid without a tail": ("math", "[x]", "{}", "Sigmoid", "Sigmoid(x)"),
    "integers divided with truncation": ("basic", "[x, y]", DIVISION_CASES, "IntDiv", TRUNCATED),
    "maximum loses NaN": (
        "basic",
        "[x, y]",
        "{dtypes: {T: floats}}",
        "Maximum",
        "Where(Less(x, y), y, x)",
    ),
}


def write(folder: Path, text: str) -> Path:
    path = folder / "planted.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def statuses(path: Path) -> list[str]:
    subject = find_subject([path])
    (items,) = subject.items().values()
    return [run_item(item, subject.table).status for item in items]


needs_conv2d = pytest.mark.skipif(
    importlib.util.find_spec("pytensor.tensor.conv") is None, reason="no AbstractConv2d here"
)


@needs_conv2d
def test_true_convolution_passes(tmp_path):
    assert set(statuses(write(tmp_path, CONVOLUTION))) == {PASSED}


@needs_conv2d
@pytest.mark.parametrize("lie", CONVOLUTION_LIES)
def test_wrong_convolution_is_caught(lie, tmp_path):
    olds, news = CONVOLUTION_LIES[lie]
    text = CONVOLUTION
    several = isinstance(olds, str) or isinstance(news, str)
    for old, new in [(str(olds), str(news))] if several else zip(olds, news, strict=True):
        assert old in text
        text = text.replace(old, new)
    assert FAILED in statuses(write(tmp_path, text))


def scalar_row(module, inputs, cases, name, body):
    text = SCALAR.replace("{module}", module).replace("{inputs}", inputs)
    return text.replace("{cases}", cases).replace("{name}", name).replace("{body}", body)


@pytest.mark.parametrize("lie", SCALAR_LIES)
@pytest.mark.slow
def test_wrong_scalar_row_is_caught(lie, tmp_path):
    assert FAILED in statuses(write(tmp_path, scalar_row(*SCALAR_LIES[lie])))


def test_true_scalar_row_passes(tmp_path):
    row = scalar_row("basic", "[x]", "{dtypes: {T: floats}}", "Exp", "Exp(x)")
    assert set(statuses(write(tmp_path, row))) == {PASSED}
