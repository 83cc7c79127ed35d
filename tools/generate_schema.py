"""Write schema/mapping.schema.json: what a mapping file may look like.

Operators and their attributes come from onnx.defs, so that an editor completes them and
underlines a mistake before anything runs. `--check` fails where the committed file is stale.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from case_schema import CASES, DEVIATIONS, EQUIVALENT, EVERY_CASE, TOLERANCE

from onnx_mapper.language.vocabulary import CALLS
from onnx_mapper.model.operators import all_operators, attributes_of
from onnx_mapper.rows.hooks import HOOKS

TARGET = Path(__file__).parent.parent / "schema" / "mapping.schema.json"

FORMULA = {
    "description": "A formula: a restricted Python expression, see docs/formulas.md. Beside operators "
    f"and definitions it can call: {', '.join(call.shown for call in CALLS.values())}.",
    "type": ["string", "number", "boolean"],
    "maxLength": 800,
}
BODY = {
    "description": "The op in ONNX: one expression, or statements whose last is the result.",
    "if": {"type": "array"},
    "then": {
        "type": "array",
        "items": {
            "if": {"type": "object"},
            "then": {
                "description": "The result where a condition holds: `when condition: result`.",
                "propertyNames": {"pattern": "^when "},
                "additionalProperties": {"$ref": "#/definitions/formula"},
                "minProperties": 1,
                "maxProperties": 1,
            },
            "else": {"type": "string", "maxLength": 800},
        },
        "minItems": 1,
        "maxItems": 120,
    },
    "else": {"type": "string", "maxLength": 800},
}
REASON = {"type": "string", "minLength": 8}
CLASS_PATH = {
    "type": "string",
    "pattern": r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$",
    "description": "The Op's class, as module:Class.",
}
FAMILY_PATH = {"type": "string", "pattern": r"^[A-Za-z_][\w.]*:\*$"}
NAME = {"type": "string", "pattern": "^[a-z][a-z0-9_]*$"}


def schema() -> dict[str, Any]:
    """Return the JSON Schema (draft-07)."""
    with_attributes = {name: sorted(attributes_of(name)) for name in all_operators()}
    branches = [
        {
            "if": {"properties": {"onnx": {"type": "string", "pattern": rf"^{name}\("}}},
            "then": {
                "properties": {
                    "attributes": {
                        "additionalProperties": {"properties": {"to": {"enum": attributes}}}
                    }
                }
            },
        }
        for name, attributes in with_attributes.items()
        if attributes
    ]
    every_attribute = sorted({a for names in with_attributes.values() for a in names})
    definitions: dict[str, Any] = {
        "formula": FORMULA,
        "body": BODY,
        "hook": {
            "type": "object",
            "description": "One of the Python escapes. There is no third.",
            "properties": {"hook": {"enum": sorted(HOOKS)}},
            "required": ["hook"],
            "additionalProperties": False,
        },
        "formulaOrHook": {
            "if": {"type": "object"},
            "then": {"$ref": "#/definitions/hook"},
            "else": {"$ref": "#/definitions/formula"},
        },
        "cases": CASES,
        "everyCase": EVERY_CASE,
        "deviations": DEVIATIONS,
        "equivalent": EQUIVALENT,
        "attribute": {
            "type": "object",
            "description": "What becomes of an attribute: exactly one of to, rewrite, require, "
            "ignore.",
            "minProperties": 1,
            "additionalProperties": False,
            "properties": {
                "to": {"enum": every_attribute, "description": "It becomes this ONNX attribute."},
                "value": {"$ref": "#/definitions/formula"},
                "table": {
                    "type": "object",
                    "minProperties": 1,
                    "additionalProperties": {"$ref": "#/definitions/formula"},
                },
                "otherwise": {"$ref": "#/definitions/formulaOrHook"},
                "rewrite": {
                    "type": "object",
                    "minProperties": 1,
                    "description": "When the attribute is true, these inputs are replaced.",
                    "additionalProperties": {"$ref": "#/definitions/formulaOrHook"},
                },
                "require": {"description": "Any other value is refused."},
                "because": REASON,
                "ignore": {**REASON, "description": "Why it has no effect on values."},
            },
            "dependencies": {
                "value": ["to"],
                "table": ["to"],
                "otherwise": ["to"],
                "because": ["require"],
            },
        },
    }
    row_properties: dict[str, Any] = {
        "op": {
            "oneOf": [CLASS_PATH, {"type": "array", "items": CLASS_PATH, "minItems": 1}],
            "description": "The Op's class, or all the homes that it has had.",
        },
        "summary": {
            "type": "string",
            "minLength": 4,
            "maxLength": 200,
            "description": "In one line, what the op computes.",
        },
        "subclasses": {"type": "boolean"},
        "broadcasts": {"type": "boolean"},
        "inputs": {
            "type": "array",
            "items": {"type": "string", "pattern": r"^(\*[a-z][a-z0-9_]*|[a-z][a-z0-9_]*[?=]?)$"},
            "uniqueItems": True,
        },
        "reads": {
            "type": "array",
            "items": {"type": "string", "pattern": r"^[A-Za-z][A-Za-z0-9_]*\??$"},
        },
        "choose": {"$ref": "#/definitions/formula"},
        "needs": {"type": "object", "additionalProperties": REASON, "minProperties": 1},
        "promote": {
            "if": {"type": "object"},
            "then": {"additionalProperties": {"$ref": "#/definitions/formula"}},
            "else": {"$ref": "#/definitions/formula"},
        },
        "let": {
            "type": "object",
            "propertyNames": NAME,
            "additionalProperties": {"$ref": "#/definitions/formula"},
        },
        "rewrite": {
            "type": "object",
            "minProperties": 1,
            "propertyNames": NAME,
            "description": "What takes the place of these inputs.",
            "additionalProperties": {"$ref": "#/definitions/formula"},
        },
        "onnx": {"$ref": "#/definitions/body"},
        "outputs": {"type": "array", "items": NAME, "minItems": 1, "uniqueItems": True},
        "attributes": {
            "type": "object",
            "propertyNames": {"pattern": r"^[A-Za-z]\w*\??$"},
            "additionalProperties": {"$ref": "#/definitions/attribute"},
        },
        "inline": {"type": "string", "description": "The attribute that holds an inner graph."},
        "delegate": {"type": "string", "description": "The attribute that holds another op."},
        "unfuse": {
            "type": "string",
            "description": "The attribute with a reduction's step, fused with elementwise ops.",
        },
        "batched": {
            "type": "boolean",
            "description": "The body also holds for inputs with leading batch axes.",
        },
        "finish": {"$ref": "#/definitions/formula"},
        "refuse": REASON,
        "every_case": {"$ref": "#/definitions/everyCase"},
        "cases": {"$ref": "#/definitions/cases"},
        "deviations": {"$ref": "#/definitions/deviations"},
        "equivalent": {"$ref": "#/definitions/equivalent"},
    }
    definitions["row"] = {
        "type": "object",
        "required": ["op", "summary"],
        "additionalProperties": False,
        "properties": row_properties,
        "allOf": branches,
    }
    member = {key: value for key, value in row_properties.items() if key not in ("subclasses",)}
    definitions["family"] = {
        "type": "object",
        "required": ["family", "op", "rows"],
        "additionalProperties": False,
        "properties": {
            **row_properties,
            "family": {"type": "string", "minLength": 3},
            "op": {"oneOf": [FAMILY_PATH, {"type": "array", "items": FAMILY_PATH, "minItems": 1}]},
            "rows": {
                "type": "object",
                "minProperties": 1,
                "propertyNames": {"pattern": r"^[A-Za-z_]\w*$"},
                "additionalProperties": {
                    "if": {"type": "object"},
                    "then": {"additionalProperties": False, "properties": member},
                    "else": {"$ref": "#/definitions/body"},
                },
            },
        },
    }
    definitions["define"] = {
        "type": "object",
        "required": ["define", "summary", "onnx"],
        "additionalProperties": False,
        "properties": {
            "define": {"type": "string", "description": "The function's name: `log1p(x)`."},
            "summary": row_properties["summary"],
            "numbers": {
                "type": "object",
                "description": "Tables of numbers, such as coefficients, by the names that `onnx` reads.",
                "propertyNames": {"pattern": r"^[a-z][a-z0-9_]*$"},
                "additionalProperties": {
                    "type": "array",
                    "items": {"type": "number"},
                    "minItems": 1,
                },
                "minProperties": 1,
            },
            "onnx": {"$ref": "#/definitions/body"},
            "equivalent": {"$ref": "#/definitions/equivalent"},
        },
    }
    definitions["pattern"] = {
        "type": "object",
        "required": ["pattern", "summary", "match", "onnx", "cases"],
        "additionalProperties": False,
        "description": "What several nodes together are.",
        "properties": {
            "pattern": {"type": "string", "pattern": r"^[A-Z]\w*$", "description": "Its name."},
            "summary": row_properties["summary"],
            "match": {
                "description": "The nodes that are looked for: Add(conv := Conv(x, w), k), or several forms.",
                "if": {"type": "array"},
                "then": {"items": {"type": "string", "maxLength": 800}, "minItems": 1},
                "else": {"type": "string", "maxLength": 800},
            },
            "where": {
                "type": "array",
                "items": {"$ref": "#/definitions/formula"},
                "minItems": 1,
                "description": "Conditions that must hold there.",
            },
            "onnx": {"$ref": "#/definitions/body"},
            "every_case": {"$ref": "#/definitions/everyCase"},
            "cases": {"$ref": "#/definitions/cases"},
            "deviations": {"$ref": "#/definitions/deviations"},
            "equivalent": {"$ref": "#/definitions/equivalent"},
        },
    }
    definitions["defaults"] = {
        "type": "object",
        "required": ["defaults"],
        "additionalProperties": False,
        "description": "What the rows of this file share; its first entry.",
        "properties": {
            "defaults": {
                "type": "string",
                "minLength": 8,
                "description": "What they have in common.",
            },
            "every_case": {"$ref": "#/definitions/everyCase"},
            "tolerances": {
                "type": "object",
                "propertyNames": NAME,
                "additionalProperties": TOLERANCE,
                "description": "Tolerances of cases, by the names that cases call them.",
            },
            "ignore": {
                "type": "object",
                "propertyNames": {"pattern": r"^[A-Za-z_]\w*$"},
                "additionalProperties": REASON,
                "description": "Attributes without effect, which rows need not tell of, and why.",
            },
            "needs": {
                "type": "object",
                "additionalProperties": REASON,
                "minProperties": 1,
                "description": "Conditions of all rows that map anything, behind their own, with reasons.",
            },
        },
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Mapping rows of onnx-mapper",
        "type": "array",
        "items": {
            "type": "object",
            "if": {"required": ["define"]},
            "then": {"$ref": "#/definitions/define"},
            "else": {
                "if": {"required": ["family"]},
                "then": {"$ref": "#/definitions/family"},
                "else": {
                    "if": {"required": ["defaults"]},
                    "then": {"$ref": "#/definitions/defaults"},
                    "else": {
                        "if": {"required": ["pattern"]},
                        "then": {"$ref": "#/definitions/pattern"},
                        "else": {"$ref": "#/definitions/row"},
                    },
                },
            },
        },
        "definitions": definitions,
    }


def main(arguments: list[str]) -> int:
    """Write the schema, or check the committed one; return the exit status."""
    text = json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"
    if "--check" in arguments:
        if TARGET.exists() and TARGET.read_text(encoding="utf-8") == text:
            return 0
        print(f"{TARGET.name} is stale: run `python tools/generate_schema.py`", file=sys.stderr)
        return 1
    TARGET.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
