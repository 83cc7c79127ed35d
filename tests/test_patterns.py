"""Patterns as users meet them: smaller models with the same numbers, and patterns of their own."""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path
from typing import Any

import networks
import numpy as np
import onnx
import onnxruntime
import pytensor
import pytensor.tensor as pt
import pytest
from helpers import RAW, assert_same, operators, run_model, scan

from onnx_mapper import RowError, check, explain, export, export_graph
from onnx_mapper.cli.main import main
from onnx_mapper.mapping import to_model
from onnx_mapper.model.prune import subgraphs
from onnx_mapper.rows.table import load_table

HAS_CONV2D = importlib.util.find_spec("pytensor.tensor.conv") is not None
needs_conv2d = pytest.mark.skipif(
    not HAS_CONV2D, reason="PyTensor has no AbstractConv2d after 2.36.2"
)


def numbers(*shape: int, scale: float = 1.0) -> np.ndarray:
    """Return seeded normal numbers."""
    return (np.random.default_rng(11).normal(size=shape) * scale).astype("float32")


def optimized(model: Any, folder: Path) -> list[str]:
    """Return the operators that ONNX Runtime runs after its own optimisations."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    options.log_severity_level = 4
    onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return operators(onnx.load(options.optimized_model_filepath))


CONVOLUTIONAL = {
    "LeNet": (lambda: networks.lenet(), 10),
    "ResNet-18": (lambda: networks.resnet(18, size=64), 25),
    "ResNet-50": (lambda: networks.resnet(50, size=64), 58),
    "MobileNetV2": (lambda: networks.mobilenet_v2(size=64), 56),
}


@needs_conv2d
@pytest.mark.slow
@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_convolutional_networks_are_as_small_as_by_hand(name: str, tmp_path: Path) -> None:
    """What the same network has that torch exports, after ONNX Runtime's own optimisations."""
    build, most = CONVOLUTIONAL[name]
    network = build()
    model = export_graph(network.inputs, [network.output])
    assert len(optimized(model, tmp_path)) <= most
    plain = export_graph(network.inputs, [network.output], optimize=False)
    found, expected = (run_model(m, network.array)[0] for m in (model, plain))
    assert_same([found], [expected], 1e-3, 1e-3 * float(np.abs(expected).max()))


def test_a_transformer_is_as_small_as_by_hand(tmp_path: Path) -> None:
    network = networks.bert(layers=2, width=48, heads=4, length=8)
    model = export_graph(network.inputs, [network.output])
    assert len(optimized(model, tmp_path)) <= 2 * 19
    function = pytensor.function(network.inputs, network.output, mode=RAW)
    assert_same(run_model(model, network.array), [function(network.array)], 1e-4, 1e-5)


def test_optimize_false_leaves_all_nodes(tmp_path: Path) -> None:
    x = pt.matrix("x", dtype="float32")
    w = pytensor.shared(numbers(3, 2), name="w")
    y = pt.maximum(x @ w.T.T, 0)
    assert operators(export_graph([x], [y])) == ["MatMul", "Relu"]
    model = export_graph([x], [y], optimize=False)
    assert operators(model)[-1] == "Max"
    assert {e.key: e.value for e in model.metadata_props}["onnx_mapper.optimize"] == "False"


def test_what_is_also_an_output_stays() -> None:
    x = pt.matrix("x", dtype="float32")
    inner = pt.maximum(x, -1)
    model = export_graph([x], [pt.minimum(inner, 6), inner])
    assert operators(model) == ["Max", "Min"]
    array = numbers(3, 4, scale=5)
    clipped = np.maximum(array, -1)
    assert_same(run_model(model, array), [np.minimum(clipped, 6), clipped])


def test_what_a_branch_reads_stays() -> None:
    from pytensor.ifelse import ifelse

    x, flag = pt.vector("x", dtype="float32"), pt.scalar("flag", dtype="bool")
    inner = pt.maximum(x, -1)
    model = export_graph([x, flag], [ifelse(flag, inner * 2, pt.minimum(inner, 6))])
    array = numbers(5, scale=5)
    for flag_value in (True, False):
        low = np.maximum(array, -1)
        expected = low * 2 if flag_value else np.minimum(low, 6)
        assert_same(run_model(model, array, np.array(flag_value)), [expected])


def inner_operators(model: Any) -> list[str]:
    """Return the operators of the graphs inside a model's nodes."""
    return [inner.op_type for node in model.graph.node for g in subgraphs(node) for inner in g.node]


