"""pytensor-ml on today's PyTensor: the questions that tests/test_conv2d.py asks, layers, networks.

The 21 questions are asked of ConvLayer, which correlates (a convolution turns its kernel around
before), pads nothing (padding is an op before it) and has no groups (channels are split). Kernels
are random and asymmetric unless a test says otherwise. Every model is held against PyTensor and,
for convolutions, against NumPy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx
import pytensor
import pytensor.tensor as pt
import pytest
from helpers import RAW, assert_same, exported_like_pytensor, operators, run_model

from onnx_mapper import Refused, check, export, export_graph, verify

pytest.importorskip("pytensor_ml", reason="pytensor-ml needs PyTensor 3.3")
from pytensor_ml import layers
from pytensor_ml.activations import GELU, ReLU
from pytensor_ml.layers.conv import ConvLayer
from pytensor_ml.pytensorf import collect_trainable_params, rewrite_for_prediction

RNG = np.random.default_rng(20260103)


@pytest.fixture(autouse=True)
def single_precision() -> Iterator[None]:
    """What networks are trained in. (PyTensor pads into a tensor of its floatX.)"""
    with pytensor.config.change_flags(floatX="float32"):
        yield


def numbers(*shape: int, dtype: str = "float32") -> np.ndarray:
    return RNG.normal(size=shape).astype(dtype)


def images(dtype: str = "float32", shape: tuple[int | None, ...] = (None,) * 4) -> Any:
    return pt.tensor("image", dtype=dtype, shape=shape)


def convolved(
    x: Any,
    kernel: Any,
    size: tuple[int, ...],
    stride: tuple[int, ...] = (1, 1),
    dilation: tuple[int, ...] = (1, 1),
    pads: Any = None,
) -> Any:
    if pads is not None:
        zero = pt.constant(0, dtype=x.dtype)
        x = pt.pad(x, [(0, 0), *pads, (0, 0)], mode="constant", constant_values=zero)
    return ConvLayer(size, stride, dilation)(x, kernel)


def by_numpy(
    image: np.ndarray,
    kernel: np.ndarray,
    stride: tuple[int, ...] = (1, 1),
    dilation: tuple[int, ...] = (1, 1),
    pads: Any = None,
) -> np.ndarray:
    """Correlate (N, H, W, C) with (kh, kw, C, O), one place after the other."""
    if pads is not None:
        image = np.pad(image, [(0, 0), *pads, (0, 0)])
    high, wide = (
        (image.shape[axis + 1] - (kernel.shape[axis] - 1) * dilation[axis] - 1) // stride[axis] + 1
        for axis in (0, 1)
    )
    result = np.zeros((len(image), high, wide, kernel.shape[-1]), image.dtype)
    for row in range(high):
        for column in range(wide):
            top, left = row * stride[0], column * stride[1]
            rows = top + np.arange(kernel.shape[0]) * dilation[0]
            columns = left + np.arange(kernel.shape[1]) * dilation[1]
            patch = image[:, rows][:, :, columns]
            result[:, row, column] = np.einsum("nabc,abco->no", patch, kernel)
    return result


def check_conv(image: np.ndarray, kernel: np.ndarray, **options: Any) -> onnx.ModelProto:
    """Export a convolution with the kernel as an input, a constant and a shared variable.

    Returns the model of the shared kernel, which is what a trained network gives.
    """
    size = kernel.shape[:2]
    x = images(str(image.dtype))
    w = pt.tensor("kernel", dtype=str(kernel.dtype), shape=(*size, None, None))
    expected = by_numpy(image, kernel, **options)
    variants = [
        ([x, w], convolved(x, w, size, **options), [image, kernel]),
        ([x], convolved(x, pt.constant(kernel), size, **options), [image]),
        ([x], convolved(x, pytensor.shared(kernel, name="W"), size, **options), [image]),
    ]
    for inputs, output, arrays in variants:
        model = exported_like_pytensor(inputs, [output], arrays)
        onnx.checker.check_model(model, full_check=True)
        assert_same(run_model(model, *arrays), [expected])
    return model


def conv_attributes(model: onnx.ModelProto) -> dict[str, Any]:
    (node,) = [node for node in model.graph.node if node.op_type == "Conv"]
    return {
        attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute
    }


def test_01_valid_padding_of_one_channel() -> None:
    """1…25 and an edge kernel give −6 everywhere; a model with a flip gives 6."""
    image = np.arange(1, 26, dtype="float32").reshape(1, 5, 5, 1)
    kernel = np.array([[1, 0, -1]] * 3, dtype="float32")[..., None, None]
    model = check_conv(image, kernel)
    np.testing.assert_array_equal(run_model(model, image)[0], np.full((1, 3, 3, 1), -6, "float32"))


@pytest.mark.parametrize(
    ("image", "kernel", "expected"),
    [
        ((1, 5, 5, 1), (3, 3, 1, 1), (1, 3, 3, 1)),
        ((1, 10, 10, 1), (5, 5, 1, 1), (1, 6, 6, 1)),
        ((2, 7, 7, 1), (3, 3, 1, 3), (2, 5, 5, 3)),
    ],
)
@pytest.mark.slow
def test_02_output_shapes(image: Any, kernel: Any, expected: Any) -> None:
    model = check_conv(numbers(*image), numbers(*kernel))
    assert run_model(model, numbers(*image))[0].shape == expected


def test_03_a_correlation_is_not_flipped() -> None:
    image, kernel = numbers(1, 6, 7, 1), numbers(3, 2, 1, 1)
    model = check_conv(image, kernel)
    (weights,) = model.graph.initializer
    stored = onnx.numpy_helper.to_array(weights)  # in the order of Conv's axes
    np.testing.assert_array_equal(stored.transpose(2, 3, 1, 0), kernel)


def test_04_symmetric_kernel() -> None:
    line = np.array([1, 2, 1], dtype="float32")
    check_conv(numbers(1, 8, 8, 1), (np.outer(line, line) / 16)[..., None, None])


def test_05_a_convolution_turns_its_kernel_around() -> None:
    """A Sobel kernel on a vertical edge: without the turn the edge has the opposite sign."""
    image = np.zeros((1, 6, 6, 1), dtype="float32")
    image[:, :, 3:] = 1
    sobel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], dtype="float32")[..., None, None]
    x, w = images(), pytensor.shared(sobel, name="W")
    for turned, ends in ((w[::-1, ::-1], (-4, 0)), (w, (0, 4))):
        model = exported_like_pytensor([x], [convolved(x, turned, (3, 3))], [image])
        found = run_model(model, image)[0]
        assert (found.min(), found.max()) == ends


@pytest.mark.slow
def test_06_valid_padding() -> None:
    model = check_conv(numbers(1, 8, 8, 1), numbers(3, 3, 1, 1))
    assert operators(model) == ["Transpose", "Conv", "Transpose"]


@pytest.mark.parametrize("size", [(3, 3), (2, 4), (5, 2), (1, 3)])
@pytest.mark.parametrize("stride", [(1, 1), (2, 3)])
@pytest.mark.slow
def test_07_same_padding_of_the_layer(size: tuple[int, int], stride: tuple[int, int]) -> None:
    """An even kernel pads one more behind, as pytensor-ml says it."""
    layer = layers.Conv2D(
        "c", in_channels=2, out_channels=3, kernel_size=size, stride=stride, padding="same"
    )
    x = images(shape=(None, 8, 9, 2))
    image = numbers(2, 8, 9, 2)
    model = exported_like_pytensor([x], [layer(x)], [image])
    total = [extent - 1 for extent in size]
    pads = [(t // 2, t - t // 2) for t in total]
    kernel = layer.W.get_value()
    assert_same(run_model(model, image), [by_numpy(image, kernel, stride=stride, pads=pads)])


@pytest.mark.parametrize("pads", [[(1, 1), (1, 1)], [(2, 2), (0, 0)], [(2, 2), (1, 1)]])
@pytest.mark.slow
def test_08_explicit_padding(pads: Any) -> None:
    check_conv(numbers(1, 5, 5, 1), numbers(3, 2, 1, 1), pads=pads)


@pytest.mark.slow
def test_09_asymmetric_padding() -> None:
    model = check_conv(numbers(1, 5, 5, 1), numbers(3, 3, 1, 1), pads=[(1, 2), (0, 1)])
    assert run_model(model, numbers(1, 5, 5, 1))[0].shape == (1, 6, 4, 1)
    check_conv(numbers(1, 5, 5, 1), numbers(3, 3, 1, 1), pads=[(1, 1), (0, 2)])


def test_10_strides() -> None:
    check_conv(numbers(1, 9, 9, 2), numbers(3, 3, 2, 3), stride=(2, 2))


def test_11_asymmetric_strides() -> None:
    model = check_conv(numbers(1, 9, 8, 2), numbers(3, 3, 2, 3), stride=(2, 1))
    assert conv_attributes(model)["strides"] == [2, 1]


@pytest.mark.parametrize("dilation", [(2, 2), (3, 1)])
@pytest.mark.parametrize("pads", [None, [(2, 1), (0, 3)]])
@pytest.mark.slow
def test_12_dilation(dilation: tuple[int, int], pads: Any) -> None:
    model = check_conv(numbers(1, 9, 8, 2), numbers(3, 2, 2, 3), dilation=dilation, pads=pads)
    assert conv_attributes(model)["dilations"] == list(dilation)


def grouped(x: Any, kernel: np.ndarray, groups: int) -> Any:
    """Convolve each part of the channels with its own kernels, (kh, kw, C / groups, O)."""
    channels, filters = kernel.shape[2], kernel.shape[3] // groups
    parts = [
        ConvLayer(kernel.shape[:2], (1, 1), (1, 1))(
            x[..., group * channels : (group + 1) * channels],
            pytensor.shared(kernel[..., group * filters : (group + 1) * filters], name=f"W{group}"),
        )
        for group in range(groups)
    ]
    return pt.concatenate(parts, axis=-1)


@pytest.mark.parametrize(("groups", "kernel"), [(2, (3, 3, 2, 8)), (8, (3, 2, 1, 8))])
def test_13_and_14_groups_and_depthwise(groups: int, kernel: tuple[int, ...]) -> None:
    image, weights = numbers(2, 7, 6, groups * kernel[2]), numbers(*kernel)
    x = images(shape=(None, None, None, image.shape[-1]))
    model = exported_like_pytensor([x], [grouped(x, weights, groups)], [image])
    channels, filters = kernel[2], kernel[3] // groups
    expected = [
        by_numpy(
            image[..., g * channels : (g + 1) * channels],
            weights[..., g * filters : (g + 1) * filters],
        )
        for g in range(groups)
    ]
    assert_same(run_model(model, image), [np.concatenate(expected, axis=-1)])


def test_15_colour_images() -> None:
    check_conv(numbers(2, 9, 9, 3), numbers(3, 3, 3, 16))


def test_16_batch() -> None:
    check_conv(numbers(8, 6, 6, 1), numbers(3, 3, 1, 2))


def test_17_bias() -> None:
    """The layer's own bias becomes Conv's."""
    x = images()
    w, b = pytensor.shared(numbers(3, 3, 2, 4), "W"), pytensor.shared(numbers(4), "b")
    y = ConvLayer((3, 3), (1, 1), (1, 1))(x, w, b)
    image = numbers(2, 6, 5, 2)
    model = exported_like_pytensor([x], [y], [image])
    assert operators(model) == ["Transpose", "Conv", "Transpose"]
    assert_same(run_model(model, image), [by_numpy(image, w.get_value()) + b.get_value()])


def test_18_relu() -> None:
    x = images()
    y = ReLU()(convolved(x, pytensor.shared(numbers(3, 3, 2, 4), "W"), (3, 3)))
    model = exported_like_pytensor([x], [y], [numbers(2, 6, 5, 2)])
    assert run_model(model, numbers(2, 6, 5, 2))[0].min() == 0


@pytest.mark.parametrize("shape", [(None, None, None, None), (None, 6, 5, 2), (3, 6, 5, 2)])
def test_19_flatten(shape: tuple[int | None, ...]) -> None:
    """If this failed, the dense layer behind would get its features in another order."""
    x = images(shape=shape)
    y = layers.Flatten(ReLU()(convolved(x, pytensor.shared(numbers(3, 3, 2, 4), "W"), (3, 3))))
    exported_like_pytensor([x], [y], [numbers(3, 6, 5, 2)])


@pytest.mark.slow
def test_20_ten_layers() -> None:
    """Between the layers nothing is turned: the channels stay second from the first to the last."""
    x = images(shape=(None, None, None, 3))
    y = x
    for _ in range(10):
        kernel = pytensor.shared(numbers(3, 3, 3, 3) / 4, "W")
        y = ReLU()(convolved(y, kernel, (3, 3), pads=[(1, 1), (1, 1)]))
    model = exported_like_pytensor([x], [y], [numbers(2, 8, 7, 3)])
    assert operators(model).count("Conv") == 10
    turns = [
        node
        for node in model.graph.node
        if node.op_type == "Transpose" and not node.input[0].startswith("W")
    ]
    assert len(turns) == 2


def test_21_more_axes_than_the_runtime_has_are_refused() -> None:
    x = pt.tensor("x", dtype="float32", shape=(None, 3, 3, 3, 3, 2))
    y = ConvLayer((2, 2, 2, 2), (1,) * 4, (1,) * 4)(x, pytensor.shared(numbers(2, 2, 2, 2, 2, 3)))
    with pytest.raises(Refused, match=r"ConvLayer needs len\(kernel_size\) <= 3.*pytensor_ml"):
        export_graph([x], [y])


def test_float64_is_exact() -> None:
    image, kernel = numbers(2, 7, 6, 3, dtype="float64"), numbers(3, 2, 3, 4, dtype="float64")
    x, w = images("float64"), pytensor.shared(kernel, name="W")
    model = export_graph([x], [convolved(x, w, (3, 2), stride=(2, 1))], strict=True)
    assert_same(run_model(model, image), [by_numpy(image, kernel, stride=(2, 1))], 1e-13, 1e-13)


LAYERS: dict[str, tuple[Callable[[], Any], tuple[int, ...], list[str]]] = {
    "conv1d": (
        lambda: layers.Conv1D(
            "c", in_channels=3, out_channels=4, kernel_size=3, stride=2, padding="same", dilation=2
        ),
        (2, 9, 3),
        ["Conv"],
    ),
    "conv2d": (
        lambda: layers.Conv2D(
            "c", in_channels=3, out_channels=4, kernel_size=(3, 2), stride=(2, 1), padding=(1, 0)
        ),
        (2, 7, 6, 3),
        ["Conv"],
    ),
    "conv_transpose1d": (
        lambda: layers.ConvTranspose1D("c", in_channels=3, out_channels=4, kernel_size=3, stride=2),
        (2, 5, 3),
        ["ConvTranspose"],
    ),
    "conv_transpose2d": (
        lambda: layers.ConvTranspose2D(
            "c", in_channels=3, out_channels=4, kernel_size=(3, 2), stride=(2, 3), padding=1
        ),
        (2, 5, 4, 3),
        ["ConvTranspose"],
    ),
    "max_pool1d": (lambda: layers.MaxPool1D(kernel_size=2), (2, 8, 3), ["MaxPool"]),
    "max_pool2d": (
        lambda: layers.MaxPool2D(kernel_size=3, stride=2, padding="same"),
        (2, 8, 7, 3),
        ["MaxPool"],
    ),
    "avg_pool1d": (lambda: layers.AvgPool1D(kernel_size=2), (2, 8, 3), ["AveragePool"]),
    "avg_pool2d": (
        lambda: layers.AvgPool2D(kernel_size=(3, 2), padding=1),
        (2, 8, 7, 3),
        ["AveragePool"],
    ),
    "batch_norm": (lambda: layers.BatchNorm("b", n_in=3), (4, 5, 3), []),
    "layer_norm": (lambda: layers.LayerNorm("b", n_in=6), (4, 5, 6), ["LayerNormalization"]),
    "rms_norm": (lambda: layers.RMSNorm("b", n_in=6), (4, 5, 6), []),
    "group_norm": (lambda: layers.GroupNorm("b", n_in=6, n_groups=2), (4, 5, 6), []),
    "linear": (lambda: layers.Linear("l", n_in=6, n_out=4), (4, 5, 6), ["MatMul"]),
    "attention": (
        lambda: layers.MultiheadAttention("m", n_embd=8, n_head=4, n_kv_head=2),
        (2, 5, 8),
        ["Softmax"],
    ),
    "causal_attention": (
        lambda: layers.CausalSelfAttention("m", n_embd=8, n_head=2),
        (2, 5, 8),
        ["Softmax"],
    ),
    "rnn": (lambda: layers.RNN("m", n_in=3, n_hidden=4), (2, 5, 3), ["Loop"]),
    "gru": (lambda: layers.GRU("m", n_in=3, n_hidden=4), (2, 5, 3), ["Loop"]),
    "lstm": (lambda: layers.LSTM("m", n_in=3, n_hidden=4), (2, 5, 3), ["Loop"]),
    "upsample1d": (lambda: layers.Upsample1D(scale_factor=2, mode="linear"), (2, 5, 3), []),
    "upsample2d": (
        lambda: layers.Upsample2D(size=(7, 9), mode="bilinear", align_corners=True),
        (2, 5, 4, 3),
        [],
    ),
    "zero_pad": (lambda: layers.ZeroPad2D(padding=1), (2, 5, 4, 3), ["Pad"]),
    "reflection_pad": (lambda: layers.ReflectionPad1D(padding=2), (2, 5, 3), []),
    "replication_pad": (lambda: layers.ReplicationPad2D(padding=(1, 2)), (2, 5, 4, 3), ["Pad"]),
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.slow
def test_layer(name: str) -> None:
    """Each layer gives PyTensor's numbers, by ONNX's own operator where it has one."""
    make, shape, expected = LAYERS[name]
    x = pt.tensor("x", dtype="float32", shape=(None, *shape[1:]))
    y = make()(x)
    y = y[0] if isinstance(y, list | tuple) else y
    array = numbers(*shape)
    function = pytensor.function([x], y, mode=RAW, on_unused_input="ignore")
    model = export_graph([x], [y])
    assert_same(run_model(model, array), [function(array)], 1e-4, 2e-6)
    assert set(expected) <= set(operators(model))


def network() -> tuple[Any, Any]:
    x = layers.Input("x", shape=(None, 8, 7, 2), dtype="float32")
    parts = layers.Sequential(
        layers.Conv2D("c1", in_channels=2, out_channels=3, kernel_size=(3, 2), padding="same"),
        GELU(),
        layers.MaxPool2D(kernel_size=2),
        layers.Conv2D("c2", in_channels=3, out_channels=4, kernel_size=2, dilation=2),
        ReLU(),
        layers.Flatten,
        layers.Linear("dense", n_in=8, n_out=3),
    )
    return x, pt.special.softmax(parts(x), axis=1)


@pytest.mark.slow
def test_network_in_the_default_mode() -> None:
    """What `pytensor.function` leaves of a network is the same model, and its predictions too."""
    x, y = network()
    function = pytensor.function([x], y)
    assert check(function).ok
    model = export(function)
    array = numbers(5, 8, 7, 2)
    assert_same(run_model(model, array), [function(array)], 1e-4, 1e-6)
    assert operators(model).count("Softmax") == 1
    assert operators(model).count("Conv") == 2
    assert "ok" in str(verify(model, function))


@pytest.mark.slow
def test_gradients_of_a_network() -> None:
    """A step of training leaves too: gradients by Conv and ConvTranspose."""
    x, y = network()
    labels = pt.lvector("labels")
    loss = -pt.log(y[pt.arange(labels.shape[0]), labels]).mean()
    outputs = [loss, *pytensor.grad(loss, collect_trainable_params(y))]
    arrays = [numbers(4, 8, 7, 2), np.array([0, 2, 1, 2])]
    function = pytensor.function([x, labels], outputs, mode=RAW)
    model = export_graph([x, labels], outputs)
    assert_same(run_model(model, *arrays), function(*arrays), 1e-3, 1e-5)
    assert "ConvTranspose" in operators(model)


def test_batch_norm_of_a_prediction() -> None:
    x = layers.Input("x", shape=(None, 6, 5, 2), dtype="float32")
    y = layers.Sequential(
        layers.Conv2D("c", in_channels=2, out_channels=3, kernel_size=3),
        layers.BatchNorm("b", n_in=3),
        ReLU(),
        layers.Dropout(p=0.3, random_state=1),
    )(x)
    predicted = rewrite_for_prediction(y)
    array = numbers(4, 6, 5, 2)
    function = pytensor.function([x], predicted, mode=RAW)
    model = export_graph([x], [predicted])
    assert_same(run_model(model, array), [function(array)], 1e-4, 1e-6)
    assert not [port.name for port in model.graph.input if port.name != "x"]
