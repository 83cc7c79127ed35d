import importlib.util
import itertools
import os
import platform
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from onnx_mapper.model import kernels as kernels_module
from onnx_mapper.model.kernels import RUNTIMES, kernel_table

kernels = kernel_table()

TOOL = Path(__file__).parents[1] / "tools" / "generate_kernels.py"
DTYPES = (
    *("bool", "float16", "float32", "float64"),
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
)
OPSETS = (18, 21, 28)
IR_VERSIONS = {18: 8, 21: 10, 28: 13}

# Operators whose kernels differ by dtype, by opset or by combination -> required attributes.
SAMPLE: dict[str, dict[str, Any]] = {
    **{name: {} for name in ("Add", "Where", "Tan", "Erf", "Round", "Pow", "MatMul", "Gemm")},
    **{name: {} for name in ("ReduceMax", "ReduceLogSumExp", "ArgMax", "CumSum", "TopK", "Unique")},
    **{name: {} for name in ("Softmax", "Softplus", "HardSwish", "Mish", "Relu", "PRelu", "Celu")},
    **{name: {} for name in ("NonZero", "Trilu", "Tile", "Gather", "GatherND", "Reshape", "Range")},
    **{name: {} for name in ("Identity", "Clip", "Pad", "Compress", "ConvInteger", "Shape")},
    **{name: {} for name in ("GridSample", "Mean", "ReduceLogSum", "SequenceErase")},
    **{name: {"kernel_shape": [2, 2]} for name in ("Conv", "AveragePool", "MaxPool")},
    "BitShift": {"direction": "LEFT"},
    "Concat": {"axis": 0},
    "Einsum": {"equation": "ij,jk->ik"},
}


def since(operator, opset):
    return onnx.defs.get_schema(operator, opset).since_version


@pytest.mark.parametrize(
    ("operator", "opset", "dtype", "expected"),
    [
        ("Conv", 21, "float32", True),
        ("Conv", 21, "float64", False),
        ("Add", 21, "float64", True),
        ("Tan", 21, "float32", True),
        ("Tan", 21, "float64", False),
        ("Where", 21, "float64", True),
        ("Where", 21, "bool", False),
        ("ReduceMax", 18, "bool", False),
        ("ReduceMax", 20, "bool", True),
        # A kernel without an end serves only the schema version that it starts at.
        ("RandomNormal", 21, "float32", True),
        ("RandomNormal", 22, "float32", False),
        # These load, expanded into their function bodies.
        ("Softplus", 18, "float64", False),
        ("HardSwish", 21, "float32", False),
        ("ReduceLogSumExp", 21, "float64", True),
        ("ReduceLogSumExp", 28, "float64", False),
        # These load with casts to float32 around them.
        ("Add", 21, "float16", False),
        ("Conv", 21, "float16", False),
        # These need no kernel of that dtype, or take every dtype.
        ("Constant", 21, "uint16", True),
        ("Reshape", 21, "uint16", True),
    ],
)
def test_known_kernels(operator, opset, dtype, expected):
    assert kernels.runs(operator, since(operator, opset), {"T": dtype}) is expected


@pytest.mark.parametrize("operator", ["If", "Loop", "Scan", "Identity"])
@pytest.mark.parametrize("opset", OPSETS)
def test_control_flow_carries_every_dtype(operator, opset):
    assert kernels.dtypes(operator, since(operator, opset), "V") == {*DTYPES, "bfloat16"}


def test_one_kernel_must_take_all_variables():
    version = since("GridSample", 21)
    assert kernels.dtypes("GridSample", version, "T1") == {"float32", "float64"}
    assert kernels.runs("GridSample", version, {"T1": "float64", "T2": "float64"})
    assert not kernels.runs("GridSample", version, {"T1": "float32", "T2": "float64"})


def test_variables_that_are_left_out_or_unknown_do_not_matter():
    assert kernels.runs("Gather", 13, {"T": "bool"})
    assert kernels.runs("Gather", 13, {"T": "bool", "Tind": "int32", "Elsewhere": "float16"})
    assert not kernels.runs("Gather", 13, {"T": "bool", "Tind": "int16"})
    assert kernels.runs("NonMaxSuppression", 11, {})
    assert not kernels.runs("Mish", 22, {})


