"""The site: `make docs`. Pages are Markdown (MyST), the reference comes from docstrings."""

from onnx_mapper.version import VERSION

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
