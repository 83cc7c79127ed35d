"""Which open sizes of a graph's inputs turn out to be equal, because an op broadcasts them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onnx_mapper.language.tensors import Value, symbol_of

AxisOfInput = tuple[str, int]


class EqualSizes:
    """Open sizes that meet in an elementwise op, where PyTensor lets none but a static 1 differ.

    Example:
        >>> equal = EqualSizes()
        >>> equal.symbols([("x", 2), ("t", 1)])
        {}
    """

    def __init__(self) -> None:
        self._leader: dict[str, str] = {}

    def meet(self, values: Sequence[Any]) -> None:
        """Note that tensors of one rank are broadcast together."""
        tensors = [value for value in values if isinstance(value, Value) and value.sizes]
        for axis in range(max((len(value.sizes) for value in tensors), default=0)):
            met = [v.sizes[axis] for v in tensors if axis < len(v.sizes)]
            symbols = [size.symbol for size in met if size is not None]
            for symbol in symbols[1:]:
                self._join(symbols[0], symbol)

    def _join(self, one: str, other: str) -> None:
        first, second = self._find(one), self._find(other)
        if first != second:
            self._leader[second] = first

    def _find(self, symbol: str) -> str:
        while symbol in self._leader:
            symbol = self._leader[symbol]
        return symbol

    def symbols(self, inputs: Sequence[tuple[str, int]]) -> dict[AxisOfInput, str]:
        """Return the symbol of each axis that has met another input's: equal ones have one.

        An axis that has met none is left out. What more is learned when these symbols are used
        adds to what is known, so that doing this again and again comes to an end.

        Args:
            inputs: Name and rank of each input.
        """
        groups: dict[str, list[AxisOfInput]] = {}
        for name, rank in inputs:
            for axis in range(rank):
                groups.setdefault(self._find(symbol_of(name, axis)), []).append((name, axis))
        return {
            member: symbol_of(*group[0])
            for group in groups.values()
            if len(group) > 1
            for member in group
        }
