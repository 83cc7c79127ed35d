"""Nodes whose inputs are all known are computed while exporting, by ONNX Runtime itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from onnx import ModelProto, NodeProto, TypeProto, helper

from onnx_mapper.language.tensors import Array
from onnx_mapper.model.session import open_session

LARGEST_FOLDED_BYTES = 1 << 20


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
    single = ModelProto()
    single.CopyFrom(model)
    single.graph.name = "folded"
    single.graph.node.append(node)
    for name, array in inputs.items():
        single.graph.input.append(
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
            )
        )
    single.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in node.output)
    try:
        session = open_session(single, optimize=False)
        results: list[Array] = session.run(None, dict(inputs))
    except Exception:  # it may stand where it never runs
        return None
    return [np.asarray(result) for result in results]
