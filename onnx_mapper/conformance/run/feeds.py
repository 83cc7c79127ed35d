"""The arrays that an item is run on, for every size that its case asks for."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from onnx_mapper.conformance.cases.arrays import Source, combined, filled, ordinary
from onnx_mapper.conformance.cases.model import STATIC, Case, InputSpec
from onnx_mapper.conformance.run.items import Item, names_of
from onnx_mapper.errors import RowError
from onnx_mapper.language.arrays import Array
from onnx_mapper.language.formula import parse_formula
from onnx_mapper.language.scope import Formula, Language, Limit, Scope
from onnx_mapper.language.values import DTYPES, Vector, as_static
from onnx_mapper.opsets import DEFAULT_OPSET

Feed = dict[str, Array]


def feeds_of(item: Item, language: Language) -> list[Feed]:
    """Return the arrays that an item is run on, input by input.

    The first feed holds ordinary numbers in the main sizes; others hold edges, and sizes of 1
    and 0. Constants and shared variables need a model for each feed, so there are few then.

    Raises:
        RowError: When a formula of the case has no answer.
    """
    case = item.case
    assert case is not None
    maker = _Maker(item, case, language)
    feeds = list(maker.main())
    held = {name for name, way in item.setting.given if way != "input"}
    if held:
        return feeds if held & {name for name, _ in case.values} else feeds[:2]
    if item.setting.shapes == STATIC and item.setting.opset != DEFAULT_OPSET:
        return feeds
    return [*feeds, *maker.edge_sizes()]


class _Maker:
    def __init__(self, item: Item, case: Case, language: Language) -> None:
        self.case = case
        self.language = language
        self.names = names_of(item.setting)
        self.dtypes = dict(item.setting.dtypes)
        self.random = np.random.default_rng(item.seed)
        self.sizes = {name: sizes[0] for name, sizes in case.sizes}

    def main(self) -> Iterator[Feed]:
        names = [name for name, _ in self.case.values]
        fixed = [
            [(array, self._array(array, self._spec(name))) for array in arrays]
            for name, arrays in self.case.values
        ]
        for chosen in itertools.product(*fixed):
            given = {name: array for name, (_, array) in zip(names, chosen, strict=True)}
            yield from self._around(given)

    def _around(self, given: Feed) -> Iterator[Feed]:
        """Yield feeds that hold some arrays as they are, and generated ones beside them."""
        sizes = self.sizes | self._sizes_of(given)
        free = [spec for spec in self.case.inputs if spec.name not in given]
        if self.case.elementwise and not given:
            yield combined({s.name: self._source(s, sizes) for s in free}, self.random)
            return
        pools = [filled(self._source(s, sizes), self._shape(s, sizes), self.random) for s in free]
        for position in range(max([len(pool) for pool in pools] or [1])):
            made = {s.name: pool[position % len(pool)] for s, pool in zip(free, pools, strict=True)}
            yield {spec.name: {**given, **made}[spec.name] for spec in self.case.inputs}

    def edge_sizes(self) -> Iterator[Feed]:
        """Yield a feed for each size beyond the first of each free axis name."""
        given = {spec for spec, _ in self.case.values}
        for name, sizes in self.case.sizes:
            for size in sizes[1:]:
                if any(name in _names(spec) for spec in self.case.inputs if spec.name in given):
                    continue
                first = {
                    key: self._array(arrays[0], self._spec(key)) for key, arrays in self.case.values
                }
                changed = self.sizes | self._sizes_of(first) | {name: size}
                yield {
                    spec.name: first[spec.name]
                    if spec.name in first
                    else self._ordinary(spec, changed)
                    for spec in self.case.inputs
                }

    def _ordinary(self, spec: InputSpec, sizes: Mapping[str, int]) -> Array:
        shape = self._shape(spec, sizes)
        count = int(np.prod(shape, dtype=int))
        return ordinary(self._source(spec, sizes), count, self.random).reshape(shape)

    def _spec(self, name: str) -> InputSpec:
        return next(spec for spec in self.case.inputs if spec.name == name)

    def _array(self, written: Any, spec: InputSpec) -> Array:
        array = np.array(self._resolved(written, spec), dtype=self._dtype(spec))
        if array.ndim != len(spec.dims):
            array = array.reshape((*array.shape, *(0,) * (len(spec.dims) - array.ndim)))
        return array

    def _resolved(self, written: Any, spec: InputSpec) -> Any:
        if isinstance(written, list):
            return [self._resolved(part, spec) for part in written]
        if isinstance(written, str):
            return _plain(self._evaluate(parse_formula(written, self.case.place), self.sizes))
        return written

    def _sizes_of(self, given: Feed) -> dict[str, int]:
        """Return the sizes that whole arrays give to free axis names."""
        known = dict(self.case.sizes)
        return {
            dim.text.strip(): size
            for name, array in given.items()
            for dim, size in zip(self._spec(name).dims, array.shape, strict=True)
            if dim.text.strip() in known
        }

    def _dtype(self, spec: InputSpec) -> str:
        return spec.dtype if spec.dtype in DTYPES else self.dtypes[spec.dtype]

    def _source(self, spec: InputSpec, sizes: Mapping[str, int]) -> Source:
        domain = dict(self.case.domain).get(spec.name)
        special = dict(self.case.special).get(spec.name, ())
        bounds = tuple(self._evaluate(bound, sizes) for bound in domain or ())
        numbers = tuple(self._evaluate(number, sizes) for number in special)
        return Source(self._dtype(spec), bounds or None, numbers)

    def _shape(self, spec: InputSpec, sizes: Mapping[str, int]) -> tuple[int, ...]:
        shape = tuple(self._evaluate(dim, sizes) for dim in spec.dims)
        for dim, size in zip(spec.dims, shape, strict=True):
            if not isinstance(size, int) or isinstance(size, bool) or size < 0:
                raise RowError(dim.place, f"{dim.text} is {size!r}, which is no size")
        return shape

    def _evaluate(self, formula: Formula, sizes: Mapping[str, int]) -> Any:
        names = {key: as_static(value) for key, value in {**self.names, **sizes}.items()}
        value = formula.evaluate(Scope(names, self.language, limit=Limit()))
        return (
            int(value)
            if isinstance(value, float) and value.is_integer() and "/" in formula.text
            else value
        )


def shape_of(spec: InputSpec, array: Array, known: bool, names: frozenset[str]) -> tuple[Any, ...]:
    """Return the shape that PyTensor is told: all of it, or only sizes of 1 that are written so."""
    if known or spec.fixed:
        return array.shape
    return tuple(
        1 if size == 1 and not dim.names & names else None
        for dim, size in zip(spec.dims, array.shape, strict=True)
    )


def sizes_in(case: Case, feed: Feed) -> dict[str, int]:
    """Return the sizes that free axis names have in some arrays."""
    free = {name for name, _ in case.sizes}
    return {
        dim.text.strip(): size
        for spec in case.inputs
        for dim, size in zip(spec.dims, feed[spec.name].shape, strict=True)
        if dim.text.strip() in free
    }


def _names(spec: InputSpec) -> frozenset[str]:
    return frozenset().union(*(dim.names for dim in spec.dims))


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, Vector) else value
