"""PyTensor's own Python, without rewrites: what everything is held against."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytensor
from pytensor.compile.mode import Mode
from pytensor.compile.sharedvalue import SharedVariable


def raw_mode() -> Any:
    """Return the mode in which each op runs its `perform`, and nothing is rewritten."""
    return Mode(linker="py", optimizer=None)  # type: ignore[arg-type]


def raw_function(inputs: Sequence[Any], outputs: Sequence[Any]) -> Any:
    """Compile a graph for evaluation by PyTensor's own `perform` methods, without rewrites.

    Shared variables may be among the inputs.
    """
    given: dict[Any, Any] = {
        v: v.type(name=v.name) for v in inputs if isinstance(v, SharedVariable)
    }
    return pytensor.function(  # type: ignore[attr-defined]
        [given.get(variable, variable) for variable in inputs],
        list(outputs),
        mode=raw_mode(),
        givens=given,
        on_unused_input="ignore",
    )
