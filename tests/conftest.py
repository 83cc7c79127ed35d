"""Settings of every test: no C compiler, as the reference is PyTensor's own Python; seeded numbers."""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("PYTENSOR_FLAGS", "cxx=")

_first_states: dict[str, Any] = {}


@pytest.fixture(autouse=True)
def _seeded(request: pytest.FixtureRequest) -> None:
    """Start a module's generator anew, so that a test's numbers depend on no other test."""
    generator = getattr(request.module, "RNG", None) if hasattr(request, "module") else None
    if generator is not None:
        state = generator.bit_generator.state
        first = _first_states.setdefault(request.module.__name__, copy.deepcopy(state))
        generator.bit_generator.state = copy.deepcopy(first)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out on older lines of PyTensor what says nothing of them."""
    import pytensor

    pinned = Path(__file__).parent.parent.joinpath("constraints").glob("pytensor-*.txt")
    lines = [path.stem.removeprefix("pytensor-") for path in pinned]
    newest = max(lines, key=lambda line: [int(part) for part in line.split(".")])
    if pytensor.__version__ in set(lines) - {newest}:
        reason = f"the same on every PyTensor: it runs on {newest}"
        for item in items:
            if item.get_closest_marker("one_line"):
                item.add_marker(pytest.mark.skip(reason=reason))
