"""Exports and runs networks: export time, nodes, latency, as ratios of medians over interleaved rounds.

    python benchmarks/run.py [--json FILE] [--rounds N] [--threads N] [NETWORK ...]

Beside PyTensor itself (the function in its default mode) and a floor (the finished graph, built and
serialised by `onnx.helper`), it compares with both exporters of torch where torch is installed, on the same
networks, and with jax2onnx where that is, of what PyTensor's own JAX backend makes of them.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import platform
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import networks
import onnx
import onnxruntime
import pytensor
from networks import NETWORKS, Network
from onnx import ModelProto, helper

from onnx_mapper import export_graph
from onnx_mapper.capture.reading import capture_variables
from onnx_mapper.opsets import DEFAULT_OPSET

NEEDS_CONV2D = {"lenet", "vgg11", "resnet18", "resnet50", "resnet152", "mobilenet_v2"}


@dataclass
class Measured:
    """What was measured of one network.

    Attributes:
        name: The network.
        seconds: Medians of export times by exporter; PyTensor's own rewriting apart.
        spread: The interquartile range of each, relative to its median.
        nodes: Nodes of each model as it is exported.
        after: Nodes that ONNX Runtime runs after its own optimisations.
        latency: Medians of milliseconds a run, by what runs.
        bytes: Size of each model.
        notes: What is missing, and why.
    """

    name: str
    seconds: dict[str, float] = field(default_factory=dict)
    spread: dict[str, float] = field(default_factory=dict)
    nodes: dict[str, int] = field(default_factory=dict)
    after: dict[str, int] = field(default_factory=dict)
    latency: dict[str, float] = field(default_factory=dict)
    bytes: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def median_and_spread(times: list[float]) -> tuple[float, float]:
    """Return a median, and the interquartile range relative to it."""
    middle = statistics.median(times)
    if len(times) < 3:
        return middle, 0.0
    first, _, last = statistics.quantiles(times, n=4)
    return middle, (last - first) / middle


def interleaved(
    runs: Mapping[str, Callable[[], Any]], rounds: int
) -> dict[str, tuple[float, float]]:
    """Return the median seconds and the spread of several things, run in turn."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    return {name: median_and_spread(found) for name, found in times.items()}


def session(model: bytes, threads: int, optimized: str = "") -> Any:
    """Return a session of ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads
    if optimized:
        options.optimized_model_filepath = optimized
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def nodes_after(model: bytes) -> int:
    """Return how many nodes ONNX Runtime runs."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "optimized.onnx")
        session(model, 1, path)
        return len(onnx.load(path).graph.node)


def floor(model: ModelProto) -> bytes:
    """Build a finished graph with `onnx.helper`, and serialise it."""
    nodes = [
        helper.make_node(
            n.op_type,
            n.input,
            n.output,
            **{a.name: helper.get_attribute_value(a) for a in n.attribute},
        )
        for n in model.graph.node
    ]
    graph = helper.make_graph(
        nodes, "floor", model.graph.input, model.graph.output, model.graph.initializer
    )
    return bytes(helper.make_model(graph, ir_version=10).SerializeToString())


def measure(name: str, rounds: int, threads: int) -> Measured:
    """Measure one network."""
    found = Measured(name)
    network = NETWORKS[name]()
    model = export_graph(network.inputs, [network.output])
    models = {"onnx-mapper": model.SerializeToString()}
    plain = export_graph(network.inputs, [network.output], optimize=False)
    models["onnx-mapper, optimize=False"] = plain.SerializeToString()
    exports: dict[str, Callable[[], Any]] = {
        "onnx-mapper": lambda: export_graph(network.inputs, [network.output]).SerializeToString(),
        "PyTensor's rewriting in it": lambda: capture_variables(network.inputs, [network.output]),
        "floor": lambda: floor(model),
    }
    if importlib.util.find_spec("torch") is None:
        found.notes.append("torch is not installed")
    else:
        _add_torch(name, network, models, exports, found)
    if importlib.util.find_spec("jax2onnx") is None:
        found.notes.append("jax2onnx is not installed")
    else:
        _add_jax(network, models, exports, found)
    for which, (median, spread) in interleaved(exports, rounds).items():
        found.seconds[which], found.spread[which] = median, spread
    found.nodes = {which: len(onnx.load_from_string(m).graph.node) for which, m in models.items()}
    found.after = {which: nodes_after(m) for which, m in models.items()}
    found.bytes = {which: len(m) for which, m in models.items()}
    runs: dict[str, Callable[[], Any]] = {}
    for which, data in models.items():
        opened = session(data, threads)
        feed = {opened.get_inputs()[0].name: network.array}
        runs[which] = _runner(opened, feed)
    if name in NEEDS_CONV2D:
        found.notes.append("PyTensor convolves in Python, which is not measured")
    else:
        _add_pytensor(network, runs, found)
    for which, (median, spread) in interleaved(runs, max(rounds, 9)).items():
        found.latency[which] = median * 1e3
        found.spread[f"latency of {which}"] = spread
    return found