def test_patterns_are_looked_for_in_loops() -> None:
    x, h = pt.tensor("x", dtype="float32", shape=(None, 2, 4)), pt.matrix("h", dtype="float32")
    w, b = (pytensor.shared(numbers(*shape), name="w") for shape in ((4, 4), (4,)))
    states = scan(lambda x, h: pt.maximum((x + h) @ w + b, 0), sequences=[x], outputs_info=[h])
    model = export_graph([x, h], [states])
    assert {"Gemm", "Relu"} <= set(inner_operators(model))
    assert {"Gemm", "Relu"}.isdisjoint(
        inner_operators(export_graph([x, h], [states], optimize=False))
    )
    arrays = numbers(5, 2, 4), numbers(2, 4)
    expected = pytensor.function([x, h], states, mode=RAW)(*arrays)
    assert_same(run_model(model, *arrays), [expected], 1e-5, 1e-6)
    told = [entry.case for entry in explain(model) if entry.operator == "Relu"]
    assert told, "nodes in loops are explained"
    assert all(case.endswith(" Relu") for case in told)


def test_a_loop_does_not_repeat_what_is_computed_once_before_it() -> None:
    x, h = pt.tensor("x", dtype="float32", shape=(None, 2, 4)), pt.matrix("h", dtype="float32")
    low = pt.maximum(h, -1)
    states = scan(
        lambda x, h, low: x * h + pt.minimum(low, 6),
        sequences=[x],
        outputs_info=[h],
        non_sequences=[low],
    )
    model = export_graph([x, h], [states])
    assert "Max" in operators(model)
    assert "Clip" not in inner_operators(model)
    arrays = numbers(5, 2, 4), numbers(2, 4, scale=5)
    expected = pytensor.function([x, h], states, mode=RAW)(*arrays)
    assert_same(run_model(model, *arrays), [expected], 1e-5, 1e-6)


def test_patterns_are_looked_for_in_branches() -> None:
    from pytensor.ifelse import ifelse

    x, flag = pt.vector("x", dtype="float32"), pt.scalar("flag", dtype="bool")
    ways = pt.minimum(pt.maximum(pt.exp(x), -1), 6), pt.maximum(x, 0)
    model = export_graph([x, flag], [ifelse(flag, *ways)])
    assert sorted(inner_operators(model)) == ["Clip", "Exp", "Relu"]
    array = numbers(5, scale=5)
    for chosen, expected in ((True, np.clip(np.exp(array), -1, 6)), (False, array.clip(min=0))):
        assert_same(run_model(model, array, np.array(chosen)), [expected], 1e-6)


def test_explain_names_the_pattern() -> None:
    x = pt.matrix("x", dtype="float32")
    (node,) = explain(export_graph([x], [pt.minimum(pt.maximum(x, -1), 6)]))
    assert node.operator == "Clip"
    assert node.op.startswith("pytensor.scalar.basic:")
    assert node.case.startswith("patterns.yaml:")
    assert node.case.endswith(" Clip")


def test_explain_still_names_the_op_that_took_up_others() -> None:
    x = pt.tensor("x", dtype="float32", shape=(3, 4))
    shifted = x - x.mean(axis=-1, keepdims=True)
    deviation = pt.sqrt((shifted**2).mean(axis=-1, keepdims=True) + np.float32(1e-5))
    scaled = shifted / deviation * pytensor.shared(numbers(4), name="scale")
    (node,) = explain(export_graph([x], [scaled]))
    assert node.op == "pytensor.scalar.basic:TrueDiv"
    assert node.row.startswith("elemwise.yaml:")
    assert [name.split()[-1] for name in node.case.split(", ")] == [
        "LayerNormalization",
        "ScaleOfLayerNormalization",
    ]


@needs_conv2d
def test_explain_calls_a_convolution_with_its_bias_a_convolution() -> None:
    from pytensor.tensor.conv import conv2d

    x = pt.tensor("x", dtype="float32", shape=(1, 1, 8, 8))
    w, b = pytensor.shared(numbers(3, 1, 2, 2), name="w"), pytensor.shared(numbers(3), name="b")
    (node,) = explain(export_graph([x], [conv2d(x, w) + b.dimshuffle("x", 0, "x", "x")]))
    assert node.op.endswith(":AbstractConv2d")
    assert node.row.startswith("conv.yaml:")
    assert node.case.endswith(" BiasOfConv")


