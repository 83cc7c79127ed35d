"""Train a small CNN in PyTensor on handwritten digits, export it to ONNX, and compare the two.

    python examples/digits.py [--output digits.onnx]

The images are the 1,797 real ones that scikit-learn ships (8x8 pixels, from the UCI repository).
Every layer is trained, the convolutions too: about twenty seconds on two cores, and half as long
again the first time, when PyTensor compiles C code that it then keeps. Without a C compiler it is
as quick with PYTENSOR_FLAGS=optimizer_excluding=fusion, and takes two minutes otherwise.

Needs PyTensor 2.36.2, the last release with AbstractConv2d, and scikit-learn. On today's PyTensor
networks are written with pytensor-ml: see digits_pytensor_ml.py.
"""

import sys

import numpy as np
import pytensor
import pytensor.tensor as pt

from onnx_mapper import export

try:
    from pytensor.tensor.conv import conv2d
except ImportError:
    print(
        f"PyTensor {pytensor.__version__} has no AbstractConv2d (it was removed in 2.36.3): run "
        "examples/digits_pytensor_ml.py, or install the last release that has it, "
        "pip install pytensor==2.36.2, to run this example.",
        file=sys.stderr,
    )
    sys.exit(2)

from comparison import compare, images_and_labels, output_path, train

rng = np.random.default_rng(0)


# --- The model, as a PyTensor user writes it ------------------------------------------------------


def weights(name: str, *shape: int, fan_in: int):
    """Make a shared variable with He-initialised float32 values."""
    values = rng.normal(scale=np.sqrt(2 / fan_in), size=shape)
    return pytensor.shared(values.astype("float32"), name=name)


def zeros(name: str, *shape: int):
    """Make a shared variable of float32 zeros."""
    return pytensor.shared(np.zeros(shape, dtype="float32"), name=name)


kernel1, bias1 = weights("kernel1", 8, 1, 3, 3, fan_in=9), zeros("bias1", 8)
kernel2, bias2 = weights("kernel2", 16, 8, 3, 3, fan_in=72), zeros("bias2", 16)
dense, bias3 = weights("dense", 256, 10, fan_in=256), zeros("bias3", 10)
parameters = [kernel1, bias1, kernel2, bias2, dense, bias3]


def relu(x):
    """Replace what is negative by zero."""
    return pt.maximum(x, 0)


images = pt.tensor("images", shape=(None, 1, 8, 8), dtype="float32")

# 8 filters keep the 8x8 pixels; 16 more halve them to 4x4; a dense layer reads those 256 numbers.
hidden = conv2d(images, kernel1, border_mode="half")
hidden = relu(hidden + bias1.dimshuffle("x", 0, "x", "x"))
hidden = conv2d(hidden, kernel2, border_mode="half", subsample=(2, 2))
hidden = relu(hidden + bias2.dimshuffle("x", 0, "x", "x"))
probabilities = pt.special.softmax(hidden.flatten(2) @ dense + bias3, axis=1)
probabilities.name = "probabilities"

predict = pytensor.function([images], probabilities)


# --- Training: stochastic gradient descent with momentum ------------------------------------------


def compile_step():
    """Compile a step of training, which takes images, labels and a part of the learning rate."""
    labels = pt.lvector("labels")
    rate = pt.fscalar("rate")
    loss = -pt.log(probabilities[pt.arange(labels.shape[0]), labels]).mean()
    updates = {}
    for parameter, gradient in zip(parameters, pytensor.grad(loss, parameters), strict=True):
        velocity = pytensor.shared(np.zeros_like(parameter.get_value()))
        updates[velocity] = np.float32(0.9) * velocity - rate * gradient
        updates[parameter] = parameter + updates[velocity]
    step = pytensor.function([images, labels, rate], loss, updates=updates)
    return lambda x, y, part: step(x, y, np.float32(0.05 * part))


def main() -> int:
    """Train, export, compare; the exit status says whether all predictions are the same."""
    output = output_path(__doc__.splitlines()[0])
    x, x_held_out, y, y_held_out = images_and_labels(channels=1)
    train(compile_step, x, y)

    # This line is what the project is about. `predict` is an ordinary compiled function.
    model = export(predict, output)

    # PyTensor has no compiled code for AbstractConv2d: it loops over images and filters in Python.
    return compare(predict, model, output, x_held_out, y_held_out)


if __name__ == "__main__":
    sys.exit(main())
