"""Which dtypes a runtime's kernels run.

ONNX Runtime registers a kernel for an operator, a range of schema versions and the dtypes of the
schema's type variables. What its CPU provider has is in `runtimes/onnxruntime-cpu.csv`, which
`tools/generate_kernels.py` writes from that registry; ONNX Runtime itself is not needed to ask. What its
build for browsers has is in `runtimes/onnxruntime-web.csv`, which `tools/generate_web_kernels.py` finds by
trying. Another runtime is another file beside them.

A declared kernel can still fail when it runs on particular attributes, such as `Mod` of floats
without `fmod`: that is the mapping row's business.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

RUNTIMES = Path(__file__).with_name("runtimes")
DEFAULT_RUNTIME = "onnxruntime-cpu"
NAMES = {DEFAULT_RUNTIME: "ONNX Runtime", "onnxruntime-web": "ONNX Runtime Web"}


@dataclass(frozen=True, slots=True)
class Kernel:
    """Dtypes that go together: some for each type variable, in any combination.

    Attributes:
        takes: NumPy's names of the dtypes that each type variable may have.
    """

    takes: Mapping[str, frozenset[str]]

    def serves(self, bindings: Mapping[str, str]) -> bool:
        """Tell whether the kernel exists and takes all the bound dtypes."""
        return all(self.takes.values()) and all(
            dtype in self.takes[variable]
            for variable, dtype in bindings.items()
            if variable in self.takes
        )


@dataclass(frozen=True)
class KernelTable:
    """The kernels of one runtime.

    Attributes:
        name: What the runtime is called, in messages.
        kernels: Its kernels, by the operator and the version of its schema.
        excluded: Operators that a model is to be without, whatever kernels there are.

    Example:
        >>> table = kernel_table()
        >>> table.runs("Conv", 11, {"T": "float32"}), table.runs("Conv", 11, {"T": "float64"})
        (True, False)
    """

    name: str
    kernels: Mapping[tuple[str, int], tuple[Kernel, ...]]
    excluded: frozenset[str] = frozenset()

    def runs(self, op_type: str, since_version: int, bindings: Mapping[str, str]) -> bool:
        """Tell whether the runtime has a kernel for a node.

        A node that could only be expanded into the operator's function body has no kernel, and
        neither has one whose float16 runs by casts to float32.

        Args:
            op_type: An operator of ONNX's own domain, such as `"Conv"`.
            since_version: The `since_version` of the operator's schema at the model's opset.
            bindings: NumPy's name of the dtype of each type variable of that schema. Variables that
                are left out, or that the schema does not have, don't matter.

        Returns:
            True when one kernel takes all the bindings.

        Raises:
            KeyError: The table does not hold the operator at that version.
        """
        if op_type in self.excluded:
            return False
        return any(kernel.serves(bindings) for kernel in self._of(op_type, since_version))

    def dtypes(self, op_type: str, since_version: int, type_variable: str) -> frozenset[str]:
        """Return the dtypes that the kernels take for one type variable.

        A dtype among them may ask for a particular dtype elsewhere; `runs` answers for all the
        variables of a node together.

        Args:
            op_type: An operator of ONNX's own domain, such as `"Conv"`.
            since_version: The `since_version` of the operator's schema at the model's opset.
            type_variable: A type variable of that schema, such as `"T"`.

        Returns:
            NumPy's names; none when there is no kernel.

        Raises:
            KeyError: The table does not hold the operator at that version, or the schema has no
                such variable.

        Example:
            >>> sorted(kernel_table().dtypes("Gemm", 13, "T"))
            ['float32', 'float64']
        """
        kernels = self._of(op_type, since_version)
        known = kernels[0].takes
        if type_variable not in known:
            raise KeyError(
                f"{op_type}, since version {since_version}, has no type variable "
                f"{type_variable!r}: it has {', '.join(filter(None, known)) or 'none'}"
            )
        return frozenset().union(*(kernel.takes[type_variable] for kernel in kernels))

    def _of(self, op_type: str, since_version: int) -> tuple[Kernel, ...]:
        if (op_type, since_version) not in self.kernels:
            versions = [str(since) for name, since in self.kernels if name == op_type]
            raise KeyError(
                f"the table of kernels holds {op_type} since version {', '.join(versions)}, "
                f"not {since_version}"
                if versions
                else f"the table of kernels does not hold the operator {op_type}"
            )
        return self.kernels[op_type, since_version]


@cache
def kernel_table(runtime: str = DEFAULT_RUNTIME) -> KernelTable:
    """Return a runtime's kernels, read once.

    In the file a type variable that comes again starts the operator's next kernel.
    """
    found: dict[tuple[str, int], list[dict[str, frozenset[str]]]] = {}
    with (RUNTIMES / f"{runtime}.csv").open(encoding="utf-8", newline="") as file:
        lines = csv.reader(file)
        next(lines)
        for op_type, since_version, variable, names in lines:
            alternatives = found.setdefault((op_type, int(since_version)), [{}])
            if variable in alternatives[-1]:
                alternatives.append({})
            alternatives[-1][variable] = frozenset(names.split())
    kernels = {
        key: tuple(Kernel(takes) for takes in alternatives) for key, alternatives in found.items()
    }
    return KernelTable(NAMES[runtime], kernels)