def test_strict_follows_pytensor_for_nan_too() -> None:
    x = pt.tensor("x", dtype="float32", shape=(1, 1, 2, 2))
    y = pt.maximum(
        pt.maximum(x[:, :, :1, :1], x[:, :, :1, 1:]), pt.maximum(x[:, :, 1:, :1], x[:, :, 1:, 1:])
    )
    array = np.array([[[[np.nan, 1], [2, 3]]]], dtype="float32")
    strict = export_graph([x], [y], strict=True)
    assert np.isnan(run_model(strict, array)[0]).all()
    model = export_graph([x], [y])
    assert operators(model) == ["MaxPool"]
    told = {entry.key: entry.value for entry in model.metadata_props}
    assert told["onnx_mapper.deviates"] == "MaxPool"
    assert "onnx_mapper.deviates" not in {entry.key for entry in strict.metadata_props}


def test_weights_keep_their_names_as_far_as_they_are_kept() -> None:
    x = pt.matrix("x", dtype="float32")
    w, b = (pytensor.shared(numbers(*shape), name=n) for n, shape in (("w", (3, 2)), ("b", (2,))))
    model = export_graph([x], [x @ w + b])
    assert {tensor.name for tensor in model.graph.initializer} == {"w", "b_folded"}


def test_updated_weights_are_not_folded() -> None:
    x = pt.vector("x", dtype="float32")
    b = pytensor.shared(numbers(1), name="b")
    function = pytensor.function([x], x * pt.exp(b)[0], updates=[(b, b + 1)], mode=RAW)
    model = export(function)
    assert "b" in {tensor.name for tensor in model.graph.initializer}
    assert "Exp" in operators(model)


def test_large_weights_are_not_doubled() -> None:
    """An embedding that is used as it is and transposed is stored once."""
    x = pt.matrix("x", dtype="float32")
    w = pytensor.shared(numbers(300, 200), name="w")
    model = export_graph([x], [(x @ w) @ w.T])
    assert sum(np.prod(tensor.dims) for tensor in model.graph.initializer) == 300 * 200


OWN = """
- pattern: Hypot
  summary: The length of the hypotenuse.
  match: Sqrt(Add(Mul(x, x), Mul(y, y)))
  onnx: ReduceL2(Concat(Unsqueeze(x, [0]), Unsqueeze(y, [0]), axis=0), [0], keepdims=0)
  cases:
    inputs: {x: "f32[n]", y: "f32[n]"}
    graph: pt.sqrt(x * x + y * y)
    domain: {x: [-3, 3], y: [-2, 4]}
    expect: [Unsqueeze, Unsqueeze, Concat, ReduceL2]
"""


@pytest.mark.slow
def test_a_pattern_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.yaml").write_text(OWN, encoding="utf-8")
    x, y = pt.fvectors("x", "y")
    length = pt.sqrt(x * x + y * y)
    function = pytensor.function([x, y], length, mode=RAW)
    model = export(function, mappings=[tmp_path])
    assert "ReduceL2" in operators(model)
    assert "ReduceL2" not in operators(export(function))
    a, b = numbers(4), numbers(4, scale=2)
    assert_same(run_model(model, a, b), [np.hypot(a, b)], 1e-6)
    assert check(function, mappings=[tmp_path]).ok
    assert main(["test", str(tmp_path), "-j0"]) == 0
    assert "mine.yaml::Hypot: " in capsys.readouterr().out


