"""A progress bar for people; nothing where nobody looks."""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

WIDTH = 24
SECONDS_BETWEEN = 0.1
SECONDS_UNTIL_LONG = 1.0
"""What takes no longer needs no bar."""


@contextmanager
def progress_if_long(total: int) -> Iterator[Progress]:
    """Show a bar while something takes long, and take it away at the end, also that by an error."""
    progress = Progress(total, SECONDS_UNTIL_LONG)
    try:
        yield progress
    finally:
        progress.clear()


class Progress:
    """A bar on standard error, where that is a terminal and this is no worker of another process.

    Args:
        total: How many steps there are, about.
        after: How many seconds pass before it is shown.
    """

    def __init__(self, total: int, after: float = 0.0) -> None:
        self.total = total
        self.done = 0
        self.shown = False
        alone = multiprocessing.parent_process() is None
        self._next = time.monotonic() + after if alone and sys.stderr.isatty() else float("inf")

    def step(self, name: str) -> None:
        """Count one step, and show its name."""
        self.done += 1
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + SECONDS_BETWEEN
        self.shown = True
        done = min(self.done, self.total)
        filled = WIDTH * done // self.total
        bar = "█" * filled + "·" * (WIDTH - filled)
        self._write(f"\r{bar} {done}/{self.total} {name[:60]:60}")

    def clear(self) -> None:
        """Remove the bar, so that other lines can be printed."""
        if self.shown:
            self._write("\r\033[K")

    def _write(self, text: str) -> None:
        print(text, end="", file=sys.stderr, flush=True)
