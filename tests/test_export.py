"""`export` and `export_graph`: names, shapes, shared variables, odd graphs, impossible requests."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytensor
import pytensor.tensor as pt
import pytest
import scipy.linalg
from helpers import RAW, assert_same, exported_like_pytensor, operators, run_model
from pytensor.compile.ops import FromFunctionOp
from pytensor.graph.fg import FunctionGraph

from onnx_mapper import InvalidRequest, Refused, check, explain, export, export_graph

RNG = np.random.default_rng(7)


def numbers(*shape: int, dtype: str = "float32") -> np.ndarray:
    return RNG.normal(size=shape).astype(dtype)


def function(inputs: list[Any], outputs: Any, **options: Any) -> Any:
    return pytensor.function(inputs, outputs, mode=RAW, on_unused_input="ignore", **options)


def names(ports: Any) -> list[str]:
    return [port.name for port in ports]


def dims(port: onnx.ValueInfoProto) -> list[int | str]:
    return [dim.dim_param or dim.dim_value for dim in port.type.tensor_type.shape.dim]


def named(variable: Any, name: str) -> Any:
    variable.name = name
    return variable


# Names


def test_names_are_the_users_exactly() -> None:
    x, w = pt.fmatrix("my input/0"), pytensor.shared(numbers(3, 2), "layer.0.weight")
    hidden = named(x @ w, "hidden")
    model = export(function([x], named(pt.tanh(hidden), "y:out")))
    assert names(model.graph.input) == ["my input/0"]
    assert names(model.graph.output) == ["y:out"]
    assert names(model.graph.initializer) == ["layer.0.weight"]
    assert "hidden" in [output for node in model.graph.node for output in node.output]


def test_unnamed_variables_get_numbered_names() -> None:
    x, y = pt.fvector(), pt.fvector()
    model = export(function([x, y], [x + y, x * y]))
    assert names(model.graph.input) == ["input_0", "input_1"]
    assert names(model.graph.output) == ["output_0", "output_1"]


def test_names_can_be_given() -> None:
    x, y = pt.fvector("x"), pt.fvector("y")
    model = export(function([x, y], x + y), input_names=["a", "b"], output_names=["sum"])
    assert names(model.graph.input) == ["a", "b"]
    assert names(model.graph.output) == ["sum"]
    with pytest.raises(InvalidRequest, match="input_names has 1 names, and the function has 2"):
        export(function([x, y], x + y), input_names=["a"])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ([pt.fvector("x"), pt.fvector("x")], None), "input 1 and input 0.*'x'"),
        (lambda: ([pt.fvector("x")], "x"), "output 0 and input 0.*'x'"),
    ],
)
def test_clashes_name_both_sides(build: Any, message: str) -> None:
    inputs, output_name = build()
    output = named(inputs[0] + inputs[-1], output_name)
    with pytest.raises(InvalidRequest, match=message):
        export(function(inputs, output))


def test_an_input_named_like_a_shared_variable_is_an_error_with_a_way_out() -> None:
    x, w = pt.fvector("w"), pytensor.shared(numbers(3), "w")
    f = function([x], x + w)
    with pytest.raises(InvalidRequest, match=r"the shared variable w and input 0.*input_names"):
        export(f)
    model = export(f, input_names=["x"])
    assert names(model.graph.initializer) == ["w"]


def test_shared_variables_of_one_name_are_numbered() -> None:
    x = pt.fvector("x")
    v, w = pytensor.shared(numbers(3), "W"), pytensor.shared(numbers(3), "W")
    model = exported_like_pytensor([x], [x * v - w], [numbers(3)])
    assert sorted(names(model.graph.initializer)) == ["W", "W_1"]


def test_outputs_of_one_name_are_numbered() -> None:
    x = pt.fmatrix("x")
    assert pt.mean(x, axis=0).name == pt.mean(x, axis=1).name  # PyTensor's choice, not the user's
    outputs = [x.mean(axis=0), x.mean(axis=1), named(x + 1, "mean_1")]
    model = exported_like_pytensor([x], outputs, [numbers(3, 4)], 1e-6)
    assert names(model.graph.output) == ["mean", "mean_2", "mean_1"]
    with pytest.raises(InvalidRequest, match="output 1 and output 0 are both named 'a'"):
        export(function([x], outputs[:2]), output_names=["a", "a"])


# Odd graphs


def test_one_variable_as_input_and_output() -> None:
    x = pt.fvector("x")
    model = exported_like_pytensor([x], [x, x * 2], [numbers(3)])
    assert names(model.graph.input) == ["x"]
    assert names(model.graph.output)[0] == "x_output"


def test_constant_output() -> None:
    x = pt.fvector("x")
    exported_like_pytensor([x], [pt.constant(numbers(2, 3)), x + 1], [numbers(3)])


def test_two_outputs_that_are_one_variable() -> None:
    x = pt.fvector("x")
    y = named(x + 1, "y")
    model = exported_like_pytensor([x], [y, y], [numbers(3)])
    assert len(set(names(model.graph.output))) == 2
    assert names(model.graph.output)[0] == "y"


def test_shared_variable_as_output() -> None:
    x, w = pt.fvector("x"), pytensor.shared(numbers(3), "w")
    exported_like_pytensor([x], [w, x + w], [numbers(3)])


def test_unused_inputs_stay_inputs() -> None:
    x, y = pt.fvector("x"), pt.fmatrix("y")
    model = export(function([x, y], x + 1))
    assert names(model.graph.input) == ["x", "y"]
    assert_same(
        run_model(model, np.array([1], dtype="float32"), numbers(2, 2)),
        [np.array([2], dtype="float32")],
    )


def test_no_unused_initializers_and_no_duplicated_constants() -> None:
    x = pt.fmatrix("x")
    model = export(
        pytensor.function(
            [x], x.dimshuffle(0, "x", 1) + 2.5 - np.float32(2.5) * x.dimshuffle(0, "x", 1), mode=RAW
        )
    )
    read = {name for node in model.graph.node for name in node.input}
    arrays = [onnx.numpy_helper.to_array(i) for i in model.graph.initializer]
    assert {i.name for i in model.graph.initializer} <= read
    assert len({(a.dtype, a.shape, a.tobytes()) for a in arrays}) == len(arrays)


def test_function_graph_and_several_outputs() -> None:
    x, y = pt.fmatrix("x"), pt.fmatrix("y")
    graph = FunctionGraph([x, y], [x @ y, x - 1], clone=True)
    assert_same(
        run_model(export(graph), np.eye(3, dtype="f4"), np.ones((3, 2), "f4")),
        [np.ones((3, 2), "f4"), np.eye(3, dtype="f4") - 1],
    )


def test_givens_and_scalar_shared_variables() -> None:
    x, scale = pt.fvector("x"), pt.fscalar("scale")
    f = function([x], x * scale, givens={scale: np.float32(3)})
    assert_same(
        run_model(export(f), np.array([1, 2], dtype="float32")), [np.array([3, 6], dtype="float32")]
    )


def test_updates_are_outputs_and_their_states_can_be_fed() -> None:
    x, state = pt.fvector("x"), pytensor.shared(np.array([1, 2], dtype="float32"), "state")
    f = function([x], named(x + state, "y"), updates=[(state, state + x)])
    model = export(f)
    assert names(model.graph.output) == ["y", "state_next"]
    (y, after) = run_model(model, np.array([10, 20], dtype="float32"))
    np.testing.assert_array_equal(y, [11, 22])
    np.testing.assert_array_equal(after, [11, 22])
    again = run_model(model, np.array([10, 20], dtype="float32"), after)
    np.testing.assert_array_equal(again[0], [21, 42])
    np.testing.assert_array_equal(state.get_value(), [1, 2])


def test_exporting_changes_nothing_of_the_users() -> None:
    x, w = pt.fvector("x"), pytensor.shared(numbers(3), "w")
    y = pt.log(1 + pt.exp(x * w))
    before, kept = pytensor.printing.debugprint(y, file="str"), w.get_value()
    f = pytensor.function([x], y)
    compiled = pytensor.printing.debugprint(f, file="str")
    export(f)
    export_graph([x], [y])
    assert pytensor.printing.debugprint(y, file="str") == before
    assert pytensor.printing.debugprint(f, file="str") == compiled
    np.testing.assert_array_equal(w.get_value(), kept)


# Shapes and dtypes


def test_static_sizes_stay_and_unknown_ones_get_names() -> None:
    x = pt.tensor("x", dtype="float32", shape=(None, 3, None))
    model = export(function([x], named(x * 2, "y")))
    assert dims(model.graph.input[0]) == ["x_0", 3, "x_2"]
    assert dims(model.graph.output[0]) == ["x_0", 3, "x_2"]


def test_sizes_can_be_named_or_fixed() -> None:
    x = pt.tensor("x", dtype="float32", shape=(None, 3, None))
    f = function([x], x * 2)
    model = export(f, dims={"x": ("batch", None, 5)})
    assert dims(model.graph.input[0]) == ["batch", 3, 5]
    with pytest.raises(InvalidRequest, match="is 4, but the size is 3"):
        export(f, dims={"x": ("batch", 4, 5)})
    with pytest.raises(InvalidRequest, match="must have 3 entries"):
        export(f, dims={"x": ("batch",)})
    with pytest.raises(InvalidRequest, match=r"names 'z', which is no input; there are: x"):
        export(f, dims={"z": ("batch",)})


def test_sizes_of_one_name_are_equal_and_no_other() -> None:
    """A name that the user gives to y's sizes is none of those that x's sizes get by themselves."""
    x, y = pt.dmatrix("x"), pt.dmatrix("y")
    model = export_graph([x, y], [pt.tanh(x) * 2, pt.tanh(y) * 2], dims={"y": ("x_0", "x_1")})
    names = [[d.dim_param for d in p.type.tensor_type.shape.dim] for p in model.graph.input]
    assert names == [["x_0_1", "x_1_1"], ["x_0", "x_1"]]
    for shapes in (((3, 4), (5, 2)), ((7, 2), (1, 9))):
        arrays = [numbers(*shape, dtype="float64") for shape in shapes]
        assert_same(run_model(model, *arrays), [np.tanh(a) * 2 for a in arrays], 1e-12)


def test_mixed_dtypes_are_upcast_as_pytensor_does() -> None:
    x, n = pt.fvector("x"), pt.lvector("n")
    b = pt.vector("b", dtype="int8")
    arrays = [numbers(4), np.arange(4), np.array([100, 100, -128, 3], dtype="int8")]
    exported_like_pytensor([x, n, b], [x + n, b + b, x * b, n / n.sum(), n > x], arrays)


@pytest.mark.parametrize("opset", [18, 21, 28])
def test_every_opset_has_its_ir_version(opset: int) -> None:
    x = pt.fvector("x")
    model = export(function([x], pt.exp(x)), opset=opset)
    assert model.opset_import[0].version == opset
    assert model.ir_version == {18: 8, 21: 10, 28: 14}[opset]
    assert_same(run_model(model, np.array([0], dtype="float32")), [np.array([1], dtype="float32")])


def test_a_float32_model_takes_and_gives_float32() -> None:
    x, w = pt.dmatrix("x"), pytensor.shared(numbers(3, 2, dtype="float64"), "w")
    f = function([x], [pt.tanh(x @ w) + 1.5, x.argmax(axis=1)])
    model = export(f, dtype="float32")
    kinds = {port.type.tensor_type.elem_type for port in (*model.graph.input, *model.graph.output)}
    assert kinds == {onnx.TensorProto.FLOAT, onnx.TensorProto.INT64}
    assert all(i.data_type != onnx.TensorProto.DOUBLE for i in model.graph.initializer)
    array = numbers(4, 3)
    found = run_model(model, array)
    expected = f(array.astype("float64"))
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-5)
    np.testing.assert_array_equal(found[1], expected[1])


# Requests that can't be met


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"opset": 17}, "opset is 17; it must be 18 to 28"),
        ({"opset": 99}, "opset is 99"),
        ({"dtype": "float8"}, "dtype is 'float8'; it must be"),
        ({"mappings": ["no such folder"]}, "does not exist"),
    ],
)
def test_impossible_options(options: Any, message: str) -> None:
    x = pt.fvector("x")
    with pytest.raises(InvalidRequest, match=message):
        export(function([x], x + 1), **options)


def test_what_is_no_function_is_refused_with_what_to_do() -> None:
    x = pt.fvector("x")
    with pytest.raises(InvalidRequest, match=r"call export_graph\(inputs, outputs\)"):
        export(x + 1)
    with pytest.raises(InvalidRequest, match="the graph needs x, which is not among the inputs"):
        export_graph([], [x + 1])
    with pytest.raises(InvalidRequest, match="no output"):
        export_graph([x], [])


def opaque(name: str, *outputs: Any) -> Any:
    """Return an op that is Python code, which no row can see into."""

    def code(x: Any) -> Any:
        return [np.zeros((1,) * of.ndim) for of in outputs]

    code.__name__ = name
    return FromFunctionOp(code, [pt.dmatrix], list(outputs), None)


def test_all_refusals_come_at_once_grouped() -> None:
    """Invariant 5: every op that stands in the way, with its count, the row and the reason."""
    x = pt.dmatrix("x")
    spectrum = opaque("spectrum", pt.dvector)
    a, b = spectrum(x), spectrum(x + 1)
    f = function([x], [a, b, pt.linalg.eig(x)[0], pt.exp(x)])
    with pytest.raises(Refused) as caught:
        export(f)
    assert len(caught.value.refusals) == 2
    twice = next(r for r in caught.value.refusals if "spectrum" in str(r))
    assert any("Eig" in str(r) for r in caught.value.refusals)
    assert twice.count == 2
    assert "x" in twice.variables
    report = check(f)
    assert not report.ok
    assert report.refusals == caught.value.refusals
    assert "spectrum" in str(report)


def test_check_of_a_function_that_converts() -> None:
    x = pt.fvector("x")
    assert check(function([x], x + 1)).ok


# Same function, same bytes


PROGRAM = """
import sys, hashlib
import numpy as np, pytensor, pytensor.tensor as pt
from onnx_mapper import export, export_graph
rng = np.random.default_rng(0)
x, t = pt.fmatrix("x"), pt.fmatrix("t")
w = [pytensor.shared(rng.normal(size=s).astype("f4"), f"w{i}") for i, s in enumerate([(5, 7), (7, 3)])]
h = pt.tanh(x @ w[0])
y = pt.special.softmax(h @ w[1] + 1.0, axis=-1)
loss = -(t * pt.log(y)).sum(axis=1).mean()
outputs = [y, loss]
digest = hashlib.sha256()
mode = None if sys.argv[1] == "default" else sys.argv[1]
function = pytensor.function([x, t], outputs, mode=mode)
digest.update(export(function).SerializeToString())
digest.update(export_graph([x, t], outputs).SerializeToString())
print(digest.hexdigest())
"""


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["default", "FAST_COMPILE"])
def test_same_function_same_bytes_in_another_process_under_another_hash_seed(
    tmp_path: Path, mode: str
) -> None:
    """Invariant 4."""
    script = tmp_path / "program.py"
    script.write_text(textwrap.dedent(PROGRAM))
    digests = set()
    for seed in ("1", "2", "77"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, str(script), mode],
            env=environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        digests.add(done.stdout.strip().splitlines()[-1])
    assert len(digests) == 1


def test_equal_nodes_are_made_once() -> None:
    x, n = pt.fvector("x"), pt.lvector("n")
    model = export(function([x, n], [(x + n) * (x - n)]))
    assert operators(model).count("Cast") == 2


def test_large_constants_are_one_where_all_their_numbers_are_equal() -> None:
    x = pt.dmatrix("x")
    first = numbers(120, 90, dtype="float64")
    other = first.copy()
    other[3, 7] += 1
    for second, count in ((first.copy(), 1), (other, 2)):
        model = export_graph([x], [pt.tanh(x * first) - pt.exp(x * second)])
        large = [w for w in model.graph.initializer if list(w.dims) == [120, 90]]
        assert len(large) == count
        array = numbers(120, 90, dtype="float64")
        expected = np.tanh(array * first) - np.exp(array * second)
        assert_same(run_model(model, array), [expected], 1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("count", [41, 120])
@pytest.mark.parametrize("combine", [pt.add, pt.mul], ids=["sum", "product"])
def test_sums_and_products_of_many_terms(combine: Any, count: int) -> None:
    x = pt.dvector("x")
    y = combine(*[pt.cos(x + i) + 2 for i in range(count)])
    array = numbers(3, dtype="float64")
    parts = [np.cos(array + i) + 2 for i in range(count)]
    expected = np.sum(parts, axis=0) if combine is pt.add else np.prod(parts, axis=0)
    for model in (export_graph([x], [y]), export(function([x], y))):
        assert_same(run_model(model, array), [expected], 1e-12)


@pytest.mark.parametrize("zero", [0.0, np.zeros(1)], ids=["number", "vector"])
def test_a_known_zero_over_something(zero: Any) -> None:
    """PyTensor 2's rewriting never ended on it where it inferred no sizes."""
    x = pt.dvector("x")
    array = numbers(3, dtype="float64")
    for model in (export_graph([x], [zero / x]), export(function([x], zero / x))):
        assert_same(run_model(model, array), [np.zeros(3)], 0.0)


