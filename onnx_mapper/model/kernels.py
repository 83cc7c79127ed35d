"""Which dtypes ONNX Runtime's CPU kernels run.

ONNX Runtime registers a kernel for an operator, a range of schema versions and the dtypes of the
schema's type variables. What it has is in ``kernels.csv`` beside this file, which
``tools/generate_kernels.py`` writes from that registry; ONNX Runtime itself is not needed to ask.

A declared kernel can still fail when it runs on particular attributes, such as ``Mod`` of floats
without ``fmod``: that is the mapping row's business.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

__all__ = ["dtypes", "runs"]

_TABLE = Path(__file__).with_name("kernels.csv")


@dataclass(frozen=True, slots=True)
class _Kernel:
    """Dtypes that go together: one for each type variable, in any combination."""

    takes: Mapping[str, frozenset[str]]

    def serves(self, bindings: Mapping[str, str]) -> bool:
        """Whether the kernel exists and takes all the bound dtypes."""
        return all(self.takes.values()) and all(
            dtype in self.takes[variable]
            for variable, dtype in bindings.items()
            if variable in self.takes
        )


def runs(op_type: str, since_version: int, bindings: Mapping[str, str]) -> bool:
    """Say whether ONNX Runtime's CPU provider has a kernel for a node.

    A node that ONNX Runtime could only expand into the operator's function body has no kernel, and
    neither has one whose float16 runs by casts to float32.

    Args:
        op_type: An operator of ONNX's own domain, such as ``"Conv"``.
        since_version: The ``since_version`` of the operator's schema at the model's opset.
        bindings: Type variable of that schema -> numpy name of the dtype. Variables that are left
            out, or that the schema does not have, don't matter.

    Returns:
        True when one kernel takes all the bindings.

    Raises:
        KeyError: The table does not hold the operator at that version.

    Example:
        >>> runs("Conv", 11, {"T": "float32"}), runs("Conv", 11, {"T": "float64"})
        (True, False)
    """
    return any(kernel.serves(bindings) for kernel in _kernels(op_type, since_version))


def dtypes(op_type: str, since_version: int, type_variable: str) -> frozenset[str]:
    """List the dtypes that the kernels take for one type variable.

    A dtype in the list may ask for a particular dtype elsewhere; :func:`runs` answers for all the
    variables of a node together.

    Args:
        op_type: An operator of ONNX's own domain, such as ``"Conv"``.
        since_version: The ``since_version`` of the operator's schema at the model's opset.
        type_variable: A type variable of that schema, such as ``"T"``.

    Returns:
        Numpy names; none when there is no kernel.

    Raises:
        KeyError: The table does not hold the operator at that version, or the schema has no such
            variable.

    Example:
        >>> sorted(dtypes("Gemm", 13, "T"))
        ['float32', 'float64']
    """
    kernels = _kernels(op_type, since_version)
    known = kernels[0].takes
    if type_variable not in known:
        raise KeyError(
            f"{op_type}, since version {since_version}, has no type variable {type_variable!r}: "
            f"it has {', '.join(filter(None, known)) or 'none'}"
        )
    return frozenset().union(*(kernel.takes[type_variable] for kernel in kernels))


def _kernels(op_type: str, since_version: int) -> tuple[_Kernel, ...]:
    table = _table()
    if (op_type, since_version) not in table:
        versions = [str(since) for name, since in table if name == op_type]
        raise KeyError(
            f"the table of kernels holds {op_type} since version {', '.join(versions)}, "
            f"not {since_version}"
            if versions
            else f"the table of kernels does not hold the operator {op_type}"
        )
    return table[op_type, since_version]


@cache
def _table() -> Mapping[tuple[str, int], tuple[_Kernel, ...]]:
    """The file, parsed once: a type variable that comes again starts the operator's next kernel."""
    found: dict[tuple[str, int], list[dict[str, frozenset[str]]]] = {}
    with _TABLE.open(encoding="utf-8", newline="") as file:
        lines = csv.reader(file)
        next(lines)
        for op_type, since_version, variable, names in lines:
            alternatives = found.setdefault((op_type, int(since_version)), [{}])
            if variable in alternatives[-1]:
                alternatives.append({})
            alternatives[-1][variable] = frozenset(names.split())
    return MappingProxyType(
        {
            key: tuple(_Kernel(MappingProxyType(takes)) for takes in alternatives)
            for key, alternatives in found.items()
        }
    )
