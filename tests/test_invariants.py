"""The design's invariants that hold for the code as a whole, not for one export."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import onnx
import pytest

import onnx_mapper
from onnx_mapper.rows.hooks import HOOKS
from onnx_mapper.rows.table import load_table

Node = TypeVar("Node", bound=ast.AST)

PACKAGE = Path(onnx_mapper.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

EXCUSED_NAMES = {
    ("language/calls.py", "Loop"): "a form of the language: what `loop` becomes",
    ("language/calls.py", "Concat"): "the same, where its steps are nodes and it collects",
    ("language/calls.py", "Unsqueeze"): "the same, where its steps are nodes and it collects",
    ("model/builder.py", "Cast"): "typing: every tensor may have to change its dtype",
    ("model/builder.py", "Shape"): "typing: a static shape needs no node",
    ("model/builder.py", "Identity"): "typing: an output that is an input needs a name of its own",
    (
        "conformance/run/graph_builder.py",
        "Elemwise",
    ): "scalar ops are tried the way tensors meet them",
    ("conformance/graphs/steps.py", "Elemwise"): "scalar ops are tried the way tensors meet them",
    ("rows/op_classes.py", "RandomVariable"): "a base of others, which coverage does not count",
    ("pymc/over_draws.py", "RandomVariable"): "the base of all draws, whose sizes are changed",
    ("pymc/predictive.py", "RandomVariable"): "the base of all draws, whose sizes are changed",
}
"""Where a name of ONNX or PyTensor may be spelled in Python, and why."""

LAYERS = (
    ("errors", "version", "opsets", "options", "progress", "text_table", "user_code"),
    ("language",),
    ("model",),
    ("capture",),
    ("rows",),
    ("mapping",),
    ("checking",),
    ("delivery", "parts"),
    ("api", "program", "web_bundle", "pytensor_mode"),
    ("pymc",),
    ("conformance.graphs",),
    ("conformance.cases",),
    ("conformance.run",),
    ("conformance.subject", "conformance.reproduction", "conformance.select"),
    ("conformance.mutants",),
    ("conformance.runner",),
    ("",),  # the public names
    ("cli",),
    ("__main__",),
)
"""What may import what: a module imports from its own line and from those above it."""


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
    "capture/reading.py": {"Constant"},
    "capture/rewrites.py": {"Constant"},
    "mapping/engine.py": {"Constant"},
    "language/compiler.py": _SYNTAX,
    "language/match.py": {"Constant"},
    "conformance/graphs/language.py": _SYNTAX,
    "conformance/mutants/row_mutants.py": _SYNTAX,
    "rows/checks.py": {"Constant"},
}
"""Names that Python's own `ast`, or PyTensor's graph classes, happen to share with operators."""


def test_excuses_are_still_needed() -> None:
    for relative, name in EXCUSED_NAMES:
        assert name in {spelling for spelling, _ in spelled(PACKAGE / relative)}


def test_there_are_two_hooks() -> None:
    assert sorted(HOOKS) == ["asymmetric_padding", "flip"]


def name_of(path: Path) -> str:
    """Return a module's name within the package; a package is called as its folder."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imported_by(path: Path) -> set[str]:
    """Return the package's own modules that a module imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    own = {f"onnx_mapper.{name}" if name else "onnx_mapper" for name in map(name_of, MODULES)}
    reached = {name.removeprefix("onnx_mapper").removeprefix(".") for name in found & own}
    # `from onnx_mapper.model import kernels` reads the module, not what its package's file says.
    return {name for name in reached if not any(n.startswith(f"{name}.") for n in reached if name)}


def layer_of(name: str) -> int:
    fitting = [
        (len(prefix), depth)
        for depth, layer in enumerate(LAYERS)
        for prefix in layer
        if name == prefix or (prefix and name.startswith(f"{prefix}."))
    ]
    return max(fitting)[1]


def test_data_flows_one_way() -> None:
    """No module imports from a layer above its own, and none imports itself through others."""
    imports = {name_of(path): imported_by(path) for path in MODULES}
    upwards = [
        f"{name} imports {other or 'the public names'}"
        for name, others in imports.items()
        if name not in {"conformance"}
        for other in others
        if layer_of(other) > layer_of(name)
    ]
    assert not upwards
    left = {name: others - {name} for name, others in imports.items()}
    while free := {name for name, others in left.items() if not others & set(left)}:
        left = {name: others for name, others in left.items() if name not in free}
    assert not left, "these import each other in a circle"


def nodes_of(kind: type[Node]) -> Iterator[tuple[str, Node]]:
    """Give all nodes of a kind in the package's syntax trees, each with its module's name."""
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, kind):
                yield name_of(path), node


def test_no_function_imports_the_packages_own_modules() -> None:
    """What imports late hides an arrow, or a circle."""
    late = [
        f"{name}:{inner.lineno}"
        for name, node in nodes_of(ast.FunctionDef)
        for inner in ast.walk(node)
        if isinstance(inner, ast.ImportFrom) and (inner.module or "").startswith("onnx_mapper")
    ]
    assert not late


def length(node: ast.ClassDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def test_no_class_is_longer_than_300_lines() -> None:
    long = [
        f"{name}.{node.name}: {length(node)} lines"
        for name, node in nodes_of(ast.ClassDef)
        if length(node) > 300
    ]
    assert not long


ONCE = {
    "a session of ONNX Runtime": ("InferenceSession(", "model/session.py"),
    "PyTensor's raw mode": ('linker="py"', "capture/raw.py"),
    "the symbol of a size": ('"{name}:{axis}"', "language/tensors.py"),
    "the keys of a model's metadata": ('"onnx_mapper."', "options.py"),
}


@pytest.mark.parametrize(("text", "home"), ONCE.values(), ids=ONCE)
def test_some_things_are_written_once(text: str, home: str) -> None:
    found = [
        str(path.relative_to(PACKAGE))
        for path in MODULES
        if text in path.read_text(encoding="utf-8")
    ]
    assert found == [home]


def test_public_functions_shadow_no_module() -> None:
    assert callable(onnx_mapper.export)
    assert not set(onnx_mapper.__all__) & {name_of(path) for path in MODULES}


def test_language_and_model_know_nothing_of_pytensor() -> None:
    for path in [*(PACKAGE / "language").glob("*.py"), *(PACKAGE / "model").glob("*.py")]:
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
        modules = {
            (node.module or "") if isinstance(node, ast.ImportFrom) else node.names[0].name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom | ast.Import)
        }
        assert not any(module.startswith("pytensor") for module in modules), path


FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "open", "input"}


READERS = [
    *(PACKAGE / "language").glob("*.py"),
    *(PACKAGE / "rows").glob("*read*.py"),
    PACKAGE / "rows" / "strict_yaml.py",
]


@pytest.mark.parametrize("path", READERS, ids=lambda path: path.stem)
def test_a_row_can_reach_nothing_that_runs_code(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
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
