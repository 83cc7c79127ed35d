"""The convolutions that the project's specification names, through `export` and ONNX Runtime.

Every test compares with PyTensor's own evaluation, at a relative tolerance of 1e-4, on a model that
passed `onnx.checker.check_model(full_check=True)`. Kernels are random and asymmetric unless a test
says otherwise: a symmetric kernel hides a missing flip.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytensor
import pytensor.tensor as pt
import pytest
from helpers import RAW, assert_same, exported_like_pytensor, operators, run_model

from onnx_mapper import PrecisionWarning, Refused, export, export_graph

conv = pytest.importorskip(
    "pytensor.tensor.conv", reason="AbstractConv2d was removed from PyTensor in 2.36.3"
)

RNG = np.random.default_rng(20260103)


def numbers(*shape: int, dtype: str = "float32") -> np.ndarray:
    return RNG.normal(size=shape).astype(dtype)


def images(dtype: str = "float32", shape: tuple[int | None, ...] = (None,) * 4) -> Any:
    return pt.tensor("image", dtype=dtype, shape=shape)


def check_conv(image: np.ndarray, kernel: np.ndarray, **options: Any) -> onnx.ModelProto:
    """Export a convolution with the kernel as an input, a constant and a shared variable.

    Returns the model of the shared kernel, which is what a trained network gives.
    """
    x, w = images(str(image.dtype)), pt.tensor("kernel", dtype=str(kernel.dtype), shape=(None,) * 4)
    known = pt.tensor("kernel", dtype=str(kernel.dtype), shape=kernel.shape)
    expected = pytensor.function([x, w], conv.conv2d(x, w, **options), mode=RAW)(image, kernel)
    variants = [
        ([x, w], conv.conv2d(x, w, **options), [image, kernel]),
        ([x, known], conv.conv2d(x, known, **options), [image, kernel]),
        ([x], conv.conv2d(x, pt.constant(kernel), **options), [image]),
        ([x], conv.conv2d(x, pytensor.shared(kernel, name="W"), **options), [image]),
    ]
    for inputs, output, arrays in variants:
        model = exported_like_pytensor(inputs, [output], arrays)
        onnx.checker.check_model(model, full_check=True)
        assert_same(run_model(model, *arrays), [expected])
    assert operators(model) == ["Conv"]
    return model


def conv_attributes(model: onnx.ModelProto) -> dict[str, Any]:
    (node,) = [node for node in model.graph.node if node.op_type == "Conv"]
    return {
        attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute
    }


def test_01_valid_padding_of_one_channel() -> None:
    """If this failed, the plainest convolution would: 1…25 and an edge kernel give 6 everywhere.

    A model without the flip gives −6.
    """
    image = np.arange(1, 26, dtype="float32").reshape(1, 1, 5, 5)
    kernel = np.array([[[[1, 0, -1]] * 3]], dtype="float32")
    model = check_conv(image, kernel, border_mode="valid")
    np.testing.assert_array_equal(run_model(model, image)[0], np.full((1, 1, 3, 3), 6, "float32"))


@pytest.mark.parametrize(
    ("image", "kernel", "expected"),
    [
        ((1, 1, 5, 5), (1, 1, 3, 3), (1, 1, 3, 3)),
        ((1, 1, 10, 10), (1, 1, 5, 5), (1, 1, 6, 6)),
        ((2, 1, 7, 7), (3, 1, 3, 3), (2, 3, 5, 5)),
    ],
)
def test_02_output_shapes(
    image: tuple[int, ...], kernel: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    """If this failed, batch, filters or sizes would be mixed up."""
    model = check_conv(numbers(*image), numbers(*kernel))
    assert run_model(model, numbers(*image))[0].shape == expected


def test_03_filter_flip_false() -> None:
    """If this failed, a cross-correlation would have been flipped all the same."""
    image, kernel = numbers(1, 1, 6, 7), numbers(1, 1, 3, 2)
    model = check_conv(image, kernel, filter_flip=False)
    (weights,) = model.graph.initializer
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(weights), kernel)


def test_04_filter_flip_true_with_a_symmetric_kernel() -> None:
    """If this failed, a Gaussian blur would be wrong.

    The Gaussian is its own mirror image: this test would pass even if the flip were missing.
    Test 5 is the one that would not.
    """
    line = np.array([1, 2, 1], dtype="float32")
    check_conv(numbers(1, 1, 8, 8), (np.outer(line, line) / 16)[None, None], filter_flip=True)


def test_05_filter_flip_true_with_a_sobel_kernel_on_a_vertical_edge() -> None:
    """The critical test: if the flip were missing, the edge would have the opposite sign."""
    image = np.zeros((1, 1, 6, 6), dtype="float32")
    image[..., 3:] = 1
    sobel = np.array([[[[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]]], dtype="float32")
    model = check_conv(image, sobel, filter_flip=True)
    found = run_model(model, image)[0]
    assert found.min() == -4
    assert found.max() == 0
    (weights,) = model.graph.initializer
    np.testing.assert_array_equal(
        onnx.numpy_helper.to_array(weights), sobel[:, :, ::-1, ::-1], "the model holds the flip"
    )


def test_06_valid_padding() -> None:
    """If this failed, `valid` would pad."""
    model = check_conv(numbers(1, 1, 8, 8), numbers(1, 1, 3, 3), border_mode="valid")
    assert conv_attributes(model)["pads"] == [0, 0, 0, 0]


@pytest.mark.parametrize("size", [(3, 3), (2, 4), (5, 2), (1, 3)])
@pytest.mark.parametrize("subsample", [(1, 1), (2, 3)])
def test_07_half_padding(size: tuple[int, int], subsample: tuple[int, int]) -> None:
    """If this failed, `half` would be ONNX's SAME, which differs for even kernels and strides."""
    model = check_conv(
        numbers(1, 2, 8, 8), numbers(3, 2, *size), border_mode="half", subsample=subsample
    )
    assert b"auto_pad" not in model.SerializeToString()
    if size == (3, 3) and subsample == (1, 1):
        assert run_model(model, numbers(1, 2, 8, 8))[0].shape == (1, 3, 8, 8)