CASES = """
  cases:
    inputs: {x: "f32[n]"}
    graph: pt.exp(x)
    expect: [Exp]
"""
WRONG = {
    "an unknown operator": ("match: Maxx(x, 0)\n  onnx: Relu(x)", 4, "no ONNX operator; did you mean Max"),
    "an unknown attribute": (
        "match: Softmax(x, axes=a)\n  onnx: x",
        4,
        "'axes' is no attribute of Softmax; it has: axis",
    ),
    "too many inputs": ("match: Relu(x, y)\n  onnx: x", 4, "Relu takes at most 1 inputs, not 2"),
    "no node": ("match: x + 1\n  onnx: x", 4, "can't be looked for: there are nodes, Max(x, 0)"),
    "a name alone": ("match: x\n  onnx: x", 4, "is no node: begin with an operator"),
    "a whole row at the end": ("match: op('Erfc', x)\n  onnx: x", 4, "is no node: begin with an operator"),
    "op without a class": ("match: Neg(op(x))\n  onnx: x", 4, "op takes the name of a PyTensor class first"),
    "attributes of a tree": ("match: Max(*xs, axis=1)\n  onnx: xs[0]", 4, "a tree of nodes has a name alone"),
    "attributes of a row": ("match: Neg(op('Exp', x, axis=1))\n  onnx: x", 4, "op takes no attributes"),
    "an unknown class": ("match: Neg(op('Expp', x))\n  onnx: x", 4, "no row is about a class 'Expp'"),
    "a name that is taken": ("match: Max(out, 0)\n  onnx: out", 4, "'out' has a meaning already"),
    "a constant for a name": ("match: Max(nan, 0)\n  onnx: Relu(0)", 4, "'nan' has a meaning already"),
    "a capital": ("match: Neg(A := Exp(x))\n  onnx: x", 4, "'A' is no name"),
    "attributes of maybe": ("match: Max(x, maybe(b, c=1))\n  onnx: x", 4, "maybe takes the name of an input"),
    "maybe something": ("match: Max(x, maybe(0))\n  onnx: x", 4, "maybe takes the name of an input"),
    "no Python": ("match: Max(x,\n  onnx: x", 4, "is no pattern"),
    "a name that it doesn't bind": ("match: Max(x, 0)\n  onnx: Relu(y)", 5, "'y' is not defined"),
    "a wrong condition": (
        "match: Max(x, 0)\n  where: [rank(z) > 1]\n  onnx: Relu(x)",
        5,
        "'z' is not defined",
    ),
    "an unknown key": ("match: Max(x, 0)\n  onnx: Relu(x)\n  needs: {x: because of that}", 6, "'needs' is not"),
    "an unknown function": ("match: Max(x, 0)\n  onnx: relu(x)", 5, "no function 'relu'"),
}  # fmt: skip


@pytest.mark.parametrize("which", WRONG)
@pytest.mark.slow
def test_a_wrong_pattern_is_told_with_its_line(which: str, tmp_path: Path) -> None:
    text, line, says = WRONG[which]
    path = tmp_path / "mine.yaml"
    path.write_text(
        f"\n- pattern: Mine\n  summary: A pattern of mine.\n  {text}{CASES}", encoding="utf-8"
    )
    x = pt.fvector("x")
    with pytest.raises(RowError) as caught:
        export_graph([x], [pt.exp(x)], mappings=[tmp_path])
    assert f"mine.yaml:{line}: " in str(caught.value)
    assert says in str(caught.value)


