"""Train a small CNN of pytensor-ml on handwritten digits, export it to ONNX, and compare the two.

    python examples/digits_pytensor_ml.py [--output digits.onnx]

The images are the 1,797 real ones that scikit-learn ships (8x8 pixels, from the UCI repository).
Every layer is trained, the convolutions too: about a minute on two cores the first time, nearly
all of it for Numba, which compiles what PyTensor hands it; seconds when that is done.

Needs PyTensor 3.3 or newer, pytensor-ml and scikit-learn.
"""

import sys

import numpy as np
import pytensor
import pytensor.tensor as pt

from onnx_mapper import export

try:
    from pytensor_ml.activations import ReLU
    from pytensor_ml.layers import Conv2D, Flatten, Input, Linear, MaxPool2D, Sequential
    from pytensor_ml.pytensorf import collect_trainable_params
    from pytensor_ml.state import initialize_params
except ImportError:
    print(
        "pytensor-ml is missing: pip install pytensor-ml (it needs Python 3.12 and PyTensor 3.3 "
        "or newer). On PyTensor 2.36.2 run examples/digits.py.",
        file=sys.stderr,
    )
    sys.exit(2)

from comparison import compare, images_and_labels, output_path, train

pytensor.config.floatX = "float32"


# --- The model, as a user of pytensor-ml writes it ------------------------------------------------

images = Input("images", shape=(None, 8, 8, 1), dtype="float32")

# 8 filters keep the 8x8 pixels, which are halved to 4x4; 16 more; a dense layer reads 256 numbers.
network = Sequential(
    Conv2D("conv1", in_channels=1, out_channels=8, kernel_size=3, padding="same"),
    ReLU(),
    MaxPool2D(kernel_size=2),
    Conv2D("conv2", in_channels=8, out_channels=16, kernel_size=3, padding="same"),
    ReLU(),
    Flatten,
    Linear("dense", n_in=256, n_out=10),
)
probabilities = pt.special.softmax(network(images), axis=1)
probabilities.name = "probabilities"

parameters = collect_trainable_params(probabilities)
for parameter, value in zip(parameters, initialize_params(parameters, rng=0), strict=True):
    parameter.set_value(value)

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
    x, x_held_out, y, y_held_out = images_and_labels(channels=3)
    train(compile_step, x, y)

    # This line is what the project is about. `predict` is an ordinary compiled function.
    model = export(predict, output)

    return compare(predict, model, output, x_held_out, y_held_out)


if __name__ == "__main__":
    sys.exit(main())