@pytest.mark.slow
def test_ten_thousand_terms() -> None:
    terms = [pt.dvector(f"x{i}") for i in range(10_000)]
    graph = FunctionGraph(terms, [pt.add(*terms)], clone=False)
    assert operators(export(graph, optimize=False)) == ["Add"] * 9_999
    model = export(graph)
    assert operators(model) == ["Sum"]
    arrays = numbers(10_000, 2, dtype="float64")
    assert_same(run_model(model, *arrays), [arrays.sum(axis=0)], 1e-12, 1e-10)


@pytest.mark.slow
def test_the_gradient_of_a_weight_that_is_used_many_times() -> None:
    """PyTensor adds up what each use contributes, in one sum."""
    w, x = pt.dvector("w"), pt.dmatrix("x")
    loss = sum(pt.tanh(x[i] * w).sum() ** 2 for i in range(60))
    arrays = numbers(3, dtype="float64"), numbers(60, 3, dtype="float64")
    gradient = pt.grad(loss, w)
    expected = function([w, x], [gradient])(*arrays)
    for model in (export_graph([w, x], [gradient]), export(pytensor.function([w, x], [gradient]))):
        assert_same(run_model(model, *arrays), expected, 1e-10)


def test_many_matrices_on_a_diagonal() -> None:
    matrices = [pt.dmatrix(f"m{i}") for i in range(45)]
    arrays = [numbers(1 + i % 3, 1 + i % 2, dtype="float64") for i in range(45)]
    model = export_graph(matrices, [pt.linalg.block_diag(*matrices)])
    assert_same(run_model(model, *arrays), [scipy.linalg.block_diag(*arrays)], 0)


