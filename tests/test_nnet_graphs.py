"""Graphs of neural networks as PyTensor users write them: activations, losses, norms, pooling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytensor
import pytensor.scalar as ps
import pytensor.tensor as pt
import pytest
from helpers import assert_same, exported_like_pytensor, operators, run_model
from pytensor.graph.fg import FunctionGraph
from pytensor.tensor.elemwise import CAReduce

from onnx_mapper import Refused, export, export_graph

FLOATS = ("float32", "float64")
TIGHT = {"float32": 2e-6, "float64": 1e-13}
RNG = np.random.default_rng(7)


def numbers(*shape: int, dtype: str = "float64", scale: float = 3.0) -> np.ndarray:
    return (RNG.normal(size=shape) * scale).astype(dtype)


def _selu(x: Any) -> Any:
    alpha, scale = 1.6732632423543772, 1.0507009873554805
    return scale * pt.switch(x > 0, x, alpha * pt.expm1(x))


def _gelu_tanh(x: Any) -> Any:
    return 0.5 * x * (1 + pt.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "relu": lambda x: pt.maximum(x, 0),
    "relu by switch": lambda x: pt.switch(x > 0, x, 0),
    "relu by abs": lambda x: 0.5 * (x + abs(x)),
    "relu by product": lambda x: x * (x > 0),
    "relu6": lambda x: pt.clip(x, 0, 6),
    "leaky relu": lambda x: pt.switch(x > 0, x, 0.01 * x),
    "elu": lambda x: pt.switch(x > 0, x, pt.expm1(x)),
    "selu": _selu,
    "gelu": lambda x: 0.5 * x * (1 + pt.erf(x / np.sqrt(2))),
    "gelu by tanh": _gelu_tanh,
    "softplus": pt.softplus,
    "softplus by log": lambda x: pt.log(1 + pt.exp(x)),
    "swish": lambda x: x * pt.sigmoid(x),
    "mish": lambda x: x * pt.tanh(pt.softplus(x)),
    "softsign": lambda x: x / (1 + abs(x)),
    "hard sigmoid": lambda x: pt.clip(0.2 * x + 0.5, 0, 1),
    "softmax": lambda x: pt.special.softmax(x, axis=-1),
    "softmax over channels": lambda x: pt.special.softmax(x, axis=0),
    "softmax by hand": lambda x: pt.exp(x) / pt.exp(x).sum(axis=1, keepdims=True),
    "log softmax": lambda x: pt.special.log_softmax(x, axis=1),
    "log of softmax": lambda x: pt.log(pt.special.softmax(x, axis=1)),
    "logsumexp": lambda x: pt.logsumexp(x, axis=1),
    "logsumexp with axes": lambda x: pt.logsumexp(x, axis=1, keepdims=True),
    "log of a sum of exponentials": lambda x: pt.log(pt.sum(pt.exp(x), axis=0)),
}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.slow
def test_activations(name: str, dtype: str) -> None:
    x = pt.matrix("x", dtype=dtype)
    y = ACTIVATIONS[name](x)
    rtol = 4 * TIGHT[dtype]
    exported_like_pytensor([x], [y], [numbers(4, 7, dtype=dtype)], rtol, rtol)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("opset", [18, 21, 28])
@pytest.mark.slow
def test_layer_normalisation(dtype: str, opset: int) -> None:
    x = pt.tensor("x", dtype=dtype, shape=(None, 5, 8))
    gain, bias = pt.vector("gain", dtype=dtype), pt.vector("bias", dtype=dtype)
    centred = x - x.mean(axis=-1, keepdims=True)
    normal = centred / pt.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5)
    by_var = (x - x.mean(axis=-1, keepdims=True)) / pt.sqrt(x.var(axis=-1, keepdims=True) + 1e-5)
    root_mean_square = x / pt.sqrt(pt.mean(x**2, axis=-1, keepdims=True) + 1e-6)
    arrays = [numbers(3, 5, 8, dtype=dtype), numbers(8, dtype=dtype), numbers(8, dtype=dtype)]
    outputs = [normal * gain + bias, by_var * gain + bias, root_mean_square * gain]
    rtol = 10 * TIGHT[dtype]
    exported_like_pytensor([x, gain, bias], outputs, arrays, rtol, rtol, opset=opset)


@pytest.mark.parametrize("dtype", FLOATS)
def test_batch_normalisation(dtype: str) -> None:
    x = pt.tensor("x", dtype=dtype, shape=(None, 3, 6, 5))
    gain, bias = pt.vector("gain", dtype=dtype), pt.vector("bias", dtype=dtype)
    mean, var = x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3))
    running = pytensor.shared(numbers(3, dtype=dtype), name="running_mean")

    def spread(v: Any) -> Any:
        return v.dimshuffle("x", 0, "x", "x")

    trained = (x - spread(mean)) / pt.sqrt(spread(var) + 1e-5) * spread(gain) + spread(bias)
    served = (x - spread(running)) * spread(gain) + spread(bias)
    arrays = [numbers(4, 3, 6, 5, dtype=dtype), numbers(3, dtype=dtype), numbers(3, dtype=dtype)]
    rtol = 20 * TIGHT[dtype]
    exported_like_pytensor([x, gain, bias], [trained, served, mean, var], arrays, rtol, rtol)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("static", [True, False])
@pytest.mark.slow
def test_pooling(dtype: str, static: bool) -> None:
    x = pt.tensor("x", dtype=dtype, shape=(2, 3, 6, 8) if static else (None,) * 4)
    n, c, h, w = x.shape
    blocks = x.reshape((n, c, h // 2, 2, w // 2, 2))
    corners = [x[:, :, i::2, j::2] for i in range(2) for j in range(2)]
    largest = corners[0]
    for corner in corners[1:]:
        largest = pt.maximum(largest, corner)
    overlapping = pt.maximum(pt.maximum(x[:, :, :, :-2], x[:, :, :, 1:-1]), x[:, :, :, 2:])
    outputs = [
        blocks.max(axis=(3, 5)),
        blocks.mean(axis=(3, 5)),
        largest,
        sum(corners) / 4,
        pt.stack(corners).max(axis=0),
        overlapping,
        x.mean(axis=(2, 3)),
        x.max(axis=(2, 3)),
    ]
    for position, output in enumerate(outputs):
        output.name = f"pooled_{position}"
    array = numbers(2, 3, 6, 8, dtype=dtype)
    rtol = 4 * TIGHT[dtype]
    exported_like_pytensor([x], outputs, [array], rtol, rtol)
    array[1, 2, 3, 4] = np.nan  # which ONNX Runtime's MaxPool leaves out
    exported_like_pytensor([x], outputs, [array], rtol, rtol, strict=True)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.slow
def test_losses_and_their_gradients(dtype: str) -> None:
    x, target = pt.matrix("x", dtype=dtype), pt.lvector("target")
    w = pytensor.shared(numbers(6, 4, dtype=dtype, scale=0.5), name="w")
    logits = x @ w
    logp = pt.special.log_softmax(logits, axis=1)
    cross_entropy = -logp[pt.arange(target.shape[0]), target].mean()
    by_softmax = -pt.log(
        pt.special.softmax(logits, axis=1)[pt.arange(target.shape[0]), target]
    ).mean()
    hits = pt.mean(pt.eq(pt.argmax(logits, axis=1), target))
    binary = pt.mean(pt.softplus(logits) - logits * (target.dimshuffle(0, "x") > 1))
    outputs = [
        cross_entropy,
        by_softmax,
        hits,
        binary,
        pt.grad(cross_entropy, w),
        pt.grad(by_softmax, w),
        pt.grad(binary, x),
        pt.grad(pt.special.softmax(logits, axis=1).max(axis=1).sum(), w),
    ]
    for position, output in enumerate(outputs):
        output.name = f"output_{position}"
    arrays = [numbers(5, 6, dtype=dtype), np.array([0, 3, 1, 1, 2])]
    rtol = 50 * TIGHT[dtype]
    exported_like_pytensor([x, target], outputs, arrays, rtol, rtol)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.slow
def test_compiled_functions(dtype: str) -> None:
    """The default mode fuses, works in place and calls BLAS; the numbers stay the same."""
    x = pt.matrix("x", dtype=dtype)
    outputs = [
        pt.special.softmax(x * 2, axis=1),
        pt.special.log_softmax(x, axis=0),
        pt.sqr(pt.exp(x) - 1).mean(axis=0),
        (abs(x) * 3).prod(axis=0),
        pt.logsumexp(x, axis=1),
        pt.argmax(x + 1, axis=1),
        pt.cumsum(x, axis=1),
        x.var(axis=0),
        pt.all(x > 0, axis=1),
    ]
    function = pytensor.function([x], outputs)
    array = numbers(4, 5, dtype=dtype)
    rtol = 20 * TIGHT[dtype]
    assert_same(run_model(export(function), array), function(array), rtol, rtol)


def _fused(step: Any, mapped: Callable[[Any], Any], element_dtype: str, **options: Any) -> Any:
    """Return what PyTensor's C mode makes of a reduction of an elementwise op."""
    carried = ps.get_scalar_type(options["acc_dtype"])()
    element = ps.get_scalar_type(element_dtype)()
    fused = ps.Composite([carried, element], [step(carried, mapped(element))])
    fused.identity = step.identity
    return CAReduce(fused, **options)


