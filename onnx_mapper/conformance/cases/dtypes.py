"""Dtypes as cases write them: NumPy's names, short ones, and names of groups."""

from __future__ import annotations

from onnx_mapper.language.values import DTYPES

SHORT = {
    "f16": "float16", "f32": "float32", "f64": "float64",
    "i8": "int8", "i16": "int16", "i32": "int32", "i64": "int64",
    "u8": "uint8", "u16": "uint16", "u32": "uint32", "u64": "uint64",
}  # fmt: skip

FLOATS = ("float32", "float64")
SIGNED = ("int8", "int16", "int32", "int64")
UNSIGNED = ("uint8", "uint16", "uint32", "uint64")

GROUPS: dict[str, tuple[str, ...]] = {
    "floats": FLOATS,
    "signed": SIGNED,
    "unsigned": UNSIGNED,
    "ints": SIGNED + UNSIGNED,
    "numbers": FLOATS + SIGNED + UNSIGNED,
    "all": (*FLOATS, *SIGNED, *UNSIGNED, "bool"),
}


def expand(name: str) -> tuple[str, ...]:
    """Return the dtypes that a name stands for; none when it is no such name.

    Example:
        >>> expand("floats"), expand("i8"), expand("float")
        (('float32', 'float64'), ('int8',), ())
    """
    if name in GROUPS:
        return GROUPS[name]
    name = SHORT.get(name, name)
    return (name,) if name in DTYPES else ()
