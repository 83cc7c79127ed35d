"""The part of the schema that is about conformance: cases, deviations, equivalent mutants."""

from __future__ import annotations

from typing import Any

REASON = {"type": "string", "minLength": 8}
NUMBER = {"type": ["number", "boolean", "string"], "description": "A number, or a formula for one."}
NAMES = {"pattern": r"^[A-Za-z_]\w*$"}
DTYPES = {
    "description": "A dtype, a group (floats, ints, signed, unsigned, numbers, all), or a list.",
    "oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}],
}
WAY = {"enum": ["input", "constant", "shared"]}
OPSETS = {"type": "array", "items": {"type": "integer"}, "minItems": 1}
SHAPES = {"enum": ["static", "dynamic"]}


def one_or_list(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema for one thing or a list of them."""
    return {"if": {"type": "array"}, "then": {"items": schema, "minItems": 1}, "else": schema}


def mapping_of(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema for names with values of one kind."""
    return {"type": "object", "propertyNames": NAMES, "additionalProperties": schema}


CHOICE: dict[str, Any] = {
    "with": {**mapping_of({}), "description": "Values of grid names."},
    "dtypes": mapping_of(DTYPES),
    "given": mapping_of(WAY),
    "opsets": OPSETS,
    "shapes": SHAPES,
}
OPERATOR = {"type": "string", "pattern": r"^[A-Z]\w*$"}
EXEMPT: dict[str, Any] = {
    "type": "object",
    "required": ["because"],
    "additionalProperties": False,
    "properties": {
        "when": {"type": "string", "description": "A formula: which models it is about."},
        "where": {"type": "string", "description": "Which numbers, as in `isnan(x) & (y == 0)`."},
        "because": REASON,
    },
}
TOLERANCE: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "ulps": {"type": "number", "minimum": 0},
        "rtol": {"type": "number", "minimum": 0},
        "atol": {"type": "number", "minimum": 0},
        "of": {
            "enum": ["largest"],
            "description": "Ulps of the output's largest number, as sums need.",
        },
        "signed_zeros": {"type": "boolean", "description": "Tell 0 and -0 apart."},
        "because": REASON,
    },
    "anyOf": [
        {"required": ["because"]},
        {"required": ["signed_zeros"], "maxProperties": 1},
    ],
}
CASE: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "pattern": r"^[a-z0-9][a-z0-9_]*$"},
        "pytensor": {
            "type": "string",
            "pattern": r"^(<|>=)?\d+(\.\d+)*$",
            "description": "The versions of PyTensor that it is about: 2 for all of 2.x, <3.1, >=3.1.",
        },
        "inputs": {
            **mapping_of({"type": "string", "maxLength": 200}),
            "description": "Each input's dtype and shape: T[n,4] (a letter for several dtypes, "
            "a free name for several sizes), f32[2,3], i64.",
        },
        "dtypes": mapping_of(DTYPES),
        "grid": mapping_of({"type": "array", "minItems": 1}),
        "given": mapping_of(one_or_list(WAY)),
        "graph": {"type": "string", "maxLength": 800},
        "static": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Inputs whose shape is known at export in every case.",
        },
        "sizes": mapping_of(one_or_list({"type": "integer", "minimum": 0})),
        "domain": mapping_of({"type": "array", "items": NUMBER, "minItems": 2, "maxItems": 2}),
        "special": mapping_of({"type": "array", "items": NUMBER, "minItems": 1}),
        "values": mapping_of({"type": "array", "minItems": 1}),
        "opsets": OPSETS,
        "shapes": SHAPES,
        "random": {
            "enum": ["input", "node"],
            "description": "Where the numbers come from that draws are computed from; by default inputs.",
        },
        "avoid": {"type": "array", "items": EXEMPT},
        "expect": {
            "description": "The operators of the models, in order.",
            "type": "array",
            "items": {
                "if": {"type": "string"},
                "then": OPERATOR,
                "else": {
                    "type": "object",
                    "required": ["nodes"],
                    "additionalProperties": False,
                    "properties": {**CHOICE, "nodes": {"type": "array", "items": OPERATOR}},
                },
            },
        },
        "tolerance": {
            "if": {"type": "object"},
            "then": TOLERANCE,
            "else": {"type": "string", **NAMES, "description": "One of the file's `defaults`."},
        },
        "refuse": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["says"],
                "additionalProperties": False,
                "properties": {
                    **CHOICE,
                    "graph": {"type": "string", "maxLength": 800},
                    "says": {"type": "string", "minLength": 3},
                },
            },
        },
    },
}
CASES = one_or_list(CASE)
EVERY_CASE: dict[str, Any] = {
    "type": "object",
    "description": "What all cases have that don't say otherwise.",
    "minProperties": 1,
    "additionalProperties": False,
    "properties": {
        key: CASE["properties"][key]
        for key in ("sizes", "domain", "special", "opsets", "shapes", "tolerance")
    },
}
DEVIATION = {
    **EXEMPT,
    "properties": {
        "case": {"type": "string", "description": "The name of the case that it is about."},
        "pytensor": CASE["properties"]["pytensor"],
        **EXEMPT["properties"],
    },
}
DEVIATIONS = {"type": "array", "items": DEVIATION}
EQUIVALENT = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["mutant", "because"],
        "additionalProperties": False,
        "properties": {
            "mutant": {"type": "string"},
            "because": REASON,
            "pytensor": CASE["properties"]["pytensor"],
        },
    },
}
