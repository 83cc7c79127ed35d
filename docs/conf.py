"""The site: `make docs`. Pages are Markdown (MyST), the reference comes from docstrings."""

import sys
from html import escape
from pathlib import Path

from onnx_mapper.rows.table import load_table
from onnx_mapper.version import VERSION

sys.path.insert(0, str(Path(__file__).parent.parent / "tools"))
from generate_docs import rows_by_file
from row_pictures import row_pictures

project = "onnx-mapper"
author = "The onnx-mapper authors"
release = VERSION
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
# Without scripts or fonts from elsewhere, and readable on a phone.
html_theme = "furo"
html_title = f"onnx-mapper {VERSION}"
exclude_patterns = ["_build"]
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
autodoc_typehints = "none"
suppress_warnings = ["myst.xref_missing"]

PICTURES = {picture.row.title: picture for picture in row_pictures()}
ROWS = {f"ops/{Path(file).stem}": rows for file, rows in rows_by_file(load_table()).items()}


def show_pictures(_app, docname, source):
    """Put behind each row of a page what it makes of its first case."""
    if docname not in ROWS:
        return
    head, *sections = source[0].split("\n## ")
    shown = [
        section.rstrip() + _picture(row.title)
        for row, section in zip(ROWS[docname], sections, strict=True)
    ]
    source[0] = "\n## ".join([head, *shown])


def outdated_pages(_app, env, _added, _changed, _removed):
    """Read the pages of rows anew each time: pictures change with the rows, and not with the pages."""
    return sorted(ROWS.keys() & env.all_docs.keys())


def _picture(title):
    picture = PICTURES.get(title)
    if picture is None:
        return "\n"
    of = f" of `{picture.graph}`" if picture.graph else ""
    if not picture.svg:
        return f"\n\nThe model{of} has {picture.nodes} nodes.\n"
    lines = [
        "<details><summary>As nodes</summary>",
        f'<img src="../rows/{escape(picture.name)}" alt="The nodes that the row makes" loading="lazy">',
        "</details>",
    ]
    return f"\n\nThe model{of}:\n\n" + "\n".join(lines) + "\n"


def write_pictures(app, _exception):
    """Put the pictures beside the pages."""
    folder = Path(app.outdir) / "rows"
    folder.mkdir(exist_ok=True)
    for picture in PICTURES.values():
        if picture.svg:
            (folder / picture.name).write_text(picture.svg, encoding="utf-8")


def setup(app):
    """Let Sphinx call these."""
    app.connect("env-get-outdated", outdated_pages)
    app.connect("source-read", show_pictures)
    app.connect("build-finished", write_pictures)
