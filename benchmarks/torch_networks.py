"""The networks of networks.py as people write them in torch, for comparison; needs torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from networks import INVERTED_RESIDUALS
from torch import nn


def conv(inputs: int, outputs: int, size: int, stride: int = 1, groups: int = 1) -> nn.Module:
    """Return a convolution with batch norm and the margins of `half`."""
    layer = nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs))


class Block(nn.Module):
    """A block of a ResNet."""

    def __init__(
        self, inputs: int, inner: int, outputs: int, stride: int, bottleneck: bool
    ) -> None:
        super().__init__()
        sizes = (
            [(inputs, inner, 1, 1), (inner, inner, 3, stride), (inner, outputs, 1, 1)]
            if bottleneck
            else [(inputs, inner, 3, stride), (inner, outputs, 3, 1)]
        )
        parts: list[nn.Module] = []
        for position, size in enumerate(sizes):
            parts += [conv(*size), nn.ReLU()] if position < len(sizes) - 1 else [conv(*size)]
        self.main = nn.Sequential(*parts)
        same = stride == 1 and inputs == outputs
        self.short = nn.Identity() if same else conv(inputs, outputs, 1, stride)

    def forward(self, x: Any) -> Any:
        """Return the block's output."""
        return torch.relu(self.main(x) + self.short(x))


def resnet(depth: int) -> nn.Module:
    """ResNet of 18, 50 or 152 layers."""
    blocks = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3), 152: (3, 8, 36, 3)}[depth]
    bottleneck = depth > 34
    parts: list[nn.Module] = [conv(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    channels = 64
    for stage, count in enumerate(blocks):
        inner = 64 * 2**stage
        outputs = inner * 4 if bottleneck else inner
        for block in range(count):
            stride = 2 if stage and not block else 1
            parts.append(Block(channels, inner, outputs, stride, bottleneck))
            channels = outputs
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1000)]
    return nn.Sequential(*parts, *head)


class Inverted(nn.Module):
    """An inverted residual of MobileNetV2."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        parts = [conv(inputs, inner, 1), nn.ReLU6()] if expansion != 1 else []
        parts += [conv(inner, inner, 3, stride, inner), nn.ReLU6(), conv(inner, outputs, 1)]
        self.main = nn.Sequential(*parts)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Any) -> Any:
        """Return the block's output."""
        return x + self.main(x) if self.residual else self.main(x)


def mobilenet_v2() -> nn.Module:
    """MobileNetV2."""
    parts: list[nn.Module] = [conv(3, 32, 3, 2), nn.ReLU6()]
    channels = 32
    for expansion, outputs, count, first in INVERTED_RESIDUALS:
        for block in range(count):
            parts.append(Inverted(channels, outputs, first if not block else 1, expansion))
            channels = outputs
    parts += [conv(channels, 1280, 1), nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*parts, nn.Linear(1280, 1000))


def lenet() -> nn.Module:
    """LeNet."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(32 * 49, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
        nn.Softmax(1),
    )  # fmt: skip


class Attention(nn.Module):
    """A layer of BERT on tokens in one axis."""

    def __init__(self, width: int = 768, heads: int = 12) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.out = (nn.Linear(width, width) for _ in range(4))
        self.norm, self.last = nn.LayerNorm(width, 1e-12), nn.LayerNorm(width, 1e-12)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Any) -> Any:
        """Return the layer's output."""
        length, width = x.shape
        size = width // self.heads
        q, k, v = (
            part(x).reshape(length, self.heads, size).transpose(0, 1)
            for part in (self.q, self.k, self.v)
        )
        mixed = torch.softmax(q @ k.transpose(1, 2) / size**0.5, -1) @ v
        h = self.norm(x + self.out(mixed.transpose(0, 1).reshape(length, width)))
        return self.last(h + self.narrow(torch.nn.functional.gelu(self.wide(h))))


def bert() -> nn.Module:
    """BERT-base's encoder."""
    return nn.Sequential(*(Attention() for _ in range(12)))


MODELS: dict[str, Callable[[], nn.Module]] = {
    "lenet": lenet,
    "resnet18": lambda: resnet(18),
    "resnet50": lambda: resnet(50),
    "mobilenet_v2": mobilenet_v2,
    "bert_2d": bert,
}