def test_a_rewrite_of_pytensors_that_raises_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    """`local_useless_subtensor` fails an assertion where a slice ends at an unsigned number."""
    x, n = pt.dmatrix("x"), pt.scalar("n", dtype="uint8")
    doubled = pytensor.scan(lambda row: row * 2, sequences=[x])[0]
    model = export_graph([x, n], [x[:n], doubled])  # sizes are inferred where there is a loop
    array = numbers(4, 2, dtype="float64")
    assert_same(run_model(model, array, np.array(3, "uint8")), [array[:3], array * 2], 0)
    assert "left out PyTensor's rewrite local_useless_subtensor at Subtensor" in caplog.text


def test_a_state_that_nothing_reads_has_its_default() -> None:
    x = pt.dvector("x")
    state = pytensor.shared(np.zeros(3), name="state")
    keep = function([x], x.sum(), updates=[(state, x)])
    model = export(keep)
    array = numbers(3, dtype="float64")
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    assert_same(session.run(None, {"x": array}), [array.sum(), array], 1e-12)


def test_refusals_that_follow_from_others_are_not_told() -> None:
    """What stands in for a refused result may fit nowhere: that says nothing of what reads it."""
    x = pt.dmatrix("x")
    values, vectors = opaque("spectrum", pt.dvector, pt.dmatrix)(x)
    scaled = vectors * pt.sqrt(values)[None, :]
    graph = [scaled.T @ scaled, opaque("summary", pt.dvector)(scaled)]
    found = check(FunctionGraph([x], graph, clone=False)).refusals
    told = sorted(refusal.op for refusal in found)
    assert ["spectrum" in told[0], "summary" in told[1], len(told)] == [True, True, 2]
    assert not any("yaml" in refusal.reason for refusal in found)


