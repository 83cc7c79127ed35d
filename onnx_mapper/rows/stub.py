"""The beginning of a row for an Op class: what can be read off the class, and what is left to say."""

from __future__ import annotations

import inspect
from typing import Any

import yaml

from onnx_mapper.errors import InvalidRequest
from onnx_mapper.rows.op_classes import class_path, props_of

TODO = "TODO"
_NAMES = ("x", "y", "z", "u", "v", "w")


def stub_of(cls: Any) -> str:
    """Return a mapping file with one row for an Op class.

    Each attribute has a verb that is sure to be right, `require` of its default, until another is chosen;
    what is left to say is marked TODO, and `onnx-mapper lint` tells where.

    Args:
        cls: The Op class.

    Raises:
        InvalidRequest: When it is no Op class.
    """
    if not inspect.isclass(cls) or not hasattr(cls, "make_node"):
        raise InvalidRequest(f"{cls!r} is no Op class of PyTensor's: it has no make_node")
    inputs = _inputs_of(cls)
    props = props_of(cls)
    defaults = _defaults_of(cls)
    arguments = ", ".join(f"{name}={name}" for name in props)
    named = [name.strip("*?") for name in inputs]
    lines = [
        f"# What {cls.__name__} is in ONNX. docs/rows.md tells of each key, docs/formulas.md of formulas.",
        "# Then: onnx-mapper lint THIS_FILE, and onnx-mapper test THIS_FILE --import MODULE",
        "",
        f"- op: {class_path(cls)}",
        f"  summary: {TODO} what it computes, in one line.",
        f"  inputs: [{', '.join(_quoted(name) for name in inputs)}]",
        "  # A Capitalised call is an ONNX node; attributes below with `to:` belong to the last one.",
        f"  onnx: {TODO}({', '.join(named)})",
    ]
    if props:
        lines += [
            "  # One verb for each attribute, or none where a formula reads it:",
            "  #   {to: axis}            becomes that attribute of the ONNX node",
            "  #   {to: mode, table: {a: b}}   the same, by value",
            "  #   {require: 0, because: …}    any other value is refused",
            "  #   {ignore: why it has no effect on the values}",
            "  attributes:",
        ]
        lines += [f"    {name}: {_required(defaults.get(name))}" for name in props]
    grid = [f"        {name}: [{_yaml(defaults.get(name))}]" for name in props]
    lines += [
        "  # Tests: inputs with dtype and shape, each attribute's values, and the graph they make.",
        "  cases:",
        f"    - inputs: {{{', '.join(_input(name) for name in named)}}}",
        "      dtypes: {T: [float64, float32]}",
        *(["      grid:", *grid] if grid else []),
        f"      graph: op({arguments})({', '.join(named)})",
    ]
    return "\n".join(lines) + "\n"


def _inputs_of(cls: Any) -> list[str]:
    parameters = list(inspect.signature(cls.make_node).parameters.values())[1:]
    names = []
    for position, parameter in enumerate(parameters):
        plain = parameter.name.lower().strip("_") or _NAMES[position % len(_NAMES)]
        if parameter.kind is parameter.VAR_POSITIONAL:
            names.append(f"*{plain}")
        elif parameter.kind is not parameter.VAR_KEYWORD:
            names.append(plain if parameter.default is parameter.empty else f"{plain}?")
    return names


def _defaults_of(cls: Any) -> dict[str, Any]:
    try:
        parameters = inspect.signature(cls).parameters
    except (TypeError, ValueError):
        return {}
    return {n: p.default for n, p in parameters.items() if p.default is not p.empty}


def _required(default: Any) -> str:
    return f"{{require: {_yaml(default)}, because: {TODO}}}"


def _yaml(value: Any) -> str:
    plain = value if isinstance(value, int | float | str | list | tuple | None) else None
    dumped = yaml.safe_dump(plain, default_flow_style=True, allow_unicode=True)
    return dumped.removesuffix("...\n").strip() if isinstance(dumped, str) else "null"


def _quoted(name: str) -> str:
    return f'"{name}"' if name.startswith("*") else name


def _input(name: str) -> str:
    return f'{name}: "T[n,3]"'
