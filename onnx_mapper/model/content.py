"""A digest of what a model computes: its graph, its opset and its weights, in whatever file they are."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
from onnx import ModelProto

from onnx_mapper.language.arrays import Numbers, pieces_of

DIGEST_BYTES = 16


def content_digest(model: ModelProto, weights: Mapping[str, Numbers]) -> str:
    """Return the digest (BLAKE2b) of a model whose large weights are not in it yet.

    Metadata and the producer's version don't count: models with the same digest give the same numbers.

    Args:
        model: The model, without its large weights.
        weights: These, by the initializer's name.
    """
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for entry in model.opset_import:
        digest.update(f"{entry.domain} {entry.version};".encode())
    digest.update(model.graph.SerializeToString(deterministic=True))
    for name, numbers in weights.items():
        digest.update(f"{name} {numbers.dtype} {numbers.shape};".encode())
        for _, piece in pieces_of(numbers):
            little = piece.astype(piece.dtype.newbyteorder("<"), copy=False)
            digest.update(np.ascontiguousarray(little).view(np.uint8).data)
    return digest.hexdigest()
