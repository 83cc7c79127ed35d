"""What the README shows runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_python_of_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert len(BLOCKS) == 3
    scope: dict[str, object] = {}
    for block in BLOCKS:
        exec(compile(block, "README.md", "exec"), scope)  # noqa: S102
    printed = capsys.readouterr().out
    assert "[0.37754068, 0.62245935]" in printed
    assert "Everything converts." in printed
    assert re.search(r"output_0 .* ok\n", printed)
    assert (tmp_path / "model.onnx").is_file()


def test_the_row_of_the_readme_is_the_shipped_one() -> None:
    shown = re.search(r"```yaml\n(.*?)```", README, re.DOTALL)
    assert shown is not None
    shipped = (Path(__file__).parent.parent / "mappings" / "conv.yaml").read_text(encoding="utf-8")
    lines = [line.split("  #")[0].rstrip() for line in shown[1].splitlines()]
    kept = {line.split("  #")[0].rstrip() for line in shipped.splitlines()}
    assert [line for line in lines if line not in kept] == []


def test_links_of_the_readme_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert links
    root = Path(__file__).parent.parent
    assert [link for link in links if not (root / link).exists()] == []
