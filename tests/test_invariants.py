"""The design's invariants that hold for the code as a whole, not for one export."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest

import onnx_mapper
from onnx_mapper.hooks import HOOKS
from onnx_mapper.table import load_table

PACKAGE = Path(onnx_mapper.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

EXCUSED_NAMES = {
    ("emit.py", "Cast"): "typing: every tensor may have to change its dtype",
    ("emit.py", "Shape"): "typing: a static shape needs no node",
    ("emit.py", "Identity"): "typing: an output that is an input needs a name of its own",
    ("conformance/graphs.py", "Elemwise"): "scalar ops are tried the way tensors meet them",
    ("conformance/steps.py", "Elemwise"): "scalar ops are tried the way tensors meet them",
    ("op_classes.py", "RandomVariable"): "a base of others, which coverage does not count",
}
"""Where a name of ONNX or PyTensor may be spelled in Python, and why."""

ORDER = ("capture", "engine", "emit", "finish")
"""Data flows one way: no file imports one to its right."""


def docstrings(tree: ast.Module) -> set[int]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and node.body:
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                found.add(id(first.value))
            for statement in node.body:
                if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                    found.add(id(statement.value))
    return found


def spelled(path: Path) -> Iterator[tuple[str, int]]:
    """Yield the names and whole texts that a module spells outside its docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    prose = docstrings(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.value, node.lineno
        elif isinstance(node, ast.Name):
            yield node.id, node.lineno
        elif isinstance(node, ast.Attribute):
            yield node.attr, node.lineno
        elif isinstance(node, ast.ImportFrom):
            yield from ((alias.name, node.lineno) for alias in node.names)


def test_no_op_is_named_in_python() -> None:
    """No PyTensor op class and no ONNX operator outside mappings/ and hooks.py."""
    operators = {s.name for s in onnx.defs.get_all_schemas_with_history() if not s.domain}
    classes = {row.name for row in load_table().rows}
    forbidden = (operators | classes) - TYPING_NAMES
    offences = []
    for path in MODULES:
        if path.name in EXCUSED_FILES:
            continue
        relative = str(path.relative_to(PACKAGE))
        for name, line in spelled(path):
            if name in forbidden and (relative, name) not in EXCUSED_NAMES:
                if name in PYTHON_NAMES.get(relative, set()):
                    continue
                offences.append(f"{relative}:{line} spells {name}")
    assert not offences, "\n".join(offences)


EXCUSED_FILES = {
    "hooks.py": "the two escapes of convolution",
    "formula_mutants.py": "lies about operators replace one by another of the same signature",
}

TYPING_NAMES = {"Any", "Sequence", "Optional"}
"""Names of Python's `typing` and `collections.abc` that operators or classes share."""

_SYNTAX = {
    "Constant", "Add", "And", "Or", "Not", "Div", "Mod", "Mult", "Sub", "Pow", "If", "Slice", "Invert"
}  # fmt: skip

PYTHON_NAMES: dict[str, set[str]] = {
    "capture.py": {"Constant"},
    "engine.py": {"Constant"},
    "formula.py": _SYNTAX,
    "conformance/graph_language.py": _SYNTAX,
    "conformance/mutants.py": _SYNTAX,
    "row_checks.py": {"Constant"},
}
"""Names that Python's own `ast`, or PyTensor's graph classes, happen to share with operators."""


def test_excuses_are_still_needed() -> None:
    for relative, name in EXCUSED_NAMES:
        assert name in {spelling for spelling, _ in spelled(PACKAGE / relative)}


def test_there_are_two_hooks() -> None:
    assert sorted(HOOKS) == ["asymmetric_padding", "flip"]


def test_data_flows_one_way() -> None:
    for position, name in enumerate(ORDER):
        tree = ast.parse((PACKAGE / f"{name}.py").read_text(encoding="utf-8"))
        imported = {
            node.module.rpartition(".")[2]
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module
        }
        assert not imported & set(ORDER[position + 1 :]), name


def test_formula_and_vocabulary_know_nothing_of_pytensor() -> None:
    for name in ("formula", "vocabulary", "static", "value", "operators", "emit"):
        text = (PACKAGE / f"{name}.py").read_text(encoding="utf-8")
        tree = ast.parse(text)
        modules = {
            (node.module or "") if isinstance(node, ast.ImportFrom) else node.names[0].name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom | ast.Import)
        }
        assert not any(module.startswith("pytensor") for module in modules), name


FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "open", "input"}


@pytest.mark.parametrize("name", ["formula", "vocabulary", "static", "strict_yaml", "row_reader"])
def test_a_row_can_reach_nothing_that_runs_code(name: str) -> None:
    tree = ast.parse((PACKAGE / f"{name}.py").read_text(encoding="utf-8"))
    called = {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not called & FORBIDDEN_CALLS


def test_importing_the_package_does_not_load_the_runtime_nor_the_table() -> None:
    """What an import costs is held by benchmarks/import_time.py; this holds why it is little."""
    program = (
        "import sys, onnx_mapper; print(sorted({'onnxruntime', 'jsonschema'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_every_public_name_has_a_docstring_with_an_example() -> None:
    for name in onnx_mapper.__all__:
        thing = getattr(onnx_mapper, name)
        if callable(thing) and not isinstance(thing, type):
            assert ">>>" in (thing.__doc__ or ""), name
            assert "Raises:" in (thing.__doc__ or ""), name
        assert thing.__doc__, name