def test_check_is_asked_about_the_export_that_is_meant() -> None:
    x = pt.dvector("x")
    draws = function([x], pt.random.normal(x, 1.0))
    assert not check(draws).ok
    assert check(draws, random="input").ok
    z = pt.zmatrix("z")
    d = pt.dmatrix("d")
    several = function([z, d], [pt.exp(z), opaque("spectrum", pt.dvector)(d), pt.linalg.eig(d)[0]])
    told = [(r.op, r.row) for r in check(several).refusals]
    assert told[0] == ("the input 'z'", "no row")
    assert len(told) == 3
    assert told[1][1].endswith(" FromFunctionOp")


@pytest.mark.parametrize("size", [-1, "", True, 1.5])
def test_sizes_that_can_not_be(size: Any) -> None:
    x = pt.fmatrix("x")
    with pytest.raises(InvalidRequest, match=r"dims\['x'\]\[0\] is a name, a size from 0 on"):
        export_graph([x], [pt.exp(x)], dims={"x": (size, 3)})


def test_sizes_in_dims_are_known_sizes() -> None:
    """Also where another size of the tensor stays open, and as NumPy's integers."""
    x = pt.fmatrix("x")
    known = pt.tensor("x", shape=(4, None), dtype="float32")
    named = export_graph([x], [x.mean(axis=0)], dims={"x": (np.int64(4), "c")}, dtype="float32")  # type: ignore[dict-item]
    static = export_graph([known], [known.mean(axis=0)], dtype="float32")
    assert operators(named) == operators(static) == ["ReduceMean"]


WRONG_KINDS: dict[str, tuple[Any, str]] = {
    "an opset for a path": (lambda f: export(f, 18), "a path is the name of a file"),  # type: ignore[arg-type]
    "an empty path": (lambda f: export(f, ""), "a path is the name of a file"),
    "a text for mappings": (lambda f: export(f, mappings="rows"), r"write mappings=\['rows'\]"),
    "variables for lists": (
        lambda f: export_graph(pt.fvector("x"), pt.fvector("y")),
        r"inputs is a TensorVariable: write export_graph\(\[x\], \[y\]\)",
    ),
    "a number for a model": (lambda f: explain(3), "a model is a ModelProto or the path of a file"),  # type: ignore[arg-type]
    "an opset that is none": (lambda f: export(f, opset="18"), "it must be a whole number"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("which", WRONG_KINDS)
def test_arguments_of_the_wrong_kind(which: str) -> None:
    call, says = WRONG_KINDS[which]
    x = pt.fvector("x")
    with pytest.raises(InvalidRequest, match=says):
        call(function([x], x * 2))