@pytest.mark.parametrize("axis", [None, (0,), (1, 2)])
def test_fused_reductions(axis: Any) -> None:
    x = pt.tensor3("x", dtype="float32")
    array = numbers(3, 2, 4, dtype="float32")
    array[0, 0, 0] = 1e4
    options: dict[str, Any] = {"axis": axis, "dtype": "float32", "acc_dtype": "float64"}
    options["upcast_discrete_output"] = True
    total = _fused(ps.add, lambda v: ps.sqr(v) * 2, "float32", **options)
    product = _fused(ps.mul, lambda v: abs(v) + 1, "float32", **options)
    graph = FunctionGraph([x], [total(x), product(x)], clone=False)
    plain = [pt.sum(pt.sqr(x) * 2, axis=axis), pt.prod(abs(x) + 1, axis=axis)]
    function = pytensor.function([x], plain, mode="FAST_COMPILE")
    model = export(graph)
    assert_same(run_model(model, array), function(array), 1e-6, 0)
    assert operators(model).count("ReduceSum") == operators(model).count("ReduceProd") == 1


def test_fused_reduction_of_integers() -> None:
    x = pt.matrix("x", dtype="int16")
    options = {"axis": (1,), "dtype": "int64", "acc_dtype": "int64"}
    total = _fused(ps.add, ps.sqr, "int16", upcast_discrete_output=True, **options)
    array = np.array([[300, 2, -5], [7, 181, 40]], dtype="int16")
    found = run_model(export(FunctionGraph([x], [total(x)], clone=False)), array)
    assert_same(found, [(array * array).sum(axis=1)], 0, 0)


