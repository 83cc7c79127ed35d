"""Models as people write them, with their gradients: compiled in the default mode, and symbolic.

A recurrent network is in test_control.py, Gaussian processes in test_linalg_graphs.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from helpers import RAW, assert_same, operators, run_model

from onnx_mapper import export, export_graph

RNG = np.random.default_rng(20)


def numbers(*shape: int, dtype: str = "float32", scale: float = 1.0) -> np.ndarray:
    return (RNG.normal(size=shape) * scale).astype(dtype)


def weight(name: str, *shape: int, dtype: str = "float32", scale: float = 0.5) -> Any:
    return pytensor.shared(numbers(*shape, dtype=dtype, scale=scale), name=name)


def check(
    inputs: Sequence[Any], outputs: Sequence[Any], arrays: Sequence[Any], rtol: float, atol: float
) -> list[str]:
    """Hold the compiled function's model and the symbolic graph's to PyTensor's own Python.

    Returns:
        The operators of the symbolic graph's model.
    """
    expected = pytensor.function(list(inputs), list(outputs), mode=RAW)(*arrays)
    compiled = pytensor.function(list(inputs), list(outputs))
    assert_same(run_model(export(compiled), *arrays), expected, rtol, atol)
    model = export_graph(list(inputs), list(outputs))
    assert_same(run_model(model, *arrays), expected, rtol, atol)
    return operators(model)


# A multi-layer perceptron


class Perceptron:
    """Two hidden layers, cross-entropy over four classes, weight decay."""

    def __init__(self, dtype: str) -> None:
        self.x, self.labels = pt.matrix("x", dtype=dtype), pt.lvector("labels")
        sizes = [6, 9, 7, 4]
        self.weights = [
            weight(f"w{layer}", *pair, dtype=dtype) for layer, pair in enumerate(pairwise(sizes))
        ]
        self.biases = [
            weight(f"b{layer}", size, dtype=dtype) for layer, size in enumerate(sizes[1:])
        ]
        first = pt.tanh(self.x @ self.weights[0] + self.biases[0])
        second = pt.maximum(first @ self.weights[1] + self.biases[1], 0)
        logits = second @ self.weights[2] + self.biases[2]
        self.probabilities = pt.special.softmax(logits, axis=1)
        chosen = pt.special.log_softmax(logits, axis=1)[
            pt.arange(self.labels.shape[0]), self.labels
        ]
        decay = sum((w**2).sum() for w in self.weights)
        self.loss = -chosen.mean() + np.array(1e-3, dtype) * decay
        self.parameters = [*self.weights, *self.biases]
        self.gradients = pt.grad(self.loss, self.parameters)
        self.arrays = [numbers(5, 6, dtype=dtype), np.array([3, 0, 0, 2, 1])]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.slow
def test_a_perceptron_with_its_loss_and_gradients(dtype: str) -> None:
    net = Perceptron(dtype)
    outputs = [net.probabilities, net.loss, *net.gradients]
    rtol = 1e-5 if dtype == "float32" else 1e-12
    check([net.x, net.labels], outputs, net.arrays, rtol, rtol)


@pytest.mark.slow
def test_training_steps_of_a_perceptron_happen_in_the_model() -> None:
    """The model gives the next weights; fed back they train as PyTensor does."""
    net = Perceptron("float32")
    velocities = [
        pytensor.shared(np.zeros_like(p.get_value()), name=f"v_{p.name}") for p in net.parameters
    ]
    updates: list[tuple[Any, Any]] = []
    for parameter, velocity, gradient in zip(
        net.parameters, velocities, net.gradients, strict=True
    ):
        faster = np.float32(0.9) * velocity - np.float32(0.1) * gradient
        updates += [(velocity, faster), (parameter, parameter + faster)]
    step = pytensor.function([net.x, net.labels], net.loss, updates=updates)
    model = export(step)
    first = {w.name: w for w in (*net.parameters, *velocities)}
    held = {name: w.get_value() for name, w in first.items()}
    given = [port.name for port in model.graph.input]
    for _ in range(3):
        feed = [*net.arrays, *(held[name] for name in given[2:])]
        results = run_model(model, *feed)
        loss = step(*net.arrays)
        np.testing.assert_allclose(results[0], loss, rtol=1e-4)
        following = dict(
            zip([port.name for port in model.graph.output[1:]], results[1:], strict=True)
        )
        held = {name: following[f"{name}_next"] for name in held}
    for name, variable in first.items():
        np.testing.assert_allclose(held[name], variable.get_value(), rtol=1e-3, atol=1e-5)


# A transformer


class Block:
    """A transformer block before its norms: masked attention with three heads, then two layers."""

    heads, width = 3, 12

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype
        self.x = pt.tensor("x", dtype=dtype, shape=(None, None, self.width))
        self.lengths = pt.lvector("lengths")
        wide = 4 * self.width
        self.qkv = weight("qkv", self.width, 3 * self.width, dtype=dtype, scale=0.3)
        self.project = weight("project", self.width, self.width, dtype=dtype, scale=0.3)
        self.up = weight("up", self.width, wide, dtype=dtype, scale=0.3)
        self.down = weight("down", wide, self.width, dtype=dtype, scale=0.3)
        self.gains = [weight(f"gain{i}", self.width, dtype=dtype) for i in range(2)]
        after = self.x + self.attention(self.norm(self.x, self.gains[0]))
        hidden = self.norm(after, self.gains[1]) @ self.up
        gelu = 0.5 * hidden * (1 + pt.erf(hidden / np.sqrt(2).astype(dtype)))
        self.y = after + gelu.astype(dtype) @ self.down
        self.parameters = [self.qkv, self.project, self.up, self.down, *self.gains]
        self.arrays = [numbers(2, 5, self.width, dtype=dtype), np.array([5, 3])]

    def norm(self, x: Any, gain: Any) -> Any:
        centred = x - x.mean(axis=-1, keepdims=True)
        return gain * centred / pt.sqrt(x.var(axis=-1, keepdims=True) + np.array(1e-5, self.dtype))

    def attention(self, x: Any) -> Any:
        batch, time, size = x.shape[0], x.shape[1], self.width // self.heads
        parts = pt.split(x @ self.qkv, [self.width] * 3, n_splits=3, axis=2)
        q, k, v = (
            part.reshape((batch, time, self.heads, size)).dimshuffle(0, 2, 1, 3) for part in parts
        )
        scores = (q @ k.dimshuffle(0, 1, 3, 2)) / np.sqrt(size).astype(self.dtype)
        steps = pt.arange(time)
        past = steps[:, None] >= steps[None, :]
        real = steps[None, :] < self.lengths[:, None]
        seen = past[None, None, :, :] & real[:, None, None, :]
        scores = pt.switch(seen, scores, np.array(-1e9, self.dtype))
        mixed = pt.special.softmax(scores, axis=-1) @ v
        return mixed.dimshuffle(0, 2, 1, 3).reshape((batch, time, self.width)) @ self.project


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.slow
def test_a_transformer_block(dtype: str) -> None:
    block = Block(dtype)
    rtol = 1e-4 if dtype == "float32" else 1e-11
    used = check([block.x, block.lengths], [block.y], block.arrays, rtol, rtol)
    if dtype == "float32":
        assert used.count("Softmax") == 1
        assert len(used) < 110, used


@pytest.mark.slow
def test_gradients_of_a_transformer_block() -> None:
    block = Block("float64")
    loss = (block.y**2).mean()
    outputs = [loss, *pt.grad(loss, [*block.parameters, block.x])]
    check([block.x, block.lengths], outputs, block.arrays, 1e-9, 1e-11)


# A convolutional network


@pytest.mark.skipif(
    find_spec("pytensor.tensor.conv") is None,
    reason="PyTensor has no AbstractConv2d after 2.36.2",
)
@pytest.mark.slow
@pytest.mark.parametrize("trained", [True, False])
def test_a_convolutional_network(trained: bool) -> None:
    """Strided, depthwise and pointwise convolution, batch norm, a residual, pooling."""
    from pytensor.tensor.conv import conv2d

    x = pt.tensor("x", dtype="float32", shape=(None, 3, None, None))
    entry, depthwise = weight("entry", 8, 3, 3, 3), weight("depthwise", 8, 1, 3, 3)
    pointwise, head = weight("pointwise", 8, 8, 1, 1), weight("head", 8, 5)
    gains, shifts = [weight(f"{n}s", 3, 8) for n in ("gain", "shift")]
    means = weight("means", 3, 8)
    variances = pytensor.shared(RNG.uniform(0.5, 2, (3, 8)).astype("float32"), name="variances")

    def spread(vector: Any) -> Any:
        return vector.dimshuffle("x", 0, "x", "x")

    def normed(y: Any, layer: int) -> Any:
        mean = y.mean(axis=(0, 2, 3)) if trained else means[layer]
        variance = y.var(axis=(0, 2, 3)) if trained else variances[layer]
        scaled = (y - spread(mean)) / pt.sqrt(spread(variance) + np.float32(1e-5))
        return scaled * spread(gains[layer]) + spread(shifts[layer])

    y = pt.maximum(normed(conv2d(x, entry, border_mode=1, subsample=(2, 2)), 0), 0)
    inner = conv2d(y, depthwise, border_mode="half", num_groups=8, filter_flip=False)
    inner = pt.maximum(normed(inner, 1), 0)
    y = pt.maximum(y + normed(conv2d(inner, pointwise), 2), 0)
    scores = pt.special.softmax(y.mean(axis=(2, 3)) @ head, axis=1)
    used = check([x], [scores], [numbers(2, 3, 11, 9)], 1e-4, 1e-5)
    assert used.count("Conv") == 3


# Bayesian models


def hierarchical_regression() -> tuple[list[Any], Any, list[np.ndarray]]:
    """Return inputs, log-density and arrays: slopes and intercepts that vary between groups."""
    groups = np.array([0, 0, 1, 2, 2, 2, 3, 1, 0])
    data = numbers(9, dtype="float64")
    measured = 1.5 + 0.7 * data + numbers(9, dtype="float64", scale=0.3)
    centre, spread_log = pt.dvector("centre"), pt.dvector("spread_log")
    offsets, noise_log = pt.dmatrix("offsets"), pt.dscalar("noise_log")
    freedom_log = pt.dscalar("freedom_log")

    def normal(value: Any, mean: Any, sigma: Any) -> Any:
        return -0.5 * ((value - mean) / sigma) ** 2 - pt.log(sigma) - 0.5 * np.log(2 * np.pi)

    spread, noise, freedom = pt.exp(spread_log), pt.exp(noise_log), pt.exp(freedom_log) + 1
    coefficients = centre + offsets * spread
    mean = coefficients[groups, 0] + coefficients[groups, 1] * data
    scaled = ((measured - mean) / noise) ** 2 / freedom
    student = (
        pt.gammaln((freedom + 1) / 2)
        - pt.gammaln(freedom / 2)
        - 0.5 * pt.log(np.pi * freedom)
        - pt.log(noise)
        - (freedom + 1) / 2 * pt.log1p(scaled)
    )
    half_cauchy = np.log(2 / np.pi) - pt.log1p(spread**2) + spread_log
    logp = (
        student.sum()
        + normal(centre, 0, 10.0).sum()
        + normal(offsets, 0, 1.0).sum()
        + half_cauchy.sum()
        + (noise_log - noise)
        + (freedom_log - 0.1 * freedom)
    )
    inputs = [centre, spread_log, offsets, noise_log, freedom_log]
    shapes: list[tuple[int, ...]] = [(2,), (2,), (4, 2), (), ()]
    return inputs, logp, [numbers(*shape, dtype="float64") for shape in shapes]


@pytest.mark.slow
def test_a_hierarchical_regression_with_its_gradient() -> None:
    inputs, logp, arrays = hierarchical_regression()
    check(inputs, [logp, *pt.grad(logp, inputs)], [np.asarray(a) for a in arrays], 1e-10, 1e-12)


@pytest.mark.slow
def test_the_curvature_of_a_hierarchical_regression() -> None:
    """Second derivatives, as for a Laplace approximation."""
    inputs, logp, arrays = hierarchical_regression()
    curvature = pytensor.gradient.hessian(logp, inputs[0])
    check(inputs, [curvature], [np.asarray(a) for a in arrays], 1e-8, 1e-9)