def test_no_kernel_takes_no_dtype():
    assert kernels.dtypes("Mish", 22, "T") == frozenset()


@pytest.mark.parametrize("ask", [lambda op, since, *_: kernels.runs(op, since, {}), kernels.dtypes])
def test_what_the_table_does_not_hold(ask):
    with pytest.raises(KeyError, match="does not hold the operator Convolve"):
        ask("Convolve", 11, "T")
    with pytest.raises(KeyError, match="Conv since version 11, 22, not 12"):
        ask("Conv", 12, "T")


def test_a_variable_that_the_schema_does_not_have():
    with pytest.raises(
        KeyError, match="Conv, since version 11, has no type variable 'T9': it has T"
    ):
        kernels.dtypes("Conv", 11, "T9")


def test_the_table_holds_every_schema_in_force():
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.domain == "":
            for opset in OPSETS:
                if schema.since_version <= opset and not schema.deprecated:
                    version = since(schema.name, opset)
                    for constraint in onnx.defs.get_schema(schema.name, opset).type_constraints:
                        # A KeyError is what must not happen.
                        kernels.dtypes(schema.name, version, constraint.type_param_str)


def test_asking_needs_no_onnx_runtime():
    script = (
        "import importlib.util, sys\n"
        "spec = importlib.util.spec_from_file_location('kernels', sys.argv[1])\n"
        "module = sys.modules['kernels'] = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(module)\n"
        "assert module.kernel_table().runs('Add', 14, {'T': 'float64'})\n"
        "assert not {'onnx', 'onnxruntime'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script, kernels_module.__file__], check=True)


def generate(*arguments):
    return subprocess.run(
        [sys.executable, TOOL, *arguments], capture_output=True, text=True, check=False
    )


needs_x86 = pytest.mark.skipif(
    platform.machine().lower() not in {"x86_64", "amd64"},
    reason="the table describes the float16 kernels of x86-64",
)


@needs_x86
def test_the_committed_table_is_fresh():
    result = generate("--check")
    assert result.returncode == 0, result.stderr


@needs_x86
def test_a_stale_table_is_told(tmp_path):
    table = (RUNTIMES / "onnxruntime-cpu.csv").read_text(encoding="utf-8")
    assert "Conv,11,T,float32\n" in table
    stale = tmp_path / "kernels.csv"
    stale.write_text(table.replace("Conv,11,T,float32\n", "Conv,11,T,float32 float64\n"))
    result = generate("--check", stale)
    assert result.returncode == 1
    assert f"{stale} is stale" in result.stderr
    assert "-Conv,11,T,float32 float64\n+Conv,11,T,float32\n" in result.stderr
    assert generate(stale).returncode == 0
    assert stale.read_text(encoding="utf-8") == table


def test_a_missing_table_is_stale(tmp_path):
    assert generate("--check", tmp_path / "kernels.csv").returncode == 1


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("generate_kernels", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        ((11, 2**31 - 1), {"float32"}),
        ((1, 21), {"float32"}),
        ((1, 11), {"float32"}),
        ((1, 10), set()),
        ((12, 21), set()),
        ((1, 2**31 - 1), set()),
    ],
)
@pytest.mark.parametrize("name", ["T", "X"])  # the type variable, or an input that has it
def test_what_a_kernel_serves(tool, versions, expected, name):
    kernel = SimpleNamespace(
        version_range=versions,
        type_constraints={name: ["tensor(float)", "tensor(bfloat16)", "tensor(int8)"]},
    )
    assert tool.alternatives(onnx.defs.get_schema("Conv", 11), [kernel]) == [{"T": expected}]


def test_a_constraint_of_nothing_known_is_an_error(tool):
    kernel = SimpleNamespace(version_range=(11, 21), type_constraints={"Q": ["tensor(float)"]})
    with pytest.raises(ValueError, match="a kernel of Conv-11 constrains 'Q'"):
        tool.alternatives(onnx.defs.get_schema("Conv", 11), [kernel])


