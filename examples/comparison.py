"""What the two examples share: the images, the passes over them, and the table that compares."""

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
from onnx import ModelProto
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

EPOCHS = 8
BATCH = 32
HELD_OUT = 450

Step = Callable[[np.ndarray, np.ndarray, float], float]


def output_path(description: str) -> Path:
    """Return where the command line wants the model, and make its folder."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--output", type=Path, default=Path("digits.onnx"), metavar="PATH")
    output: Path = parser.parse_args().output
    output.parent.mkdir(parents=True, exist_ok=True)
    return output


def images_and_labels(channels: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the real digits that scikit-learn ships, 8x8 pixels from 0 to 1.

    Args:
        channels: The place of their only channel among the axes: 1 or 3.

    Returns:
        Images to train on and held-out images, float32, then the labels of both, int64.
    """
    digits = load_digits()
    images = np.expand_dims(digits.images / 16, channels).astype("float32")
    return tuple(
        train_test_split(
            images, digits.target, test_size=HELD_OUT, stratify=digits.target, random_state=0
        )
    )


def train(compile_step: Callable[[], Step], x: np.ndarray, y: np.ndarray) -> None:
    """Take steps of training, printing the mean loss of each pass over the images."""
    print(f"Training on {len(x)} images of digits with PyTensor {pytensor.__version__}", flush=True)
    rng = np.random.default_rng(0)
    start = time.perf_counter()
    step = compile_step()
    step(x[:BATCH], y[:BATCH], 0.0)  # some modes compile when a function is first called
    print(f"  compiled in {time.perf_counter() - start:.0f} s", flush=True)
    start = time.perf_counter()
    for epoch in range(EPOCHS):
        slower = 1 - epoch / EPOCHS
        order = rng.permutation(len(x))
        batches = [order[i : i + BATCH] for i in range(0, len(x), BATCH)]
        losses = [step(x[batch], y[batch], slower) for batch in batches]
        print(f"  pass {epoch + 1} of {EPOCHS}: mean loss {np.mean(losses):.4f}", flush=True)
    print(f"  trained in {time.perf_counter() - start:.0f} s")


def images_per_second(run: Callable[[np.ndarray], np.ndarray], x: np.ndarray) -> float:
    """Take the best of five runs over all images, so that nothing is measured while it warms up."""
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        run(x)
        best = min(best, time.perf_counter() - start)
    return len(x) / best


def compare(
    predict: Callable[[np.ndarray], np.ndarray],
    model: ModelProto,
    output: Path,
    x: np.ndarray,
    y: np.ndarray,
) -> int:
    """Print how the function and its exported model do on images that training has not seen.

    Returns:
        1 where some prediction differs, 0 otherwise.
    """
    session = onnxruntime.InferenceSession(output, providers=["CPUExecutionProvider"])

    def predict_onnx(images: np.ndarray) -> np.ndarray:
        return session.run(None, {"images": images})[0]

    ours, theirs = predict(x), predict_onnx(x)
    differ = int((ours.argmax(axis=1) != theirs.argmax(axis=1)).sum())

    print(f"\nOn {HELD_OUT} images that it has not seen:")
    print("                       PyTensor    ONNX Runtime")
    accuracies = [(p.argmax(axis=1) == y).mean() for p in (ours, theirs)]
    print("  accuracy           {:>10.2%}  {:>14.2%}".format(*accuracies))
    speeds = [images_per_second(run, x) for run in (predict, predict_onnx)]
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
