"""Nodes whose inputs are all known are computed while exporting, by ONNX Runtime itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TypeProto, helper

from onnx_mapper.language.arrays import Array
from onnx_mapper.model.session import open_session

LARGEST_FOLDED_BYTES = 1 << 20

SESSIONS_KEPT = 256
"""How many sessions wait for a node like one that was computed, with other numbers or sizes."""


def worth_folding(types: Mapping[str, TypeProto], inputs: Mapping[str, Array]) -> bool:
    """Tell whether a node's result is small, or no larger than what it is computed from."""
    size = 0
    for type_proto in types.values():
        tensor = type_proto.tensor_type
        if not type_proto.HasField("tensor_type") or not tensor.HasField("shape"):
            return False
        sizes = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in tensor.shape.dim]
        if any(dim < 0 for dim in sizes):
            continue
        itemsize = helper.tensor_dtype_to_np_dtype(tensor.elem_type).itemsize
        size += int(np.prod(sizes, dtype=np.int64)) * itemsize
    return size <= max(LARGEST_FOLDED_BYTES, sum(array.nbytes for array in inputs.values()))


def empty_results(types: Mapping[str, TypeProto], outputs: Sequence[str]) -> list[Array] | None:
    """Return a node's results where all of them surely hold no numbers; None where one may.

    ONNX Runtime's optimiser mistakes some sizes of 0, so no node is left to it there.
    """
    results = []
    for name in outputs:
        tensor = types[name].tensor_type if name in types else None
        if tensor is None or not tensor.elem_type or not tensor.HasField("shape"):
            return None
        sizes = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in tensor.shape.dim]
        if 0 not in sizes or min(sizes) < 0:
            return None
        results.append(np.zeros(sizes, helper.tensor_dtype_to_np_dtype(tensor.elem_type)))
    return results


def compute_node(
    node: NodeProto, inputs: Mapping[str, Array], model: ModelProto
) -> list[Array] | None:
    """Run one node on known inputs.

    Args:
        node: The node.
        inputs: Its inputs by name.
        model: An empty model that carries the opset and IR version.

    Returns:
        The outputs, in order; None where ONNX Runtime fails, as it then would in the model.
    """
    if "" in node.output:
        return None
    told = {name: f"input_{position}" for position, name in enumerate(inputs)}
    alike = NodeProto(op_type=node.op_type, attribute=node.attribute)
    alike.input.extend(told.get(name, "") for name in node.input)
    alike.output.extend(f"output_{position}" for position, _ in enumerate(node.output))
    kinds = tuple((array.dtype.name, array.ndim) for array in inputs.values())
    try:
        session = _session_of(
            alike.SerializeToString(deterministic=True),
            kinds,
            model.SerializeToString(deterministic=True),
        )
        results: list[Array] = session.run(
            None, {told[name]: array for name, array in inputs.items()}
        )
    except Exception:  # it may stand where it never runs
        return None
    return [np.asarray(result) for result in results]


@lru_cache(SESSIONS_KEPT)
def _session_of(node: bytes, kinds: tuple[tuple[str, int], ...], model: bytes) -> Any:
    """Return a session of one node, for inputs of these dtypes and ranks."""
    single = ModelProto.FromString(model)
    single.graph.name = "folded"
    single.graph.node.append(NodeProto.FromString(node))
    for position, (dtype, rank) in enumerate(kinds):
        code = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        single.graph.input.append(
            helper.make_tensor_value_info(f"input_{position}", code, [None] * rank)
        )
    names = single.graph.node[0].output
    single.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    return open_session(single, optimize=False, keeps_memory=False)
