"""Adding an op by YAML alone: rows in the user's own folder, for ops that nothing else maps."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from helpers import RAW, assert_same, operators, run_model
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op

from onnx_mapper import PrecisionWarning, Refused, RowError, check, explain, export


class Swish(Op):
    """x / (1 + exp(-beta x)): an op of the user's own."""

    __props__ = ("beta",)

    def __init__(self, beta: float) -> None:
        self.beta = beta

    def make_node(self, x: Any) -> Apply:
        x = pt.as_tensor_variable(x)
        return Apply(self, [x], [x.type()])

    def perform(self, node: Apply, inputs: list[Any], outputs: list[Any]) -> None:
        (x,) = inputs
        outputs[0][0] = (x / (1 + np.exp(-self.beta * x))).astype(x.dtype)


ROW = f"""
- op: {__name__}:Swish
  summary: A smooth ReLU.
  inputs: [x]
  onnx:
    - gate = Sigmoid(Mul(x, beta))
    - Mul(x, gate)
"""


@pytest.fixture
def swish() -> Any:
    x = pt.fvector("x")
    return pytensor.function([x], Swish(1.5)(x), mode=RAW)


def write(folder: Path, text: str) -> Path:
    path = folder / "my_rows.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_without_a_row_it_is_refused_with_what_to_do(swish: Any) -> None:
    with pytest.raises(Refused, match=r"no row maps .*:Swish; add one to a folder"):
        export(swish)


def test_a_row_in_a_folder_is_all_that_it_takes(tmp_path: Path, swish: Any) -> None:
    write(tmp_path, ROW)
    model = export(swish, mappings=[tmp_path])
    array = np.linspace(-3, 4, 7, dtype="float32")
    assert_same(run_model(model, array), [swish(array)])
    assert operators(model) == ["Mul", "Sigmoid", "Mul"]
    assert {node.row for node in explain(model)} == {"my_rows.yaml:2"}
    assert check(swish, mappings=[tmp_path]).ok


def test_a_single_file_works_too(tmp_path: Path, swish: Any) -> None:
    export(swish, mappings=[write(tmp_path, ROW)])


def test_what_is_computed_in_fewer_digits_is_told_and_refused_if_strict(tmp_path: Path) -> None:
    x = pt.dvector("x")
    function = pytensor.function([x], Swish(1.5)(x), mode=RAW)
    write(tmp_path, ROW.replace("Sigmoid(", "Erf("))
    with pytest.warns(PrecisionWarning, match=r"Swish \(my_rows.yaml:2\).* no float64 kernel"):
        export(function, mappings=[tmp_path])
    with pytest.raises(Refused, match=r"has no float64 kernel .*strict=True"):
        export(function, strict=True, mappings=[tmp_path])


def test_an_attribute_without_verb_is_an_error(tmp_path: Path, swish: Any) -> None:
    write(tmp_path, ROW.replace("Mul(x, beta)", "x"))
    with pytest.raises(RowError, match=r"my_rows.yaml:2: Swish's attribute 'beta' has no verb"):
        export(swish, mappings=[tmp_path])


def test_own_rows_go_before_the_packages(tmp_path: Path) -> None:
    write(
        tmp_path,
        """
- op: pytensor.scalar.basic:Exp
  summary: Exponential, by way of a power.
  inputs: [x]
  promote: dtype(out)
  onnx: Pow(constant(e, dtype(x)), x)
""",
    )
    x = pt.fvector("x")
    f = pytensor.function([x], pt.exp(x), mode=RAW)
    model = export(f, mappings=[tmp_path])
    assert operators(model) == ["Pow"]
    assert_same(
        run_model(model, np.array([0, 1], dtype="float32")), [f(np.array([0, 1], dtype="float32"))]
    )
    assert operators(export(f)) == ["Exp"]


def test_a_row_that_gives_another_dtype_is_refused(tmp_path: Path, swish: Any) -> None:
    write(tmp_path, ROW.replace("- Mul(x, gate)", "- Cast(Mul(x, gate), to='float64')"))
    with pytest.raises(
        Refused, match="gives float64 where PyTensor's Swish gives float32: add a Cast"
    ):
        export(swish, mappings=[tmp_path])


def test_a_row_that_gives_another_rank_is_refused(tmp_path: Path, swish: Any) -> None:
    write(tmp_path, ROW.replace("- Mul(x, gate)", "- Unsqueeze(Mul(x, gate), [0])"))
    with pytest.raises(Refused, match="gives 2 axes where PyTensor's Swish gives 1"):
        export(swish, mappings=[tmp_path])


def test_an_edited_row_is_read_again(tmp_path: Path, swish: Any) -> None:
    path = write(tmp_path, ROW)
    assert operators(export(swish, mappings=[tmp_path])) == ["Mul", "Sigmoid", "Mul"]
    path.write_text(ROW.replace("Mul(x, gate)", "Mul(gate, Mul(x, 1))"), encoding="utf-8")
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
    assert operators(export(swish, mappings=[tmp_path])) == ["Mul", "Sigmoid", "Mul", "Mul"]


