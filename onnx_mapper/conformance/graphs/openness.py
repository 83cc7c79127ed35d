"""What a case may use of PyTensor: what builds graphs, and nothing that touches anything else."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from types import ModuleType
from typing import Any

from onnx_mapper.errors import Place, RowError
from onnx_mapper.language.values import is_number
from onnx_mapper.user_code import is_named

# Parts of pytensor.tensor whose functions only put nodes into graphs. What is not here reads
# files, imports by name or takes Python functions.
_PARTS = frozenset({
    "basic", "blas", "blockwise", "conv", "einsum", "elemwise", "extra_ops", "fft", "fourier",
    "inplace", "interpolate", "linalg", "math", "nlinalg", "pad", "reshape", "shape", "signal",
    "random", "slinalg", "sort", "special", "subtensor", "var", "variable", "xlogx", "nnet",
})  # fmt: skip
_OP_HOMES = (
    "pytensor.tensor.", "pytensor.scalar.", "pytensor.compile.builders", "pytensor.compile.ops",
    "pytensor.ifelse", "pytensor.conditional.", "pytensor.raise_op", "pytensor.gradient", "pytensor.printing",
    "pytensor.scan.", "pytensor.assumptions.", "pytensor.breakpoint", "pytensor.compile.debug.",
    "pytensor.xtensor.basic.", "pytensor.sparse.", "pytensor_ml.layers.", "pymc.logprob.utils.",
    "pymc.math.", "pymc.variational.minibatch_rv.", "pymc.distributions.dist_math.",
    "pymc.distributions.continuous.", "pymc.distributions.discrete.",
    "pymc.distributions.multivariate.", "pymc.data.", "pymc_extras.distributions.continuous.",
)  # fmt: skip
_SPLINES = ("UnivariateSpline", "InterpolatedUnivariateSpline", "BSpline")
_FUNCTION_HOMES = (
    "pytensor.assumptions.specify",
    "pytensor.conditional.op",
    "pytensor.gradient",
    "pytensor.sparse.basic",
    "pytensor.sparse.math",
    "pytensor.xtensor.basic",
    "pytensor.xtensor.type",
)
_CLOSED_HOMES = (
    "pytensor.tensor.io",
    "pytensor.tensor.utils",
    "pytensor.compile.ops.FromFunctionOp",
)
_CLOSED_ARGUMENTS = ("nfunc_spec", "gufunc_spec", "name", "params_type", "openmp")
_PATH = re.compile(r"\w\.\w|[/\\]")


def check_constructor(
    cls: type, arguments: Sequence[Any], keywords: Mapping[str, Any], place: Place
) -> None:
    """Check that an Op is made from its own attributes only.

    A constructor may take more than what the op means, such as the path of a Python function
    that it imports; that is not for mapping files.

    Raises:
        RowError: When the class or an argument is not allowed.
    """
    if is_spline(cls):
        return
    if not is_open_class(cls):
        home = cls.__module__
        raise RowError(
            place,
            f"{cls.__name__} may not be made in a case; if {home} is yours, allow it: "
            f"--import {home} (pytest: --onnx-mapper-import {home})",
        )
    try:
        signature = inspect.signature(cls)
        bound = signature.bind(*arguments, **keywords)
    except (TypeError, ValueError) as error:
        raise RowError(place, f"{cls.__name__}: {error}") from None
    check_texts([*arguments, *keywords.values()], place)
    meant = getattr(cls, "__props__", None) or ()
    for name in bound.arguments:
        if name in _CLOSED_ARGUMENTS and name not in meant:
            raise RowError(place, f"{cls.__name__}: {name!r} may not be given in a case")


def is_open_class(cls: Any) -> bool:
    """Tell whether cases may make this Op."""
    from pytensor.graph.op import Op

    if not (inspect.isclass(cls) and issubclass(cls, Op)):
        return False
    home = f"{cls.__module__}.{cls.__qualname__}"
    if home.startswith(_CLOSED_HOMES):
        return False
    return home.startswith(_OP_HOMES) or is_named(cls.__module__)


def is_spline(cls: type) -> bool:
    """Tell whether this is a kind of spline of SciPy's, which Ops have as attributes."""
    return cls.__module__.startswith("scipy.interpolate.") and cls.__name__ in _SPLINES


def is_open(found: Any) -> bool:
    """Tell whether cases may name this: an Op, or a function that only builds graphs."""
    from pytensor.graph.op import Op

    if isinstance(found, Op):
        return is_open_class(type(found))
    if inspect.isclass(found):
        return is_open_class(found) or is_spline(found)
    if type(found).__name__ == "NoneTypeT" or is_variable(found):
        return True
    home = getattr(inspect.unwrap(found) if callable(found) else found, "__module__", None) or ""
    if not callable(found):
        return False
    if home in _FUNCTION_HOMES or home.startswith("pytensor.scalar."):
        return True
    root, _, part = home.partition("pytensor.tensor.")
    return not root and part.split(".")[0] in _PARTS


@cache
def module(name: str) -> ModuleType:
    """Return a module of PyTensor, with the parts that it does not load by itself."""
    import importlib

    for part in ("conv", "fft", "linalg", "nlinalg", "pad", "signal", "slinalg", "special"):
        try:
            importlib.import_module(f"pytensor.tensor.{part}")
        except ImportError:
            continue
    return importlib.import_module(name)


@cache
def tensor_methods() -> frozenset[str]:
    """Return the names of what every tensor has."""
    from pytensor.tensor.variable import _tensor_py_operators

    return frozenset(name for name in vars(_tensor_py_operators) if not name.startswith("_"))


def check_texts(values: Iterable[Any], place: Place) -> None:
    """Check that no text among some values is the path of a file or of a Python function.

    Raises:
        RowError: When one is.
    """
    for value in values:
        if isinstance(value, list | tuple):
            check_texts(value, place)
        elif isinstance(value, str) and _PATH.search(value):
            raise RowError(place, f"{value!r} looks like a path, which may not be given in a case")


def is_variable(value: Any) -> bool:
    """Tell whether this is a variable of a PyTensor graph."""
    from pytensor.graph.basic import Variable

    return isinstance(value, Variable)


def is_graph(value: Any) -> bool:
    """Tell whether a call gave a part of a graph, and not something else of PyTensor's."""
    from pytensor.graph.op import Op

    if isinstance(value, list | tuple):
        return all(is_graph(item) for item in value)
    if value is None or is_number(value) or is_spline(type(value)):
        return True
    return is_variable(value) or isinstance(value, Op)
