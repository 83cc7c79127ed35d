"""Whether a row says all of what the installed class of its op means.

PyTensor moves classes and changes their attributes every few weeks. A row that names an attribute
which is gone, or does not know one that came, would leave something out: it does not fit.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import inspect
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytensor

from onnx_mapper.errors import Place
from onnx_mapper.language.scope import Formula
from onnx_mapper.language.vocabulary import CONSTANTS
from onnx_mapper.rows.fingerprints import listed, make_node_parameters, tested
from onnx_mapper.rows.model import ALWAYS_IN_SCOPE, Row, formulas_of
from onnx_mapper.rows.op_classes import find_class, props_of


@dataclass(frozen=True)
class Misfit:
    """One thing in which a row and a class don't agree.

    Attributes:
        place: The part of the row.
        problem: What is wrong, as the end of a sentence about the class.
    """

    place: Place
    problem: str


@dataclass(frozen=True)
class Fit:
    """How a row and a class agree.

    Attributes:
        misfits: In what they don't, whatever the op's attributes are.
        unread: `__props__` of the class that nothing in the row accounts for.
    """

    misfits: tuple[Misfit, ...]
    unread: tuple[str, ...]


class NoDefault:
    """What stands for the default of a parameter that has none."""


def installed_class(row: Row, import_modules: bool = False) -> type | None:
    """Return the row's class where the running packages have it.

    A row must not run code, so a user's row imports nothing but modules of PyTensor; a class of
    another package counts once that package is imported.

    Args:
        row: The row.
        import_modules: Whether to import the modules that the row names.
    """
    for path in row.ops:
        own = path.partition(":")[0].split(".")[0] == "pytensor"
        found = find_class(path, import_modules and (own or row.shipped))
        if found is not None:
            return found
    return None


def misspelt(row: Row) -> str | None:
    """Say which class a row may mean, where its module is here and has none of that name.

    A class that some tested PyTensor release has is not misspelt: the row is for that release.
    """
    if installed_class(row, import_modules=True) is not None:
        return None
    for path in row.ops:
        module_name, _, name = path.partition(":")
        if any(path in classes for classes in tested().values()):
            continue
        if module_name.split(".")[0] == "pytensor" and module_name not in sys.modules:
            with contextlib.suppress(ImportError):
                importlib.import_module(module_name)
        module = sys.modules.get(module_name)
        if module is not None:
            classes = [n for n, v in vars(module).items() if isinstance(v, type)]
            near = difflib.get_close_matches(name, classes, 2, 0.6)
            meant = f"; did you mean {' or '.join(near)}?" if near else ""
            return f"{module_name} has no class {name}{meant}"
    return None


def module_to_import(row: Row) -> str | None:
    """Return the module that must be loaded before a user's row can be judged, if there is one."""
    modules = dict.fromkeys(path.partition(":")[0] for path in row.ops)
    unloaded = [name for name in modules if name not in sys.modules]
    return unloaded[0] if unloaded and not row.shipped else None


def why_inactive(row: Row) -> str:
    """Say why the running packages have no class of a row, and what to do."""
    module = module_to_import(row)
    if module is None:
        return f"the installed packages have no {row.ops[0]}"
    return (
        f"{module} is not loaded, and a mapping file imports nothing by itself: "
        f"add --import {module}"
    )


def fit_of(row: Row, cls: type) -> Fit:
    """Hold a row against a class.

    Misfits are attributes that the row reads and the class lacks, attributes that an input of
    the same name hides, and a number of inputs that `make_node` can't take.

    Args:
        row: The row.
        cls: The class, or a subclass that the row serves.
    """
    if row.refuse:
        return Fit((), ())
    found = (*_lost(row, cls), *_never_set(row, cls), *_hidden(row, cls), *_miscounted(row, cls))
    if row.inline or row.unfuse:
        return Fit(found, ())
    used = {attribute.name for attribute in row.attributes} | {row.delegate} | _names_of(row)
    return Fit(found, tuple(sorted(set(props_of(cls)) - used)))


def unread_problem(row: Row, name: str) -> str:
    """Return what the author of a row is told of an attribute that it does not account for."""
    return (
        f"{row.name}'s attribute {name!r} has no verb: say `to`, `rewrite`, `require` or `ignore` "
        "under attributes, or use it in a formula"
    )


