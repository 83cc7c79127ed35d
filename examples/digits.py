"""Train a small CNN in PyTensor on handwritten digits, export it to ONNX, and compare the two.

    python examples/digits.py [--output digits.onnx]

The images are the 1,797 real ones that scikit-learn ships (8x8 pixels, from the UCI repository).
Every layer is trained, the convolutions too: about twenty seconds on two cores, and half as long
again the first time, when PyTensor compiles C code that it then keeps. Without a C compiler it is
as quick with PYTENSOR_FLAGS=optimizer_excluding=fusion, and takes two minutes otherwise.

Needs PyTensor 2.36.2, the last release with AbstractConv2d, and scikit-learn.
"""

import argparse
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytensor
import pytensor.tensor as pt
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from onnx_mapper import export

try:
    from pytensor.tensor.conv import conv2d
except ImportError:
    print(
        f"PyTensor {pytensor.__version__} has no AbstractConv2d (it was removed in 2.36.3): "
        "install the last release that has it, pip install pytensor==2.36.2, to run this example.",
        file=sys.stderr,
    )
    sys.exit(2)

EPOCHS = 8
BATCH = 32
HELD_OUT = 450

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

labels = pt.lvector("labels")
rate = pt.fscalar("rate")
loss = -pt.log(probabilities[pt.arange(labels.shape[0]), labels]).mean()

updates = {}
for parameter, gradient in zip(parameters, pytensor.grad(loss, parameters), strict=True):
    velocity = pytensor.shared(np.zeros_like(parameter.get_value()))
    updates[velocity] = np.float32(0.9) * velocity - rate * gradient
    updates[parameter] = parameter + updates[velocity]


def train(x: np.ndarray, y: np.ndarray) -> None:
    """Fit the parameters to images and labels, printing the mean loss of each pass."""
    start = time.perf_counter()
    step = pytensor.function([images, labels, rate], loss, updates=updates)
    print(f"  compiled in {time.perf_counter() - start:.0f} s", flush=True)
    start = time.perf_counter()
    for epoch in range(EPOCHS):
        slower = np.float32(0.05 * (1 - epoch / EPOCHS))
        order = rng.permutation(len(x))
        batches = [order[i : i + BATCH] for i in range(0, len(x), BATCH)]
        losses = [step(x[batch], y[batch], slower) for batch in batches]
        print(f"  pass {epoch + 1} of {EPOCHS}: mean loss {np.mean(losses):.4f}", flush=True)
    print(f"  trained in {time.perf_counter() - start:.0f} s")


# --- Comparing ------------------------------------------------------------------------------------


def images_per_second(run: Callable[[np.ndarray], np.ndarray], x: np.ndarray) -> float:
    """Take the best of five runs over all images, so that nothing is measured while it warms up."""
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        run(x)
        best = min(best, time.perf_counter() - start)
    return len(x) / best


def main() -> int:
    """Train, export, compare; the exit status says whether all predictions are the same."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("digits.onnx"), metavar="PATH")
    output: Path = parser.parse_args().output
    output.parent.mkdir(parents=True, exist_ok=True)

    digits = load_digits()
    x = (digits.images[:, np.newaxis] / 16).astype("float32")
    x, x_held_out, y, y_held_out = train_test_split(
        x, digits.target, test_size=HELD_OUT, stratify=digits.target, random_state=0
    )

    print(f"Training on {len(x)} images of digits with PyTensor {pytensor.__version__}")
    train(x, y)

    # This line is what the project is about. `predict` is an ordinary compiled function.
    model = export(predict, output)

    session = onnxruntime.InferenceSession(output, providers=["CPUExecutionProvider"])

    def predict_onnx(images: np.ndarray) -> np.ndarray:
        return session.run(None, {"images": images})[0]

    ours, theirs = predict(x_held_out), predict_onnx(x_held_out)
    differ = int((ours.argmax(axis=1) != theirs.argmax(axis=1)).sum())

    print(f"\nOn {HELD_OUT} images that it has not seen:")
    print("                       PyTensor    ONNX Runtime")
    accuracies = [(p.argmax(axis=1) == y_held_out).mean() for p in (ours, theirs)]
    print("  accuracy           {:>10.2%}  {:>14.2%}".format(*accuracies))
    speeds = [images_per_second(run, x_held_out) for run in (predict, predict_onnx)]
    # PyTensor has no compiled code for AbstractConv2d: it loops over images and filters in Python.
    print("  images per second  {:>10,.0f}  {:>14,.0f}".format(*speeds))
    print(f"  largest difference in a probability: {np.abs(ours - theirs).max():.1e}")
    print(f"  predictions that differ: {differ} of {HELD_OUT}")

    nodes = [node.op_type for node in model.graph.node]
    print(f"\nThe model: {output.stat().st_size:,} bytes, {len(nodes)} nodes")
    print(f"  {' '.join(nodes)}")
    # In an environment that is not activated, commands need their folder.
    mapper = "onnx-mapper"
    if not shutil.which(mapper):
        mapper = os.path.relpath(Path(sys.executable).with_name(mapper))
    print(f"\nIt is in {output}. To look at it:")
    print("  which PyTensor op and which row made each node:")
    print(f"    {mapper} explain {output}")
    print("  as a picture (pip install netron):")
    print(f"    netron {output}")
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
