"""Formulas as texts, for messages."""


def shortened(text: str, most: int = 80) -> str:
    """Return the text on one line, cut where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"
