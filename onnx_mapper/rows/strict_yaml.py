"""YAML, read strictly: what two readers could understand differently is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from onnx_mapper.errors import InvalidRequest, Place, RowError

LARGEST_FILE_BYTES = 1 << 20
DEEPEST_NESTING = 30

Key = tuple[str | int, ...]

_SURPRISES = re.compile(
    r"""^(?:
        (?:yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF)   # booleans in YAML 1.1
        | [-+]?\d+(?::[0-5]?\d)+(?:\.\d*)?                      # sexagesimal numbers in YAML 1.1
        | [-+]?0[0-7]+ | [-+]?0b[01]+                           # octal and binary in YAML 1.1
        | [-+]?\d[\d_]*_[\d_]*(?:\.[\d_]*)?                     # digits with underscores
        | \d{4}-\d\d?-\d\d?.*                                   # dates in YAML 1.1
        | True|TRUE|False|FALSE|Null|NULL                       # other spellings
        | <<
    )$""",
    re.VERBOSE,
)
_INTEGER = re.compile(r"^[-+]?\d+$")
_FLOAT = re.compile(r"^[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?$")
_NAMED = {
    "true": True,
    "false": False,
    "null": None,
    "~": None,
    "": None,
    ".inf": float("inf"),
    "-.inf": float("-inf"),
    ".nan": float("nan"),
}


@dataclass(frozen=True)
class Document:
    """A YAML file's data, and the line of each part of it.

    Attributes:
        file: The name to show in errors.
        data: Lists, dictionaries with text keys, and scalars.
        lines: The line of each part, by the keys and positions that lead to it.
    """

    file: str
    data: Any
    lines: dict[Key, int]

    def line(self, key: Key) -> int:
        """Return the line of a part, or of the nearest part that holds it."""
        while key and key not in self.lines:
            key = key[:-1]
        return self.lines.get(key, 1)


def read(path: Path, shown: str | None = None) -> Document:
    """Read a YAML file.

    Args:
        path: The file.
        shown: The name to show in errors; the file's own name by default.

    Raises:
        RowError: When it can't be read, is no YAML, or holds something ambiguous: duplicate
            keys, anchors and aliases, tags, keys that are no text, YAML 1.1 booleans, octal
            and sexagesimal numbers, dates.
    """
    file = shown or path.name
    try:
        if path.stat().st_size > LARGEST_FILE_BYTES:
            raise RowError(Place(file), f"larger than {LARGEST_FILE_BYTES} bytes: split the file")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RowError(Place(file), f"can't be read as UTF-8 text: {error}") from None
    return parse(text, file)


def parse(text: str, file: str) -> Document:
    """Read YAML from a text; see `read`.

    Example:
        >>> parse("- op: a:B", "rows.yaml").data
        [{'op': 'a:B'}]
    """
    if not yaml.__with_libyaml__:
        raise InvalidRequest(
            "this PyYAML is built without libyaml, which reads mapping files: install a PyYAML wheel "
            "from the package index, or build it with libyaml's headers"
        )
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            _refuse_ambiguous(event, file)
        root = yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 0
        column = f", column {mark.column + 1}" if mark else ""
        raise RowError(
            Place(file, line),
            f"no YAML{column}: {error.problem}; a formula with ': ', ' #' or a leading bracket "
            "needs quotes or block style",
        ) from None
    except (yaml.YAMLError, RecursionError) as error:
        raise RowError(Place(file), f"no YAML: {str(error).splitlines()[0]}") from None
    lines: dict[Key, int] = {}
    data = _build(root, (), file, lines) if root is not None else []
    return Document(file, data, lines)


def _refuse_ambiguous(event: Any, file: str) -> None:
    line = event.start_mark.line + 1
    if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
        raise RowError(
            Place(file, line), "anchors and aliases are not allowed: use a family or a define"
        )
    if getattr(event, "tag", None):
        raise RowError(Place(file, line), f"the tag {event.tag} is not allowed")


def _build(node: Any, key: Key, file: str, lines: dict[Key, int]) -> Any:
    line = node.start_mark.line + 1
    lines[key] = line
    if len(key) > DEEPEST_NESTING:
        raise RowError(Place(file, line), f"nested more than {DEEPEST_NESTING} deep")
    if isinstance(node, yaml.SequenceNode) and node.flow_style:
        _refuse_open_question(node, file)
    if isinstance(node, yaml.SequenceNode):
        return [_build(item, (*key, i), file, lines) for i, item in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        return dict(_entries(node, key, file, lines))
    return _scalar(node, Place(file, line))


def _refuse_open_question(node: Any, file: str) -> None:
    """Refuse a plain `x?` in a list on one line, which not every reader of YAML takes for a text."""
    for item in node.value:
        if isinstance(item, yaml.ScalarNode) and not item.style and item.value.endswith("?"):
            raise RowError(
                Place(file, item.start_mark.line + 1),
                f"{item.value} in a list on one line needs quotes: '{item.value}'",
            )


def _entries(node: Any, key: Key, file: str, lines: dict[Key, int]) -> Iterator[tuple[str, Any]]:
    seen: set[str] = set()
    for name_node, value_node in node.value:
        place = Place(file, name_node.start_mark.line + 1)
        if not isinstance(name_node, yaml.ScalarNode):
            raise RowError(place, "a key must be text")
        name = name_node.value
        if not name_node.style and not isinstance(_scalar(name_node, place), str):
            raise RowError(place, f"the key {name} is no text: write '{name}' in quotes")
        if name in seen:
            raise RowError(place, f"the key {name!r} stands here twice")
        seen.add(name)
        value = _build(value_node, (*key, name), file, lines)
        lines[(*key, name)] = name_node.start_mark.line + 1
        yield name, value


def _scalar(node: Any, place: Place) -> Any:
    text: str = node.value
    if node.style:
        return text
    if _SURPRISES.match(text):
        raise RowError(
            place,
            f"{text} is read differently by YAML 1.1 and 1.2: write '{text}' in quotes for text, "
            "true or false, or a plain decimal number",
        )
    if text in _NAMED:
        return _NAMED[text]
    if _INTEGER.match(text):
        return int(text) if len(text) < 40 else text
    if _FLOAT.match(text):
        return float(text)
    return text