@pytest.mark.parametrize(
    "body",
    [
        lambda carried, element: ps.exp(ps.add(carried, element)),
        lambda carried, element: ps.add(carried, ps.mul(carried, element)),
        lambda carried, element: ps.add(carried, ps.constant(2.0)),
    ],
)
def test_other_steps_are_refused(body: Callable[[Any, Any], Any]) -> None:
    x = pt.dmatrix("x")
    carried, element = ps.float64(), ps.float64()
    step = ps.Composite([carried, element], [body(carried, element)])
    graph = FunctionGraph([x], [CAReduce(step, axis=(1,))(x)], clone=False)
    with pytest.raises(Refused):
        export(graph)


@pytest.mark.skipif(not pytensor.config.cxx, reason="needs a C compiler")
def test_reductions_that_c_mode_fuses() -> None:
    x = pt.fmatrix("x")
    function = pytensor.function([x], [(abs(x) * 3).prod(axis=0), pt.exp(x).sum()])
    array = numbers(4, 5, dtype="float32")
    assert_same(run_model(export(function), array), function(array), 1e-6, 0)


def test_integers_wrap_around_and_are_exact() -> None:
    """ONNX Runtime reduces integers in float64."""
    x = pt.lmatrix("x")
    array = np.array([[2**53 + 1, 0, 1], [2**62, 2**62 + 3, 5], [-(2**63), -1, 7]])
    for axis in (None, 0, 1):
        exported_like_pytensor([x], [x.sum(axis=axis), x.prod(axis=axis)], [array], 0, 0)


@pytest.mark.parametrize("dtype", FLOATS)
def test_log_softmax_of_large_logits(dtype: str) -> None:
    x = pt.matrix("x", dtype=dtype)
    array = np.array([[70000, 70001, 70002], [1000, 1000.5, 1040]], dtype=dtype)
    model = export_graph([x], [pt.special.log_softmax(x, axis=1)])
    exact = array.astype("longdouble")
    exact = exact - exact.max(axis=1, keepdims=True)
    exact = exact - np.log(np.exp(exact).sum(axis=1, keepdims=True))
    assert_same(run_model(model, array), [exact.astype(dtype)], 4 * TIGHT[dtype], 1e-12)


def test_axes_of_size_zero() -> None:
    x = pt.matrix("x")
    y = pt.matrix("y", dtype="bool")
    outputs = [x.sum(axis=0), x.prod(axis=1), pt.all(y, axis=0), pt.any(y, axis=0)]
    outputs += [pt.cumsum(x, axis=0), pt.cumprod(x, axis=0), x.max(axis=1)]
    arrays = [np.zeros((0, 3)), np.zeros((0, 3), dtype=bool)]
    exported_like_pytensor([x, y], outputs, arrays)
