"""Networks as people write them in PyTensor: batch norm, pools and attention spelt out over shared variables.

Every network takes one input and gives one output. `width` scales the channels: the nodes of a model don't
depend on it, so tests take narrow ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt


@dataclass
class Weights:
    """Makes shared variables with seeded numbers.

    Attributes:
        random: Where the numbers come from.
        made: How many there are so far.
    """

    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))
    made: int = 0

    def normal(self, *shape: int, scale: float | None = None) -> Any:
        """Return normal numbers, scaled to keep the size of what they multiply."""
        fan_in = int(np.prod(shape[1:])) or 1
        numbers = self.random.normal(size=shape) * (scale or np.sqrt(2.0 / fan_in))
        return self._shared(numbers)

    def uniform(self, *shape: int, low: float = 0.5, high: float = 1.5) -> Any:
        """Return numbers of an interval."""
        return self._shared(self.random.uniform(low, high, size=shape))

    def _shared(self, numbers: Any) -> Any:
        self.made += 1
        return pytensor.shared(numbers.astype("float32"), name=f"w{self.made}")


@dataclass(frozen=True)
class Network:
    """A network.

    Attributes:
        name: Its name.
        inputs: Its input.
        output: Its output.
        array: Numbers for its input.
    """

    name: str
    inputs: list[Any]
    output: Any
    array: Any


def conv2d(x: Any, w: Any, stride: int = 1, groups: int = 1) -> Any:
    """Return a convolution with the margins of `half`."""
    from pytensor.tensor.conv import conv2d as convolved

    return convolved(
        x, w, border_mode="half", subsample=(stride, stride), num_groups=groups, filter_flip=False
    )


def batch_norm(x: Any, weights: Weights, channels: int) -> Any:
    """Return an image with each channel normed by known statistics."""
    mean, gamma, beta = (weights.normal(channels, scale=0.1) for _ in range(3))
    variance = weights.uniform(channels)
    spread = (v.dimshuffle("x", 0, "x", "x") for v in (mean, variance, gamma, beta))
    mean, variance, gamma, beta = spread
    return (x - mean) / pt.sqrt(variance + np.float32(1e-5)) * (1 + gamma) + beta


def relu(x: Any) -> Any:
    """Return x where it is positive, and 0 elsewhere."""
    return pt.maximum(x, 0)


def relu6(x: Any) -> Any:
    """Return x between 0 and 6."""
    return pt.clip(x, np.float32(0), np.float32(6))


def max_pool(x: Any) -> Any:
    """Return maxima of 2×2 squares."""
    rows = pt.maximum(x[:, :, ::2], x[:, :, 1::2])
    return pt.maximum(rows[:, :, :, ::2], rows[:, :, :, 1::2])


def max_pool_3(x: Any, channels: int, size: int) -> Any:
    """Return maxima of 3×3 squares, two apart, with a margin of 1, of images of a known size."""
    least = pt.alloc(np.float32(-np.inf), 1, channels, size + 2, size + 2)
    padded = pt.set_subtensor(least[:, :, 1 : size + 1, 1 : size + 1], x)
    last = 2 * (size // 2) - 1
    parts = [padded[:, :, i : i + last : 2, j : j + last : 2] for i in range(3) for j in range(3)]
    return reduce(pt.maximum, parts)


def image(size: int, channels: int = 3, batch: int = 1) -> tuple[Any, Any]:
    """Return an input for images, and one image."""
    x = pt.tensor("x", dtype="float32", shape=(batch, channels, size, size))
    numbers = np.random.default_rng(3).normal(size=(batch, channels, size, size)).astype("float32")
    return x, numbers


def dense(x: Any, weights: Weights, inputs: int, outputs: int) -> Any:
    """Return a layer of a perceptron."""
    return x @ weights.normal(inputs, outputs, scale=inputs**-0.5) + weights.normal(
        outputs, scale=0.1
    )


def lenet(width: float = 1) -> Network:
    """Two convolutions with biases, three dense layers, softmax: digits of 28×28."""
    w = Weights()
    x, array = image(28, 1)
    a, b = max(1, int(16 * width)), max(1, int(32 * width))
    h = max_pool(
        relu(conv2d(x, w.normal(a, 1, 5, 5)) + w.normal(a, scale=0.1).dimshuffle("x", 0, "x", "x"))
    )
    h = max_pool(
        relu(conv2d(h, w.normal(b, a, 5, 5)) + w.normal(b, scale=0.1).dimshuffle("x", 0, "x", "x"))
    )
    h = h.flatten(2)
    h = relu(dense(h, w, b * 49, 120))
    h = relu(dense(h, w, 120, 84))
    return Network("LeNet", [x], pt.special.softmax(dense(h, w, 84, 10), axis=1), array)


def vgg11(width: float = 1, size: int = 224) -> Network:
    """VGG-11 with batch norm, and one dense layer."""
    w = Weights()
    x, array = image(size)
    h, channels = x, 3
    for out in (64, "pool", 128, "pool", 256, 256, "pool", 512, 512, "pool", 512, 512, "pool"):
        if isinstance(out, str):
            h = max_pool(h)
            continue
        wide = max(1, int(out * width))
        h = relu(batch_norm(conv2d(h, w.normal(wide, channels, 3, 3)), w, wide))
        channels = wide
    flat = channels * (size // 32) ** 2
    return Network("VGG-11", [x], dense(h.flatten(2), w, flat, 1000), array)


def resnet(depth: int, width: float = 1, size: int = 224) -> Network:
    """ResNet of 18, 50 or 152 layers."""
    blocks, bottleneck = {
        18: ((2, 2, 2, 2), False),
        50: ((3, 4, 6, 3), True),
        152: ((3, 8, 36, 3), True),
    }[depth]
    w = Weights()
    x, array = image(size)
    base = max(1, int(64 * width))
    h = relu(batch_norm(conv2d(x, w.normal(base, 3, 7, 7), 2), w, base))
    h = max_pool_3(h, base, size // 2)
    channels = base
    for stage, count in enumerate(blocks):
        inner = base * 2**stage
        out = inner * 4 if bottleneck else inner
        for block in range(count):
            stride = 2 if stage and not block else 1
            short = h
            if stride != 1 or channels != out:
                short = batch_norm(conv2d(h, w.normal(out, channels, 1, 1), stride), w, out)
            if bottleneck:
                y = relu(batch_norm(conv2d(h, w.normal(inner, channels, 1, 1)), w, inner))
                y = relu(batch_norm(conv2d(y, w.normal(inner, inner, 3, 3), stride), w, inner))
                y = batch_norm(conv2d(y, w.normal(out, inner, 1, 1)), w, out)
            else:
                y = relu(batch_norm(conv2d(h, w.normal(inner, channels, 3, 3), stride), w, inner))
                y = batch_norm(conv2d(y, w.normal(out, inner, 3, 3)), w, out)
            h = relu(y + short)
            channels = out
    return Network(f"ResNet-{depth}", [x], dense(h.mean(axis=(2, 3)), w, channels, 1000), array)


INVERTED_RESIDUALS = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)
)  # fmt: skip
"""Of MobileNetV2's stages: how they widen, their channels, how many blocks, the first one's stride."""


def mobilenet_v2(width: float = 1, size: int = 224) -> Network:
    """MobileNetV2: depthwise convolutions, ReLU6, inverted residuals."""
    w = Weights()
    x, array = image(size)

    def wide(channels: int) -> int:
        return max(1, int(channels * width))

    channels = wide(32)
    h = relu6(batch_norm(conv2d(x, w.normal(channels, 3, 3, 3), 2), w, channels))
    plan = (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    )
    for expansion, out, count, first in plan:
        for block in range(count):
            stride = first if not block else 1
            inner, given = channels * expansion, wide(out)
            y = h
            if expansion != 1:
                y = relu6(batch_norm(conv2d(y, w.normal(inner, channels, 1, 1)), w, inner))
            y = relu6(batch_norm(conv2d(y, w.normal(inner, 1, 3, 3), stride, inner), w, inner))
            y = batch_norm(conv2d(y, w.normal(given, inner, 1, 1)), w, given)
            h = h + y if stride == 1 and channels == given else y
            channels = given
    last = wide(1280)
    h = relu6(batch_norm(conv2d(h, w.normal(last, channels, 1, 1)), w, last))
    return Network("MobileNetV2", [x], dense(h.mean(axis=(2, 3)), w, last, 1000), array)


def layer_norm(x: Any, weights: Weights, size: int) -> Any:
    """Return x with its last axis normed, spelt out."""
    mean = x.mean(axis=-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(axis=-1, keepdims=True)
    return (x - mean) / pt.sqrt(variance + np.float32(1e-12)) * weights.uniform(
        size
    ) + weights.normal(size, scale=0.1)


def gelu(x: Any) -> Any:
    """Return the GELU, spelt out with erf."""
    return x * np.float32(0.5) * (1 + pt.erf(x / np.float32(np.sqrt(2))))


def bert(
    layers: int = 12, width: int = 768, heads: int = 12, length: int = 128, batched: bool = False
) -> Network:
    """BERT-base's encoder on embedded tokens; matmuls in two axes, or with the batch's axis as well."""
    w = Weights()
    shape = (1, length, width) if batched else (length, width)
    x = pt.tensor("x", dtype="float32", shape=shape)
    array = np.random.default_rng(5).normal(size=shape).astype("float32")
    lead = (1,) if batched else ()
    order = (0, 2, 1, 3) if batched else (1, 0, 2)
    h = x
    for _ in range(layers):
        q, k, v = (
            dense(h, w, width, width)
            .reshape((*lead, length, heads, width // heads))
            .transpose(*order)
            for _ in range(3)
        )
        turned = (0, 1, 3, 2) if batched else (0, 2, 1)
        scores = q @ k.transpose(*turned) / np.float32(np.sqrt(width // heads))
        mixed = pt.special.softmax(scores, axis=-1) @ v
        joined = mixed.transpose(*order).reshape((*lead, length, width))
        h = layer_norm(h + dense(joined, w, width, width), w, width)
        h = layer_norm(
            h + dense(gelu(dense(h, w, width, 4 * width)), w, 4 * width, width), w, width
        )
    return Network(f"BERT-base, {'3' if batched else '2'}-D", [x], h, array)


def perceptron(layers: int = 100, width: int = 64) -> Network:
    """A perceptron of many layers."""
    w = Weights()
    x = pt.tensor("x", dtype="float32", shape=(None, width))
    h = x
    for _ in range(layers):
        h = relu(dense(h, w, width, width))
    array = np.random.default_rng(5).normal(size=(8, width)).astype("float32")
    return Network("MLP of 100 layers", [x], h, array)


def gru(width: int = 64, length: int = 32) -> Network:
    """A GRU by scan."""
    w = Weights()
    x = pt.tensor("x", dtype="float32", shape=(length, width))
    gates = [
        (
            w.normal(width, width, scale=0.1),
            w.normal(width, width, scale=0.1),
            w.normal(width, scale=0.1),
        )
        for _ in range(3)
    ]

    def step(x_t: Any, h: Any) -> Any:
        (wz, uz, bz), (wr, ur, br), (wn, un, bn) = gates
        z = pt.sigmoid(x_t @ wz + h @ uz + bz)
        r = pt.sigmoid(x_t @ wr + h @ ur + br)
        n = pt.tanh(x_t @ wn + (r * h) @ un + bn)
        return (1 - z) * n + z * h

    scanned = pytensor.scan(step, sequences=[x], outputs_info=[pt.zeros(width, dtype="float32")])
    outputs = scanned[0] if isinstance(scanned, tuple) else scanned
    array = np.random.default_rng(5).normal(size=(length, width)).astype("float32")
    return Network("GRU", [x], outputs, array)


NETWORKS: dict[str, Callable[[], Network]] = {
    "lenet": lenet,
    "vgg11": vgg11,
    "resnet18": lambda: resnet(18),
    "resnet50": lambda: resnet(50),
    "resnet152": lambda: resnet(152),
    "mobilenet_v2": mobilenet_v2,
    "bert_2d": bert,
    "bert_3d": lambda: bert(batched=True),
    "mlp": perceptron,
    "gru": gru,
}