def test_merging_keeps_exactly_the_combinations(tool):
    random = np.random.default_rng(7)
    some = ("int32", "int64", "float32")
    for _ in range(50):
        chosen = {tuple(random.choice(some, 3)) for _ in range(random.integers(1, 20))}
        alternatives = tool.merged(
            [
                {variable: frozenset([dtype]) for variable, dtype in zip("ABC", one, strict=True)}
                for one in sorted(chosen)
            ]
        )
        covered = {one for each in alternatives for one in itertools.product(*each.values())}
        assert covered == chosen
        assert len(alternatives) <= len(chosen)


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.slow
def test_the_table_agrees_with_sessions(opset, tmp_path):
    compared = {True: 0, False: 0}
    for operator in SAMPLE:
        schema = onnx.defs.get_schema(operator, opset)
        for bindings in bindings_of(schema):
            said = kernels.runs(operator, schema.since_version, bindings)
            real = has_kernel(schema, bindings, opset, tmp_path / "loaded.onnx")
            assert said == real, (operator, schema.since_version, bindings)
            compared[said] += 1
    assert compared[True] > 200
    assert compared[False] > 500


def inputs_of(schema):
    return [value for value in schema.inputs if "Optional" not in str(value.option)]


def bindings_of(schema):
    """Every assignment of dtypes, allowed or not, to the type variables of the required inputs."""
    declared = {constraint.type_param_str for constraint in schema.type_constraints}
    variables = list(dict.fromkeys(value.type_str for value in inputs_of(schema)))
    variables = [variable for variable in variables if variable in declared]
    for dtypes in itertools.product(DTYPES, repeat=len(variables)):
        yield dict(zip(variables, dtypes, strict=True))


def has_kernel(schema, bindings, opset, loaded):
    """Whether ONNX Runtime makes a session of one node, neither expanded nor between casts."""
    allowed = {item.type_param_str: item.allowed_type_strs for item in schema.type_constraints}
    inputs = []
    for position, value in enumerate(inputs_of(schema)):
        if value.type_str in bindings:
            element = helper.np_dtype_to_tensor_dtype(np.dtype(bindings[value.type_str]))
        else:
            element = {
                "tensor(int64)": onnx.TensorProto.INT64,
                "tensor(bool)": onnx.TensorProto.BOOL,
            }[value.type_str]
        kind = helper.make_tensor_type_proto(element, None)
        if all(name.startswith("seq") for name in allowed.get(value.type_str, ["tensor"])):
            kind = helper.make_sequence_type_proto(kind)
        inputs.append(helper.make_value_info(f"x{position}", kind))
    outputs = [
        onnx.ValueInfoProto(name=f"y{position}")
        for position, value in enumerate(schema.outputs)
        if "Optional" not in str(value.option)
    ]
    node = helper.make_node(
        schema.name,
        [value.name for value in inputs],
        [value.name for value in outputs],
        **SAMPLE[schema.name],
    )
    model = helper.make_model(
        helper.make_graph([node], "one", inputs, outputs),
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=IR_VERSIONS[opset],
    )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.optimized_model_filepath = os.fspath(loaded)
    try:
        onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as refusal:
        text = str(refusal)
        assert "NOT_IMPLEMENTED" in text or "Type Error" in text or "INVALID_GRAPH" in text, text
        return False
    return [item.op_type for item in onnx.load(loaded).graph.node] == [schema.name]


def test_the_browsers_table_is_the_cpus_with_some_missing():
    """It is made of that one by trying; an operator that comes or goes has to be in both."""
    web = kernel_table("onnxruntime-web")
    assert set(web.kernels) == set(kernels.kernels)
    for (operator, version), found in web.kernels.items():
        for kernel in found:
            for variable, dtypes in kernel.takes.items():
                assert dtypes <= kernels.dtypes(operator, version, variable)
    assert kernels.runs("Where", 16, {"T": "int8"})
    assert not web.runs("Where", 16, {"T": "int8"})
    assert web.runs("Conv", 11, {"T": "float32"})
