"""docs/architecture.md is a map: every module is on it, once, and nothing else."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import onnx_mapper
from onnx_mapper.language import vocabulary
from onnx_mapper.language.scope import Formula
from onnx_mapper.mapping.answers import Answers
from onnx_mapper.model.builder import GraphBuilder
from onnx_mapper.model.kernels import Kernel, KernelTable, kernel_table
from onnx_mapper.model.questions import Questions
from onnx_mapper.rows.model import Row, formulas_of
from onnx_mapper.rows.reader import read_document
from onnx_mapper.rows.strict_yaml import parse
from onnx_mapper.rows.table import load_table

PACKAGE = Path(onnx_mapper.__file__).parent
PAGE = (Path(__file__).parent.parent / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_every_module_is_on_the_page_with_its_job() -> None:
    listed = re.findall(r"^\| `([\w/]+\.py)` \| (.+) \|$", PAGE, re.MULTILINE)
    modules = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if path.name != "__init__.py" or path.parent == PACKAGE
    }
    assert sorted(path for path, _ in listed) == sorted(modules)
    assert all(len(job) > 3 for _, job in listed)


def test_every_folder_says_what_it_is_for() -> None:
    for folder in {path.parent for path in PACKAGE.rglob("*.py")} - {PACKAGE}:
        text = (folder / "__init__.py").read_text(encoding="utf-8")
        assert re.match(r'"""\w.{10,}\."""\n', text), folder


def test_files_that_it_sends_people_to_are_there() -> None:
    section = PAGE[PAGE.index("## To add") : PAGE.index("## Words")]
    named = set(re.findall(r"`([\w/]+\.(?:py|md))`", section))
    root = PACKAGE.parent
    assert len(named) > 10
    assert not [n for n in named if not ((PACKAGE / n).exists() or (root / n).exists())]


def test_every_question_is_answered_where_it_says() -> None:
    answerers = {"model": Questions, "graph": Answers}
    asked = [call for call in vocabulary.CALLS.values() if call.answerer in answerers]
    assert len(asked) >= 10
    for call in asked:
        assert callable(getattr(answerers[call.answerer], call.name)), call.name


def test_every_call_is_used_by_some_row() -> None:
    """A function that no row needs is a word to learn for nothing."""
    table = load_table()
    formulas = [
        f for row in (*table.rows, *table.patterns) for f in (*formulas_of(row), *body_of(row))
    ]
    formulas += [f for d in table.language.definitions.values() for s in d.body for f in s.formulas]
    called = {
        node.func.id
        for formula in formulas
        for node in ast.walk(formula.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not set(vocabulary.CALLS) - called


def body_of(row: Row) -> list[Formula]:
    return [formula for statement in row.body for formula in statement.formulas]


def test_a_second_runtime_is_a_table_that_is_handed_in() -> None:
    """A runtime without float64 for Add, and without any Tanh."""
    cpu = kernel_table()
    kernels = dict(cpu.kernels)
    kernels["Add", 14] = (Kernel({"T": frozenset({"float32"})}),)
    kernels["Tanh", 13] = (Kernel({"T": frozenset()}),)
    builder = GraphBuilder(18, 8, kernels=KernelTable("toy", kernels))
    x = builder.input("x", "float64", [None])
    (total,) = builder.node("Add", [x, x], {}, 1)
    assert total.dtype == "float64"
    assert [node.op_type for node in builder.nodes] == ["Cast", "Add", "Cast"]
    assert [entry.to_dtype for entry in builder.compromises.narrowed] == ["float32"]
    assert builder.ask("runs", ["Tanh", x]) is False
    assert GraphBuilder(18, 8).ask("runs", ["Add", x]) is True


def test_mappings_in_the_docs_load(tmp_path: Path) -> None:
    """Whole entries, `- define:` and `- op:`, in the pages of the language."""
    docs = Path(__file__).parent.parent / "docs"
    blocks = [
        block
        for page in ("formulas.md", "rows.md")
        for block in re.findall(
            r"```yaml\n(- (?:define|op): .*?)```", (docs / page).read_text(encoding="utf-8"), re.S
        )
    ]
    assert len(blocks) >= 4
    shipped = load_table().language.definitions
    for number, block in enumerate(blocks):
        name = re.match(r"- define: (\w+)", block)
        if name and name[1] in shipped:  # one of the package's, shown
            read_document(parse(block, "shown.yaml"))
            continue
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "rows.yaml").write_text(block, encoding="utf-8")
        load_table([folder])
