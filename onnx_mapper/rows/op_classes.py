"""Op classes: their names, and where the installed packages have them."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
import warnings
from typing import Any

import pytensor
from pytensor.graph.op import Op


def class_path(cls: type) -> str:
    """Return `module:Class`, as rows name classes.

    Example:
        >>> class_path(Op)
        'pytensor.graph.op:Op'
    """
    return f"{cls.__module__}:{cls.__qualname__}"


def find_class(path: str, import_module: bool = False) -> type | None:
    """Return the class that a path leads to, also where that is an old home that still exports it.

    Args:
        path: `module:Class`.
        import_module: Whether to import a module that is not loaded.
    """
    module_name, _, name = path.partition(":")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of old homes
        if import_module and module_name not in sys.modules:
            try:
                importlib.import_module(module_name)
            except Exception:
                return None
        module = sys.modules.get(module_name)
        found = vars(module).get(name) if module else None
        if found is None and module and "__getattr__" in vars(module):
            found = getattr(module, name, None)
    return found if isinstance(found, type) else None


def props_of(cls: Any) -> tuple[str, ...]:
    """Return the `__props__` of a class or an Op; none where it has none."""
    return tuple(getattr(cls, "__props__", None) or ())


def concrete_op_classes() -> list[type]:
    """Return every Op class of PyTensor that graphs can hold, by importing all its modules."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for module in pkgutil.walk_packages(pytensor.__path__, "pytensor.", onerror=lambda _: None):
            if any(part in module.name for part in (".bin", ".misc", "tests")):
                continue
            try:
                importlib.import_module(module.name)
            except Exception:
                continue
    found: set[type] = set()
    pending: list[type] = [Op]
    while pending:
        subclasses: list[type] = pending.pop().__subclasses__()
        for cls in subclasses:
            if cls not in found:
                found.add(cls)
                pending.append(cls)
    concrete = [c for c in found if c.__module__.startswith("pytensor.") and not _is_abstract(c)]
    return sorted(concrete, key=class_path)


def _is_abstract(cls: type) -> bool:
    """Tell whether a class is a base for others: nothing says how it computes."""
    if inspect.isabstract(cls):
        return True
    defines = [c for c in cls.__mro__ if {"perform", "impl", "c_code", "make_thunk"} & set(vars(c))]
    computes = [c for c in defines if c.__name__ not in _WITHOUT_MEANING]
    return cls.__name__ in _BASES or not computes


_WITHOUT_MEANING = frozenset(
    {"Op", "COp", "ExternalCOp", "OpenMPOp", "ScalarOp", "UnaryScalarOp", "BinaryScalarOp"}
)

_BASES = frozenset(
    {
        "AbstractConv", "AbstractConv_gradInputs", "AbstractConv_gradWeights",
        "AbstractRNGConstructor", "BaseAbstractConv", "BaseBLAS", "BaseBlockDiagonal",
        "BinaryBitOp", "BinaryScalarOp", "BitOp", "COp", "ExternalCOp",
        "FixedLogicalComparison", "GemmRelated", "LogicalComparison",
        "MaxAndMinCAReduce", "Op", "OpWithCoreShape", "OpenMPOp", "RNGConsumerOp",
        "RandomVariable", "ScalarInnerGraphOp", "ScalarOp", "SolveBase", "SymbolicOp",
        "TensorSymbolicOp", "FusibleSymbolicOp", "TypeCastingOp", "UnaryBitOp", "UnaryScalarOp",
        "_NoPythonCOp", "_NoPythonExternalCOp", "_NoPythonOp",
    }
)  # fmt: skip
"""Classes with something that computes, which are nevertheless only ever subclassed."""