@pytest.mark.parametrize("border_mode", [(1, 1), 1, (2, 0), "full"])
def test_08_explicit_padding(border_mode: Any) -> None:
    """If this failed, a number of elements would pad another axis, or one side only."""
    model = check_conv(numbers(1, 1, 5, 5), numbers(1, 1, 3, 2), border_mode=border_mode)
    if border_mode == (1, 1):
        assert conv_attributes(model)["pads"] == [1, 1, 1, 1]


def test_09_asymmetric_padding() -> None:
    """If this failed, ONNX's order (begins, then ends) would be PyTensor's (pairs by axis)."""
    model = check_conv(numbers(1, 1, 5, 5), numbers(1, 1, 3, 3), border_mode=((1, 2), (0, 1)))
    assert conv_attributes(model)["pads"] == [1, 0, 2, 1]
    assert run_model(model, numbers(1, 1, 5, 5))[0].shape == (1, 1, 6, 4)
    mixed = check_conv(numbers(1, 1, 5, 5), numbers(1, 1, 3, 3), border_mode=(1, (0, 2)))
    assert conv_attributes(mixed)["pads"] == [1, 0, 1, 2]


def test_10_strides() -> None:
    """If this failed, `subsample` would be lost."""
    check_conv(numbers(1, 2, 9, 9), numbers(3, 2, 3, 3), subsample=(2, 2))


def test_11_asymmetric_strides() -> None:
    """If this failed, the strides of the two axes would be exchanged."""
    model = check_conv(numbers(1, 2, 9, 8), numbers(3, 2, 3, 3), subsample=(2, 1))
    assert conv_attributes(model)["strides"] == [2, 1]


@pytest.mark.parametrize("dilation", [(2, 2), (3, 1)])
@pytest.mark.parametrize("border_mode", ["valid", "half", "full"])
def test_12_dilation(dilation: tuple[int, int], border_mode: str) -> None:
    """If this failed, dilation would be lost, or half and full would pad for the bare kernel."""
    model = check_conv(
        numbers(1, 2, 9, 8), numbers(3, 2, 3, 2), filter_dilation=dilation, border_mode=border_mode
    )
    assert conv_attributes(model)["dilations"] == list(dilation)