def _add_pytensor(network: Network, runs: dict[str, Callable[[], Any]], found: Measured) -> None:
    try:
        function = pytensor.function(network.inputs, network.output)
        function(network.array)
    except Exception as error:  # of whatever its compilers lack here
        found.notes.append(f"PyTensor's default mode fails: {type(error).__name__}")
        return
    runs["PyTensor, default mode"] = lambda: [function(network.array) for _ in range(3)][-1]


def _runner(opened: Any, feed: Mapping[str, Any]) -> Callable[[], Any]:
    opened.run(None, feed)
    return lambda: [opened.run(None, feed) for _ in range(3)][-1]


def _add_torch(
    name: str,
    network: Network,
    models: dict[str, bytes],
    exports: dict[str, Callable[[], Any]],
    found: Measured,
) -> None:
    import torch
    from torch_networks import MODELS

    if name not in MODELS:
        found.notes.append("not written in torch")
        return
    made = MODELS[name]().eval()
    example = (torch.tensor(network.array),)

    def export(dynamo: bool) -> bytes:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if dynamo:
                program = torch.onnx.export(made, example, dynamo=True, verbose=False)
                return bytes(program.model_proto.SerializeToString())
            buffer = io.BytesIO()
            torch.onnx.export(made, example, buffer, dynamo=False)
            return buffer.getvalue()

    for which, dynamo in (("torch, TorchScript", False), ("torch, dynamo", True)):
        try:
            models[which] = export(dynamo)
        except Exception as error:  # of whatever an installation of torch lacks
            found.notes.append(f"{which} fails: {type(error).__name__}: {str(error)[:80]}")
            continue
        exports[which] = partial(export, dynamo)


def _add_jax(
    network: Network,
    models: dict[str, bytes],
    exports: dict[str, Callable[[], Any]],
    found: Measured,
) -> None:
    from jax_functions import exported

    which = "JAX, jax2onnx"
    try:
        models[which] = exported(network, DEFAULT_OPSET)
    except Exception as error:  # of whatever PyTensor's JAX backend or jax2onnx lacks
        found.notes.append(f"{which} fails: {type(error).__name__}: {str(error)[:80]}")
        return
    exports[which] = partial(exported, network, DEFAULT_OPSET)


def versions() -> dict[str, str]:
    """Return what ran."""
    told = {"python": platform.python_version()}
    for package in ("pytensor", "onnx", "onnxruntime", "torch", "jax", "jax2onnx", "onnx-mapper"):
        try:
            told[package] = version(package)
        except PackageNotFoundError:
            continue
    return told


def table(found: list[Measured], part: str, digits: int = 2) -> str:
    """Return a part of what was measured as a table for people and Markdown."""
    columns = list(dict.fromkeys(key for one in found for key in getattr(one, part)))
    lines = [f"| network | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for one in found:
        values = getattr(one, part)
        cells = [f"{values[c]:,.{digits}f}" if c in values else "–" for c in columns]
        lines.append(f"| {one.name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Measure and print; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=", ".join(NETWORKS))
    parser.add_argument("--json", metavar="FILE", help="write what was measured")
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds of exports")
    parser.add_argument("--threads", type=int, default=1, help="threads of ONNX Runtime")
    asked = parser.parse_args(arguments)
    unknown = sorted(set(asked.networks) - set(NETWORKS))
    if unknown:
        parser.error(f"there is no network {unknown[0]!r}; there are: {', '.join(NETWORKS)}")
    found: list[Measured] = []
    has_conv2d = importlib.util.find_spec("pytensor.tensor.conv") is not None
    warm = networks.perceptron(2, 4)
    export_graph(warm.inputs, [warm.output])
    for name in asked.networks or NETWORKS:
        if name in NEEDS_CONV2D and not has_conv2d:
            print(f"{name}: left out, PyTensor {version('pytensor')} has no conv2d")
            continue
        print(f"{name} …", flush=True)
        found.append(measure(name, asked.rounds, asked.threads))
        # What was measured stays where a later network fails, or nobody waits for it.
        if asked.json:
            told = {"versions": versions(), "threads": asked.threads, "rounds": asked.rounds}
            data = {**told, "networks": [asdict(one) for one in found]}
            Path(asked.json).write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    for title, part, digits in (
        ("Export, s", "seconds", 2),
        ("Nodes in the file", "nodes", 0),
        ("Nodes that ONNX Runtime runs", "after", 0),
        ("Three runs, ms", "latency", 2),
        ("Bytes", "bytes", 0),
    ):
        print(f"\n{title}\n\n{table(found, part, digits)}")
    for one in found:
        for note in one.notes:
            print(f"{one.name}: {note}")
    print("\n" + ", ".join(f"{k} {v}" for k, v in {**versions(), "threads": asked.threads}.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
