"""Log-densities of PyMC models with their gradients: nodes, and latency beside Numba's.

    python benchmarks/densities.py [--json FILE] [--rounds N] [MODEL ...]

Each round calls PyTensor's function in Numba and the model in ONNX Runtime in turn, 200 times each, on the
same numbers; one thread, float64. Ratios of medians are what to look at. Needs PyMC and Numba.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt
from pymc_models import MODELS
from run import interleaved, session, versions

from onnx_mapper import compile, export_graph  # noqa: A004
from onnx_mapper.model.prune import nodes_of

CALLS = 200


@dataclass(frozen=True)
class Density:
    """What was measured of one model.

    Attributes:
        name: The model.
        plain: Its nodes without patterns, those of branches and loops too.
        nodes: Its nodes.
        numba: Microseconds a call in Numba.
        onnxruntime: Microseconds a call in ONNX Runtime.
        compiled: Microseconds a call of what `onnx_mapper.compile` gives.
        mode: Microseconds a call of PyTensor's function in mode "ONNX".
        spread: The largest interquartile range of these, relative to its median.
    """

    name: str
    plain: int
    nodes: int
    numba: float
    onnxruntime: float
    compiled: float
    mode: float
    spread: float


def measure(build: Callable[[], Any], rounds: int) -> Density:
    """Measure one model."""
    model = build()
    inputs = list(model.value_vars)
    density = model.logp()
    outputs = [density, *pt.grad(density, model.continuous_value_vars)]
    point = model.initial_point()
    arrays = [np.asarray(point[variable.name]) for variable in inputs]
    exported = export_graph(inputs, outputs)
    plain = export_graph(inputs, outputs, optimize=False)
    function = pytensor.function(inputs, outputs, mode="NUMBA", on_unused_input="ignore")
    compiled = compile(inputs, outputs)
    in_mode = pytensor.function(inputs, outputs, mode="ONNX", on_unused_input="ignore")
    opened = session(exported.SerializeToString(), 1)
    taken = {port.name for port in opened.get_inputs()}
    given = zip(exported.graph.input, arrays, strict=False)
    feed = {port.name: array for port, array in given if port.name in taken}
    for ours, theirs in zip(opened.run(None, feed), function(*arrays), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-9)
    runs: dict[str, Callable[[], Any]] = {
        "numba": lambda: [function(*arrays) for _ in range(CALLS)],
        "onnxruntime": lambda: [opened.run(None, feed) for _ in range(CALLS)],
        "compiled": lambda: [compiled(*arrays) for _ in range(CALLS)],
        "mode": lambda: [in_mode(*arrays) for _ in range(CALLS)],
    }
    found = interleaved(runs, rounds)
    return Density(
        name=build.__name__,
        plain=len(list(nodes_of(plain.graph))),
        nodes=len(list(nodes_of(exported.graph))),
        **{name: seconds / CALLS * 1e6 for name, (seconds, _) in found.items()},
        spread=max(spread for _, spread in found.values()),
    )


def table(found: list[Density]) -> str:
    """Return what was measured, for people and Markdown."""
    titles = ["model", "nodes, `optimize=False`", "nodes", "Numba, µs", "ONNX Runtime, µs", "ratio"]
    titles += ["`compile`, µs", 'mode "ONNX", µs']
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    lines += [
        f"| {d.name} | {d.plain} | {d.nodes} | {d.numba:.0f} | {d.onnxruntime:.0f} | "
        f"{d.onnxruntime / d.numba:.1f} | {d.compiled:.0f} | {d.mode:.0f} |"
        for d in found
    ]
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Measure and print; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    names = [build.__name__ for build in MODELS]
    parser.add_argument("models", nargs="*", metavar="MODEL", help=", ".join(names))
    parser.add_argument("--json", metavar="FILE", help="write what was measured")
    parser.add_argument("--rounds", type=int, default=9, help="interleaved rounds")
    asked = parser.parse_args(arguments)
    unknown = set(asked.models) - set(names)
    if unknown:
        parser.error(
            f"no model is called {', '.join(sorted(unknown))}; there are: {', '.join(names)}"
        )
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for build in MODELS:
            if not asked.models or build.__name__ in asked.models:
                found.append(measure(build, asked.rounds))
                print(f"{build.__name__}: {found[-1].nodes} nodes", file=sys.stderr)
    print(table(found))
    if asked.json:
        with open(asked.json, "w", encoding="utf-8") as file:
            told = {"versions": versions(), "densities": [asdict(one) for one in found]}
            json.dump(told, file, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