def test_13_two_groups() -> None:
    """If this failed, channels of one group would reach filters of another."""
    check_conv(numbers(2, 4, 7, 6), numbers(8, 2, 3, 3), num_groups=2)


def test_14_depthwise() -> None:
    """If this failed, a filter per channel would be a filter over all channels."""
    model = check_conv(numbers(2, 8, 7, 6), numbers(8, 1, 3, 3), num_groups=8)
    assert conv_attributes(model)["group"] == 8


def test_15_colour_images() -> None:
    """If this failed, the sum over input channels would be wrong."""
    check_conv(numbers(2, 3, 9, 9), numbers(16, 3, 3, 3))


def test_16_batch() -> None:
    """If this failed, images of one batch would mix."""
    check_conv(numbers(8, 1, 6, 6), numbers(2, 1, 3, 3))


def test_17_bias_by_dimshuffle() -> None:
    """If this failed, the bias would be added along another axis."""
    x = images()
    w, b = pytensor.shared(numbers(4, 2, 3, 3), "W"), pytensor.shared(numbers(4), "b")
    y = conv.conv2d(x, w) + b.dimshuffle("x", 0, "x", "x")
    exported_like_pytensor([x], [y], [numbers(2, 2, 6, 5)])


def relu(x: Any) -> Any:
    return pt.maximum(x, np.float32(0))


def test_18_relu() -> None:
    """If this failed, negative responses would come through."""
    x = images()
    y = relu(conv.conv2d(x, pytensor.shared(numbers(4, 2, 3, 3), "W")))
    model = exported_like_pytensor([x], [y], [numbers(2, 2, 6, 5)])
    assert run_model(model, numbers(2, 2, 6, 5))[0].min() == 0


@pytest.mark.parametrize("shape", [(None, None, None, None), (None, 2, 6, 5), (3, 2, 6, 5)])
def test_19_flatten(shape: tuple[int | None, ...]) -> None:
    """If this failed, the dense layer behind would get its features in another order."""
    x = images(shape=shape)
    y = relu(conv.conv2d(x, pytensor.shared(numbers(4, 2, 3, 3), "W"))).flatten(2)
    exported_like_pytensor([x], [y], [numbers(3, 2, 6, 5)])


def test_20_ten_layers() -> None:
    """If this failed, names or weights of layers would run into each other."""
    x = images()
    y = x
    for _ in range(10):
        kernel = pytensor.shared(numbers(3, 3, 3, 3) / 4, "W")
        y = relu(conv.conv2d(y, kernel, border_mode="half"))
    model = exported_like_pytensor([x], [y], [numbers(2, 3, 8, 7)])
    assert operators(model).count("Conv") == 10
    assert len(model.graph.initializer) == 10


def test_21_unsupported_attribute_is_refused() -> None:
    """If this failed, a user would get a wrong model, or an error that doesn't help."""
    x, w = images(shape=(1, 2, 5, 5)), pt.tensor("w", dtype="complex64", shape=(None,) * 4)
    with pytest.raises(Refused) as caught:
        export(pytensor.function([w], w * 2, mode=RAW))
    assert "complex64" in str(caught.value)
    assert isinstance(caught.value, NotImplementedError)
    strange = conv.conv2d(x, pt.tensor("k", dtype="float32", shape=(3, 2, 3, 3)))
    strange.owner.op.border_mode = "mirror"
    with pytest.raises(
        Refused, match=r"AbstractConv2d.*conv\.yaml:\d+.*'mirror'.*valid, half, full"
    ):
        export(pytensor.function([x, strange.owner.inputs[1]], strange, mode=RAW))


