"""Which numbers of a feed a row makes an exception for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from onnx_mapper.conformance.cases.model import Exempt
from onnx_mapper.conformance.graphs.conditions import FUNCTIONS, holds_for
from onnx_mapper.conformance.run.feeds import Feed, sizes_in
from onnx_mapper.conformance.run.items import Item, names_of
from onnx_mapper.language.arrays import Array
from onnx_mapper.language.scope import Language, Scope, truth
from onnx_mapper.language.values import as_static


def defined_parts(item: Item, feed: Feed, language: Language) -> Iterator[Feed]:
    """Yield a feed without the numbers for which PyTensor has no answer."""
    assert item.case is not None
    masks = [_mask(item, exempt, feed, language) for exempt in item.case.avoid]
    yield from _without(feed, [m for m in masks if m is not None], item.case.elementwise)


def deviating_parts(
    item: Item, feed: Feed, language: Language
) -> Iterator[tuple[Feed, Exempt | None]]:
    """Yield the parts of a feed that known deviations are about, and then the rest."""
    assert item.case is not None
    masks = []
    for deviation in item.deviations:
        mask = _mask(item, deviation, feed, language)
        if mask is not None and mask.any():
            yield from ((part, deviation) for part in _only(feed, mask, item.case.elementwise))
            masks.append(mask)
    yield from ((part, None) for part in _without(feed, masks, item.case.elementwise))


def depends_on_opset(item: Item) -> bool:
    """Tell whether some exception holds for some opsets only."""
    assert item.case is not None
    exceptions = (*item.case.avoid, *item.deviations)
    return any("opset" in part.names for e in exceptions for part in (e.when, e.where) if part)


def _mask(item: Item, exempt: Exempt, feed: Feed, language: Language) -> Array | None:
    """Return which numbers an exception is about; None where it is not about this item."""
    assert item.case is not None
    if exempt.case not in (None, item.case.name):
        return None
    sizes = sizes_in(item.case, feed)
    names = {k: as_static(v) for k, v in {**names_of(item.setting), **sizes}.items()}
    read = frozenset().union(*(part.names for part in (exempt.when, exempt.where) if part))
    if read - {*names, *feed, *FUNCTIONS, *language.constants}:
        return None
    if exempt.when is not None and not truth(exempt.when.evaluate(Scope(dict(names), language))):
        return None
    if exempt.where is None:
        return np.ones((), bool)
    return holds_for(exempt.where, {**names, **feed})


def _only(feed: Feed, mask: Array, elementwise: bool) -> Iterator[Feed]:
    if not elementwise or not mask.ndim:
        yield feed
    else:
        yield {name: array[mask] for name, array in feed.items()}


def _without(feed: Feed, masks: Sequence[Array], elementwise: bool) -> Iterator[Feed]:
    if not any(mask.any() for mask in masks):
        yield feed
    elif elementwise and all(mask.ndim for mask in masks):
        keep = ~np.logical_or.reduce(masks)
        if keep.any():
            yield {name: array[keep] for name, array in feed.items()}