def test_a_pattern_needs_cases_that_show_it(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    head = "- pattern: Mine\n  summary: A pattern.\n  match: Max(x, 0)\n  onnx: Relu(x)\n"
    for cases, says in (
        ("", "'cases' is missing"),
        ("  cases: {inputs: {x: f32}, expect: [Relu]}\n", "no `graph`"),
        ("  cases: {inputs: {x: f32}, graph: pt.exp(x)}\n", "no `expect`"),
    ):
        path.write_text(head + cases, encoding="utf-8")
        x = pt.fvector("x")
        with pytest.raises(RowError, match=says.replace("`", ".")):
            export_graph([x], [pt.exp(x)], mappings=[tmp_path])


def mine(folder: Path, *patterns: tuple[str, str]) -> Path:
    """Write patterns, each what it looks for and what that becomes, and return their file."""
    path = folder / "mine.yaml"
    path.write_text(
        "".join(
            f"- pattern: Mine{number}\n  summary: A pattern.\n  match: {match}\n  onnx: {onnx}\n"
            '  cases: {inputs: {x: "f32[n]"}, graph: pt.exp(x), expect: [Exp]}\n'
            for number, (match, onnx) in enumerate(patterns)
        ),
        encoding="utf-8",
    )
    return path


@pytest.mark.slow
def test_a_pattern_that_gives_something_else_has_no_effect(tmp_path: Path) -> None:
    """Another dtype or shape than before is never let into a model."""
    for body in ("Cast(x, to='float64')", "Unsqueeze(x, [0])", "ReduceSum(x, [0])"):
        path = mine(tmp_path, ("Exp(x)", body))
        x = pt.fvector("x")
        assert operators(export_graph([x], [pt.exp(x)], mappings=[path])) == ["Exp"]


def test_a_pattern_that_gives_no_tensor(tmp_path: Path) -> None:
    path = mine(tmp_path, ("Exp(x)", "rank(x)"))
    x = pt.fvector("x")
    with pytest.raises(RowError, match=r"mine.yaml:4: .*can't take the place of a node"):
        export_graph([x], [pt.exp(x)], mappings=[path])


def test_patterns_that_feed_each_other_come_to_an_end(tmp_path: Path) -> None:
    path = mine(tmp_path, ("Ceil(x)", "Floor(x)"), ("Floor(x)", "Ceil(x)"))
    x = pt.fvector("x")
    (found,) = operators(export_graph([x], [pt.ceil(x)], mappings=[path]))
    assert found in ("Ceil", "Floor")


@pytest.mark.slow
def test_a_long_chain_of_patterns_is_no_recursion() -> None:
    x = pt.fvector("x")
    y = x
    for _ in range(2_000):
        y = pt.maximum(pt.sin(y), 0)
    model = export(pytensor.graph.fg.FunctionGraph([x], [y], clone=True))
    assert operators(model).count("Relu") == 2_000


def test_patterns_in_float32_models() -> None:
    """A float64 graph becomes float32 first: its patterns are float32's."""
    x = pt.dmatrix("x")
    y = x * 0.5 * (1 + pt.erf(x / np.sqrt(2.0)))
    model = export_graph([x], [y], dtype="float32")
    assert operators(model) == ["Gelu"]
    array = numbers(3, 4, scale=3)
    (found,) = run_model(model, array)
    function = pytensor.function([x], y, mode=RAW)
    np.testing.assert_allclose(found, function(array), atol=1e-6)


SHIPPED_AND_WRONG = """
- pattern: Wrong
  summary: A pattern that asks for the third size of a matrix.
  match: Exp(x)
  where: ["dims(x)[2] == 1"]
  onnx: Exp(x)
  cases: {inputs: {x: "f32[n,2]"}, graph: pt.exp(x), expect: [Exp]}
"""


def test_a_pattern_of_the_package_that_fails_stops_no_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(SHIPPED_AND_WRONG, encoding="utf-8")
    x = pt.fmatrix("x")
    with pytest.raises(RowError, match=r"wrong\.yaml:5"):
        export_graph([x], [pt.exp(x)], mappings=[path])
    table = load_table([path])
    shipped = tuple(dataclasses.replace(row, shipped=True) for row in table.patterns)
    monkeypatch.setattr(
        to_model, "load_table", lambda mappings: dataclasses.replace(table, patterns=shipped)
    )
    assert operators(export_graph([x], [pt.exp(x)])) == ["Exp"]
    assert "left out the pattern wrong.yaml:2 Wrong: wrong.yaml:5" in caplog.text


def test_an_attempt_that_comes_to_nothing_leaves_nothing(tmp_path: Path) -> None:
    """A node that was made for a pattern that then had no effect is no equal of a later one."""
    path = mine(tmp_path, ("Exp(x)", "Unsqueeze(Sin(x), [0])"))
    x = pt.fvector("x")
    model = export_graph([x], [pt.exp(x), pt.sin(x)], mappings=[path])
    assert operators(model) == ["Exp", "Sin"]
    array = numbers(4)
    assert_same(run_model(model, array), [np.exp(array), np.sin(array)], 1e-6)


def test_infinity_is_a_number_in_a_pattern(tmp_path: Path) -> None:
    path = mine(tmp_path, ("Min(x, inf)", "x"))
    x = pt.fvector("x")
    unbounded, bounded = (pt.minimum(x, np.float32(number)) for number in (np.inf, 2))
    assert operators(export_graph([x], [pt.exp(unbounded)], mappings=[path])) == ["Exp"]
    assert operators(export_graph([x], [bounded], mappings=[path])) == ["Min"]


def test_integers_may_be_negative_whatever_they_are_made_of() -> None:
    """Sums, products and absolute values of integers wrap around."""
    x = pt.tensor("x", shape=(None,), dtype="int8")
    array = np.array([100, 3, -128], dtype="int8")
    y = abs(abs(x) + abs(x))
    function = pytensor.function([x], y, mode=RAW)
    assert_same(run_model(export_graph([x], [y]), array), [function(array)])


def test_what_may_trade_places_is_no_affair_of_a_users_file(tmp_path: Path) -> None:
    """It would reach the package's own patterns: k - conv would be taken for conv - k."""
    path = tmp_path / "mine.yaml"
    path.write_text("- defaults: What they share.\n  commutative: [Sub]\n", encoding="utf-8")
    x = pt.fvector("x")
    with pytest.raises(RowError, match=r"mine\.yaml:2: .*commutative"):
        export_graph([x], [pt.exp(x)], mappings=[path])
