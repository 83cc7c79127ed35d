"""Draws what `run.py` and `densities.py` measured, as SVG files.

    python benchmarks/pictures.py FOLDER [--networks output/bench.json] [--densities output/densities.json]

Needs matplotlib: `pip install onnx-mapper[bench]`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "onnx-mapper"  # the same numbers give the same file
from matplotlib import pyplot  # noqa: E402

Bars = Mapping[str, Sequence[float | None]]


def draw(path: Path, names: Sequence[str], bars: Bars, title: str, log: bool = False) -> None:
    """Draw a group of bars for each name.

    Args:
        path: Where to write the picture.
        names: What was measured, one group each.
        bars: The numbers of each series, one for each name; None where there is none.
        title: What the numbers are, with their unit.
        log: Whether the axis is logarithmic.
    """
    figure, axes = pyplot.subplots(figsize=(10, 0.6 + 0.42 * len(names)))
    height = 0.8 / len(bars)
    for row, (series, numbers) in enumerate(bars.items()):
        places = [at + (row - (len(bars) - 1) / 2) * height for at in range(len(names))]
        axes.barh(places, [number or 0 for number in numbers], height, label=series)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xscale("log" if log else "linear")
    axes.set_title(title, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def of_networks(measured: Mapping[str, Any], folder: Path) -> None:
    """Draw what `run.py` measured: a picture for each part of it."""
    networks = measured["networks"]
    names = [one["name"] for one in networks]
    for part, title in (
        ("seconds", "Seconds from a graph to the model's bytes"),
        ("after", "Nodes that ONNX Runtime runs, after its own optimisations"),
        ("latency", "Milliseconds for three runs in ONNX Runtime"),
    ):
        series = dict.fromkeys(key for one in networks for key in one[part])
        bars = {key: [one[part].get(key) for one in networks] for key in series}
        draw(folder / f"{part}.svg", names, bars, title, log=True)


def of_densities(measured: Mapping[str, Any], folder: Path) -> None:
    """Draw what `densities.py` measured."""
    densities = measured["densities"]
    names = [one["name"] for one in densities]
    times = {
        "Numba": [one["numba"] for one in densities],
        "ONNX Runtime": [one["onnxruntime"] for one in densities],
    }
    draw(
        folder / "densities.svg", names, times, "Microseconds a call of density and gradient", True
    )


def main(arguments: list[str]) -> int:
    """Draw; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="where to write the pictures")
    parser.add_argument("--networks", type=Path, help="what run.py --json wrote")
    parser.add_argument("--densities", type=Path, help="what densities.py --json wrote")
    asked = parser.parse_args(arguments)
    asked.folder.mkdir(parents=True, exist_ok=True)
    for path, drawn in ((asked.networks, of_networks), (asked.densities, of_densities)):
        if path is not None:
            drawn(json.loads(path.read_text(encoding="utf-8")), asked.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
