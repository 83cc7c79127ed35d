"""Settings of every test: no C compiler, as the reference is PyTensor's own Python; seeded numbers."""

from __future__ import annotations

import copy
import os
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
