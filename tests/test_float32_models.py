"""What `dtype="float32"` promises: no float64 unasked, and a word about what float32 swallows."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytensor
import pytensor.tensor as pt
import pytest
from helpers import run_model

from onnx_mapper import PrecisionWarning, Refused, check, export, export_graph

X = pt.dvector("x")
WIDE: dict[str, Any] = {
    name: getattr(pt, name)(X) for name in ("gammaln", "erfinv", "psi", "erfcx")
}


def gives_float64(model: onnx.ModelProto) -> bool:
    inferred = onnx.shape_inference.infer_shapes(model)
    types = [info.type.tensor_type.elem_type for info in inferred.graph.value_info]
    return onnx.TensorProto.DOUBLE in types


@pytest.mark.parametrize("name", WIDE)
def test_float64_inside_is_refused_unless_it_is_allowed(name: str) -> None:
    says = r"computes in float64 inside, .*: allow it with wide='ok' .special\.yaml:\d+"
    with pytest.raises(Refused, match=says):
        export_graph([X], [WIDE[name]], dtype="float32")
    allowed = export_graph([X], [WIDE[name]], dtype="float32", wide="ok")
    assert gives_float64(allowed)
    array = np.array([0.3, 0.7], "float32")
    expected = WIDE[name].eval({X: array.astype("float64")}, mode="FAST_COMPILE")
    np.testing.assert_allclose(run_model(allowed, array)[0], expected, rtol=1e-6)


def test_check_asks_the_same() -> None:
    function = pytensor.function([X], WIDE["gammaln"], mode="FAST_COMPILE")
    assert check(function).ok
    assert check(function, dtype="float32", wide="ok").ok
    (refusal,) = check(function, dtype="float32").refusals
    assert refusal.count == 1


def test_what_float32_has_digits_for_needs_no_float64() -> None:
    output = pt.special.softmax(pt.tanh(X * 2) + pt.log1p(X**2)).sum()
    assert not gives_float64(export_graph([X], [output], dtype="float32"))


GUARDS: dict[str, tuple[Any, str]] = {
    "a guard of a logarithm": (
        pt.log(pt.maximum(X, 1e-300)),
        "a constant holds 1e-300, which is 0 in float32; .* write 1.1754944e-38 instead",
    ),
    "a guard of a quotient": (X / (X + 1e-60), "holds 1e-60, which is 0 in float32"),
    "a large number": (
        pt.minimum(X, 1e300),
        "holds 1e.300, which is inf in float32; .* write 3.4028235e.38 instead",
    ),
    "a large negative number": (pt.maximum(X, -1e300), "holds -1e.300, which is -inf in float32"),
}


@pytest.mark.parametrize("which", GUARDS)
def test_constants_that_float32_swallows_are_told(which: str) -> None:
    output, says = GUARDS[which]
    with pytest.warns(PrecisionWarning, match=says):
        export_graph([X], [output], dtype="float32")
    with pytest.raises(Refused, match=says):
        export_graph([X], [output], dtype="float32", strict=True)
    export_graph([X], [output], strict=True)  # in float64 there is nothing to tell


def test_weights_that_float32_swallows_are_told_by_name() -> None:
    weights = pytensor.shared(np.array([1.0, 1e-200, -1e-250, 0.0]), name="w")
    function = pytensor.function([X], X * weights, mode="FAST_COMPILE")
    with pytest.warns(PrecisionWarning, match="w holds -1e-250, which is 0") as told:
        export(function, dtype="float32")
    assert len([w for w in told if "float32" in str(w.message)]) == 2


def test_a_constant_that_is_an_output_is_told_too() -> None:
    x = pt.dvector("x")
    with pytest.warns(PrecisionWarning, match="a constant holds 1e-300, which is 0 in float32"):
        export_graph([x], [x + 1, pt.constant(1e-300)], dtype="float32")
