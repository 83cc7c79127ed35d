"""A progress bar for people; nothing where nobody looks."""

from __future__ import annotations

import sys

WIDTH = 24


class Progress:
    """A bar on standard error, where that is a terminal.

    Args:
        total: How many steps there are.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.done = 0
        self.shown = sys.stderr.isatty()

    def step(self, name: str) -> None:
        """Count one step, and show its name."""
        self.done += 1
        if self.shown:
            filled = WIDTH * self.done // self.total
            bar = "█" * filled + "·" * (WIDTH - filled)
            self._write(f"\r{bar} {self.done}/{self.total} {name[:60]:60}")

    def clear(self) -> None:
        """Remove the bar, so that other lines can be printed."""
        if self.shown:
            self._write("\r\033[K")

    def _write(self, text: str) -> None:
        print(text, end="", file=sys.stderr, flush=True)