def default_of(cls: type, name: str) -> Any:
    """Return the default that a class's constructor gives to an attribute, or `NoDefault`."""
    parameter = inspect.signature(cls).parameters.get(name)
    if parameter is None or parameter.default is parameter.empty:
        return NoDefault
    return parameter.default


def is_same(left: Any, right: Any) -> bool:
    """Tell whether two values of an attribute are the same, of the same type."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float) and math.isnan(left):
        return math.isnan(right)
    if isinstance(left, np.ndarray):
        return bool(np.array_equal(left, right))
    return bool(left == right)


def versions() -> str:
    """Return what a row was tested with, and what runs here, as the end of a sentence.

    Example:
        >>> versions()  # doctest: +ELLIPSIS
        'the row was tested with PyTensor 2.36.2, ..., and this is ...'
    """
    return (
        f"the row was tested with PyTensor {listed(tuple(tested()))}, and this is "
        f"{pytensor.__version__}"
    )


def _lost(row: Row, cls: type) -> list[Misfit]:
    props = props_of(cls)
    known = set(props) or {*dir(cls), *inspect.signature(cls).parameters}
    there = f"it has: {', '.join(sorted(props)) or 'no `__props__`'}"
    found = [
        Misfit(attribute.place, f"has no attribute {attribute.name!r} here; {there}")
        for attribute in row.attributes
        if attribute.name not in known and not attribute.optional
    ]
    inner = row.inline or row.delegate or row.unfuse
    declared = {attribute.name for attribute in row.attributes} | {inner}
    bound = ALWAYS_IN_SCOPE | {"result"} | set(CONSTANTS) | set(row.reads) | set(row.input_names())
    bound |= {name for name, _ in row.let}
    bound |= {target for statement in row.body for target in statement.targets}
    return found + [
        Misfit(
            _first_reading(row, name),
            f"has no attribute {name!r} here, which formulas read; {there}",
        )
        for name in sorted(_names_of(row) - declared - bound - set(props))
    ]


def _never_set(row: Row, cls: type) -> list[Misfit]:
    """Return attributes beside `__props__` that a row names and no method of the class sets."""
    known = {*props_of(cls), *dir(cls), *inspect.signature(cls).parameters}
    for base in cls.__mro__:
        functions = [f for f in vars(base).values() if inspect.isfunction(f)]
        known.update(name for f in functions for name in f.__code__.co_names)
        known.update(getattr(base, "__annotations__", {}))
    named = [("reads", name) for name in row.reads if name not in row.may_lack]
    named += [
        (key, name)
        for key, name in (
            ("inline", row.inline),
            ("delegate", row.delegate),
            ("unfuse", row.unfuse),
        )
        if name is not None
    ]
    return [
        Misfit(row.locate(key), f"has no attribute {name!r}{_meant(name, known)}")
        for key, name in named
        if name not in known
    ]


def _meant(name: str, known: set[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), 1, 0.7)
    return f"; did you mean {near[0]!r}?" if near else ""


def _all_formulas(row: Row) -> Iterator[Formula]:
    yield from formulas_of(row)
    for statement in row.body:
        yield from statement.formulas


def _names_of(row: Row) -> set[str]:
    return set().union(*(formula.names for formula in _all_formulas(row)))


def _first_reading(row: Row, name: str) -> Place:
    """Return where a row first reads a name."""
    return next(formula.place for formula in _all_formulas(row) if name in formula.names)


def _hidden(row: Row, cls: type) -> list[Misfit]:
    props = set(props_of(cls))
    return [
        Misfit(
            row.locate("inputs"),
            f"takes {name!r} as an attribute here, and the row takes it for an input",
        )
        for name in row.inputs
        if name.strip("*?") in props
    ]


def _miscounted(row: Row, cls: type) -> list[Misfit]:
    if not row.inputs:
        return []
    inputs = row.inputs_beside(props_of(cls))
    least = sum(not name.endswith("?") and not name.startswith("*") for name in inputs)
    most = math.inf if any(name.startswith("*") for name in inputs) else len(inputs)
    parameters = make_node_parameters(cls)
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    fewest = sum(p.default is p.empty for p in positional)
    any_number = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    greatest = math.inf if any_number else len(positional)
    if least <= greatest and most >= fewest:
        return []
    taken = ", ".join(p.name for p in positional) or "none"
    named = ", ".join(row.inputs)
    return [Misfit(row.locate("inputs"), f"takes {taken} here, and the row names {named}")]
