"""Entries of a mapping file against schema/mapping.schema.json."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from onnx_mapper.errors import Place, RowError
from onnx_mapper.language.text import shortened
from onnx_mapper.rows.resources import folder
from onnx_mapper.rows.strict_yaml import Document, Key


def validate_entry(entry: Any, document: Document, key: Key) -> None:
    """Check one entry's shape.

    Raises:
        RowError: At the place that is wrong, with what is allowed there.
    """
    if not isinstance(entry, dict):
        raise RowError(
            Place(document.file, document.line(key)), "an entry is a mapping with `op` or `define`"
        )
    kind = next((key for key in ("defaults", "define", "family", "pattern") if key in entry), "row")
    errors = sorted(_validator(kind).iter_errors(entry), key=_telling, reverse=True)
    if not errors:
        return
    error = errors[0]
    path = tuple(error.absolute_path)
    if error.validator == "additionalProperties":
        path = (*path, _extra(error))
    place = Place(document.file, document.line((*key, *path)), "/".join(map(str, path)))
    raise RowError(place, _explain(error))


def _telling(error: Any) -> tuple[int, bool, int]:
    """Rank an error by how much it tells: deep in the entry, and with few things allowed."""
    narrow = -len(error.validator_value) if error.validator == "enum" else -1000
    return len(error.absolute_path), error.validator == "additionalProperties", narrow


def _extra(error: Any) -> str:
    """Return the first key that a mapping may not have."""
    extra: list[str] = sorted(set(error.instance) - set(error.schema.get("properties", {})))
    return extra[0]


def _explain(error: Any) -> str:
    schema = error.schema
    if error.validator in ("anyOf", "oneOf") and error.absolute_path[-1] == "op":
        return (
            f"{error.instance!r} names no class: write module:Class, such as "
            "pytensor.tensor.special:Softmax, or a list of them"
        )
    if error.validator == "additionalProperties":
        known = sorted(schema.get("properties", {}))
        return f"{_extra(error)!r} is not allowed here; there are: {', '.join(known)}"
    if error.validator == "maxLength":
        most = error.validator_value
        return f"{shortened(repr(error.instance))} has {len(error.instance)} characters, of {most} allowed"
    if error.validator == "enum":
        return (
            f"{error.instance!r} is not allowed; it is one of: {', '.join(error.validator_value)}"
        )
    if error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        return f"{missing[0]!r} is missing; it says: {_described(schema, missing[0])}"
    if error.validator == "pattern":
        return f"{shortened(repr(error.instance))} must look like {error.validator_value}"
    if error.validator == "dependencies":
        return f"{error.message}: it belongs to that verb"
    return shortened(error.message, 200)


def _described(schema: Any, name: str) -> str:
    described = schema.get("properties", {}).get(name, {}).get("description")
    return described or f"what the {name} is"


@cache
def _validator(kind: str) -> Any:
    from jsonschema import Draft7Validator

    path = folder("schema") / "mapping.schema.json"
    schema = json.loads(path.read_text(encoding="utf-8"))
    return Draft7Validator({"$ref": f"#/definitions/{kind}", "definitions": schema["definitions"]})
