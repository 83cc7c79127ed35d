"""The names in one graph: those of the user, and others that clash with none."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType


class Names:
    """Gives every tensor and subgraph a name of its own.

    Args:
        reserved: Names that belong to the user: inputs, outputs, parameters.
    """

    def __init__(self, reserved: Collection[str]) -> None:
        self._taken = set(reserved)
        self._counts: dict[str, int] = {}
        self._renamed: dict[str, str] = {}

    @property
    def renamed(self) -> Mapping[str, str]:
        """The final names of tensors that are renamed."""
        return MappingProxyType(self._renamed)

    def fresh(self, hint: str) -> str:
        """Return a name that nothing in the graph has: the hint itself, or a numbered one."""
        name = hint
        while name in self._taken:
            self._counts[hint] = self._counts.get(hint, 0) + 1
            name = f"{hint}_{self._counts[hint]}"
        self._taken.add(name)
        return name

    def rename(self, name: str, final: str) -> None:
        """Give a computed tensor the user's name, everywhere that it is used."""
        self._renamed[name] = final

    def final(self, name: str) -> str:
        """Return the name that a tensor has in the finished graph."""
        return self._renamed.get(name, name)
