"""The pages: links lead somewhere, what they name exists, and their Python runs."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest

from onnx_mapper import export

ROOT = Path(__file__).parent.parent
PAGES = [*(ROOT / "docs").glob("*.md"), *ROOT.glob("*.md"), *ROOT.glob("examples/*/README.md")]
HAND_WRITTEN = [ROOT / "docs" / name for name in ("users.md", "errors.md", "deploy.md", "pymc.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", HAND_WRITTEN, ids=lambda page: page.name)
def test_tests_and_files_that_are_named_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for file, _, test in re.findall(r"`(tests/\w+\.py)(::(\w+))?`", text):
        source = (ROOT / file).read_text(encoding="utf-8")
        assert not test or f"def {test}(" in source, (file, test)


def test_every_page_is_in_the_sites_contents() -> None:
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^([\w.-]+)$", index, re.MULTILINE)) | {"index"}
    assert {page.stem for page in (ROOT / "docs").glob("*.md")} - listed == set()


def test_the_first_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(compile(block, "docs/index.md", "exec"), {})  # noqa: S102
    assert capsys.readouterr().out.startswith("Everything converts.")


def test_a_table_is_scored_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As docs/deploy.md shows it, in processes of its own."""
    text = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 2
    (tmp_path / "scoring_by_parts.py").write_text("\n\n".join(blocks), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    from importlib import import_module

    scoring = import_module("scoring_by_parts")
    x = pt.matrix("x", dtype="float32")
    weights = np.arange(3, dtype="float32")
    model = tmp_path / "model.onnx"
    export(pytensor.function([x], x @ weights, mode="FAST_COMPILE"), model)
    table = np.random.default_rng(4).normal(size=(25, 3)).astype("float32")
    scores = scoring.score_all(str(model), table, rows=10)
    np.testing.assert_allclose(scores, table @ weights, rtol=1e-5)
    dask = pytest.importorskip("dask.array", reason="Dask is an extra")
    blocks = scoring.score_blocks(str(model), dask.from_array(table, chunks=(10, 3)))
    assert blocks.numblocks == (3,)
    np.testing.assert_allclose(blocks.compute(scheduler="processes"), table @ weights, rtol=1e-5)
