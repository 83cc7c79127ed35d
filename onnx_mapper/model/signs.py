"""Which tensors hold no negative number, as the nodes tell that made them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from onnx import NodeProto

from onnx_mapper.language.tensors import Value
from onnx_mapper.model.operator_facts import facts_of

Makers = Mapping[str, tuple[NodeProto, tuple[Value | None, ...]]]

MOST_NODES = 100
"""How many nodes are looked at before nothing is said of a tensor."""


def has_no_sign(x: Value, makers: Makers) -> bool:
    """Tell whether every number of a tensor is surely NaN or one without a sign.

    Args:
        x: The tensor.
        makers: The node that made each tensor, and its inputs.

    Returns:
        False also where it isn't clear, and for integers: their sums, products and even absolute
        values wrap around.
    """
    if np.dtype(x.dtype).kind != "f":
        return False
    pending, seen = [x], {x.name}
    while pending:
        if len(seen) > MOST_NODES:
            return False
        value = pending.pop()
        known = value.constant
        if known is not None:
            if not bool((np.isnan(known) | ~np.signbit(known)).all()):
                return False
            continue
        node, inputs = makers.get(value.name, (None, ()))
        follows = None if node is None else _what_decides(node.op_type, inputs)
        if follows is None or None in follows:
            return False
        pending += [part for part in follows if part is not None and part.name not in seen]
        seen.update(part.name for part in follows if part is not None)
    return True


def _what_decides(operator: str, inputs: Sequence[Value | None]) -> Sequence[Value | None] | None:
    """Return the inputs that must be without a sign for a result without one; None for others."""
    sign = facts_of(operator).sign
    if sign == "never":
        return ()
    if sign == "first":
        return inputs[:1]
    if sign == "later":
        return inputs[1:]
    return inputs if sign == "inputs" else None