def test_a_class_that_has_changed_since_the_rows_were_read_is_held_against_its_row(
    tmp_path: Path, swish: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a notebook, where a cell with a class runs again."""
    write(tmp_path, ROW)
    export(swish, mappings=[tmp_path])
    leaky = type("Swish", (Swish,), {"__props__": ("beta", "leak"), "leak": 0.1})
    leaky.__module__, leaky.__qualname__ = __name__, "Swish"
    monkeypatch.setitem(globals(), "Swish", leaky)
    x = pt.fvector("x")
    with pytest.raises(Refused, match="Swish's attribute 'leak' has no verb"):
        export(pytensor.function([x], leaky(1.5)(x), mode=RAW), mappings=[tmp_path])


def test_own_definitions_can_not_change_what_the_packages_rows_mean(
    tmp_path: Path, swish: Any
) -> None:
    own = "\n- define: log1p(x)\n  summary: Not what it says.\n  onnx: Log(x)\n"
    write(tmp_path, ROW + own)
    with pytest.raises(RowError, match=r"log1p is defined at elemwise.yaml:\d+ too: rename one"):
        export(swish, mappings=[tmp_path])


def test_an_attribute_goes_to_an_inner_call_where_the_outer_one_has_its_own(tmp_path: Path) -> None:
    """The outermost call that has it and isn't given it, as docs/rows.md says."""
    write(
        tmp_path,
        f"""
- op: {__name__}:Swish
  summary: Nothing useful.
  inputs: [x]
  attributes: {{beta: {{to: axis, value: int(beta)}}}}
  onnx: Softmax(Softmax(x), axis=0)
""",
    )
    x = pt.fmatrix("x")
    model = export(pytensor.function([x], Swish(1.0)(x), mode=RAW), mappings=[tmp_path])
    axes = [node.attribute[0].i for node in model.graph.node]
    assert axes == [1, 0]


WRONG_BODIES = {
    "Exp(x, outputs='a')": "Exp's outputs is a count, not 'a'",
    "like(x, 3)": "like takes a tensor, not 3",
    "x if runs('Exp', 3) else Exp(x)": "runs takes tensors and dtypes, not 3",
    "x if runs('Exp', 'float46') else Exp(x)": "runs takes tensors and dtypes, not 'float46'",
    "applied(x, x, x)": "applied takes a vector, not the tensor 'x'",
    "dims(x)[9]": r"\[9\]: .*out of range",
    "Reshape(x, 'a')": "'a' does not fit int64",
    "constant([[1], [1, 2]], 'float32')": "is no tensor",
    "'text'": "the result is no tensor",
    "1 / 0": "division by zero",
}


@pytest.mark.parametrize("body", WRONG_BODIES)
@pytest.mark.slow
def test_a_wrong_body_is_told_by_its_line(body: str, swish: Any, tmp_path: Path) -> None:
    """Whatever it makes fail: with the file, the line of the statement, and what is wrong."""
    text = f"""
- op: {__name__}:Swish
  summary: A smooth ReLU.
  inputs: [x]
  attributes: {{beta: {{ignore: It is only a test.}}}}
  onnx:
    - y = Exp(x)
    - >-
      {body}
"""
    write(tmp_path, text)
    with pytest.raises((Refused, RowError), match=rf"my_rows\.yaml:\d.*{WRONG_BODIES[body]}"):
        export(swish, mappings=[tmp_path])


def test_nodes_of_constants_that_must_stay_nodes(tmp_path: Path) -> None:
    """Random numbers, kernels that end the process over nothing, and what the runtime can't load."""
    x = pt.fvector("x")
    function = pytensor.function([x], Swish(1.5)(x), mode=RAW)
    for body, operator in (
        (
            "Mul(x, ReduceMax(RandomUniformLike(constant([beta, beta], 'float32')), keepdims=0))",
            "ReduceMax",
        ),
        (
            "Mul(x, Add(ReduceSum(Unique(ConstantOfShape([2, 0]), axis=0), keepdims=0), beta))",
            "Unique",
        ),
    ):
        write(tmp_path, ROW[: ROW.index("    - gate")] + f"    - {body}\n")
        assert operator in operators(export(function, mappings=[tmp_path]))


def test_an_attribute_may_be_an_empty_list(tmp_path: Path) -> None:
    x = pt.fscalar("x")
    function = pytensor.function([x], Swish(1.5)(x), mode=RAW)
    write(tmp_path, ROW.replace("Mul(x, gate)", "Transpose(Mul(x, gate), perm=[])"))
    assert_same(run_model(export(function, mappings=[tmp_path]), np.float32(2)), [function(2)])