def test_hints_of_shape_make_no_difference() -> None:
    image, kernel = numbers(2, 3, 7, 6), numbers(4, 3, 3, 2)
    check_conv(image, kernel, input_shape=(2, 3, 7, 6), filter_shape=(4, 3, 3, 2))
    check_conv(image, kernel, input_shape=(None, 3, None, 6), filter_shape=(4, None, 3, None))


def test_kernel_shared_by_a_flipped_and_an_unflipped_convolution() -> None:
    """Both forms of the weights are in the model, each under a name that says which it is."""
    x, w = images(), pytensor.shared(numbers(3, 2, 3, 2), "W")
    outputs = [conv.conv2d(x, w), conv.conv2d(x, w, filter_flip=False)]
    model = exported_like_pytensor([x], outputs, [numbers(2, 2, 6, 5)])
    weights = {i.name: onnx.numpy_helper.to_array(i) for i in model.graph.initializer}
    np.testing.assert_array_equal(weights["W"], w.get_value())
    np.testing.assert_array_equal(weights["W_flip"], w.get_value()[:, :, ::-1, ::-1])


def test_kernel_that_is_an_input_is_flipped_while_running() -> None:
    x, w = images(), pt.tensor("w", dtype="float32", shape=(3, 2, 3, 2))
    model = exported_like_pytensor(
        [x, w], [conv.conv2d(x, w)], [numbers(2, 2, 6, 5), numbers(3, 2, 3, 2)]
    )
    assert operators(model) == ["Slice", "Conv"]


def test_float64_has_all_digits_and_no_warning(recwarn: pytest.WarningsRecorder) -> None:
    """ONNX Runtime has no float64 Conv, although the checker takes one."""
    x, w = images("float64"), pytensor.shared(numbers(3, 2, 3, 2, dtype="float64"), "W")
    function = pytensor.function([x], conv.conv2d(x, w), mode=RAW)
    model = export(function)
    assert not [w for w in recwarn if issubclass(w.category, PrecisionWarning)]
    image = numbers(2, 2, 6, 5, dtype="float64")
    assert_same(run_model(model, image), [function(image)], rtol=1e-12, atol=1e-13)


def test_float64_as_float32_on_request_warns_of_nothing(recwarn: pytest.WarningsRecorder) -> None:
    x, w = images("float64"), pytensor.shared(numbers(3, 2, 3, 2, dtype="float64"), "W")
    function = pytensor.function([x], conv.conv2d(x, w), mode=RAW)
    model = export(function, dtype="float32")
    assert not [w for w in recwarn if issubclass(w.category, PrecisionWarning)]
    image = numbers(2, 2, 6, 5)
    (found,) = run_model(model, image)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, function(image.astype("float64")), rtol=1e-4, atol=1e-5)
    assert operators(model) == ["Conv"]


def test_unshared_is_a_locally_connected_convolution() -> None:
    op = conv.abstract_conv.AbstractConv2d(unshared=True)
    x, w = images(), pt.tensor("w", dtype="float32", shape=(3, 4, 4, 2, 3, 2))
    y = op(x, w)
    arrays = [numbers(1, 2, 6, 5), numbers(3, 4, 4, 2, 3, 2)]
    function = pytensor.function([x, w], y, mode=RAW)
    assert_same(run_model(export(function), *arrays), [function(*arrays)])
    open_kernel = pt.tensor("w", dtype="float32", shape=(None,) * 6)
    with pytest.raises(Refused, match="ONNX needs to know the sizes of the kernel"):
        export(pytensor.function([x, open_kernel], op(x, open_kernel), mode=RAW))


@pytest.mark.parametrize("slices", [(), (slice(None), slice(None), slice(1, None))])
def test_a_kernel_larger_than_its_image_is_refused(slices: Any) -> None:
    """ONNX would take sizes of -1, and what reads the result would end the process."""
    x = pt.tensor("x", shape=(1, 1, 2, 3), dtype="float32")
    y = conv.conv2d(x, np.ones((1, 1, 4, 4), "float32"), border_mode="valid", filter_flip=False)
    with pytest.raises(
        Refused, match=r"shape \[1, 1, -1, 0\], and no axis has fewer than 0 elements"
    ):
        export_graph([x], [y[slices]])
