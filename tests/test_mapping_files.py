"""Mapping files with mistakes: each gets an error that says where, what, and what is allowed."""

from __future__ import annotations

import textwrap
from dataclasses import replace
from pathlib import Path

import pytest
import row_counts

from onnx_mapper import RowError
from onnx_mapper.rows.reader import read_mapping_file
from onnx_mapper.rows.resources import folder
from onnx_mapper.rows.table import build_table, load_table
from onnx_mapper.rows.validated import is_validated

GOOD = """
- op: pytensor.tensor.extra_ops:CumOp
  summary: Running totals.
  inputs: [x]
  attributes:
    mode: {require: add, because: Products are not meant.}
  onnx: CumSum(x, axis)
"""


def load(tmp_path: Path, text: str) -> None:
    path = tmp_path / "rows.yaml"
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    build_table([[read_mapping_file(path)]])


def test_good_file_loads(tmp_path: Path) -> None:
    load(tmp_path, GOOD)


MISTAKES = {
    "no list": ("op: a:B", r"rows.yaml:1: a mapping file is a list"),
    "no mapping": ("- 3", r"rows.yaml:1: an entry is a mapping"),
    "duplicate key": ("- op: a:B\n  op: a:C", r"rows.yaml:2: the key 'op' stands here twice"),
    "alias": ("- &a {op: a:B}\n- *a", r"rows.yaml:1: anchors and aliases"),
    "tag": ("- !!python/object:os.system {}", r"rows.yaml:1: the tag"),
    "key that is no text": ("- {true: 1}", r"rows.yaml:1: the key true is no text"),
    "yes": ("- {op: a:B, summary: Something., subclasses: yes}", r"yes is read differently"),
    "octal": ("- {op: a:B, let: {n: 012}}", r"012 is read differently"),
    "sexagesimal": ("- {op: a:B, let: {n: 1:30}}", r"1:30 is read differently"),
    "tab": ("- op: a:B\n\tsummary: x", r"rows.yaml:2: no YAML"),
    "unfinished": ("- op: [a:B", r"rows.yaml:\d: no YAML, column"),
    "unknown key": (
        "- {op: a:B, summary: Something., onnx: Exp(x), input: [x]}",
        r"rows.yaml:1: input: 'input' is not allowed here; there are: .*inputs",
    ),
    "no summary": ("- {op: a:B, onnx: Exp(x)}", r"rows.yaml:1: 'summary' is missing"),
    "op without class": ("- {op: a.B, summary: Something., onnx: Exp(x)}", r"rows.yaml:1: op"),
    "two meanings": (
        "- {op: a:B, summary: Something., onnx: Exp(x), refuse: Because of this.}",
        r"a row has exactly one of: onnx, inline, delegate, .*refuse",
    ),
    "unknown operator": (
        "- {op: a:B, summary: Something., inputs: [x], onnx: Expp(x)}",
        r"rows.yaml:1: onnx: column 1: 'Expp' is no ONNX operator; did you mean Exp",
    ),
    "unknown function": (
        "- {op: a:B, summary: Something., inputs: [x], onnx: 'Exp(dimz(x))'}",
        r"no function 'dimz' in the formula language; did you mean dims",
    ),
    "arity of a function": (
        "- {op: a:B, summary: Something., inputs: [x], onnx: 'Exp(rank(x, x))'}",
        r"rank takes 1 argument, as in rank.*, not 2",
    ),
    "maker without an operator": (
        "- {op: a:B, summary: Something., inputs: [x], let: {m: made_by(x)}, onnx: Exp(x)}",
        r"made_by takes 2 or more arguments, as in made_by.*, not 1",
    ),
    "maker that is no operator": (
        "- {op: a:B, summary: Something., inputs: [x], let: {m: \"made_by(x, 'Expp')\"}, onnx: Exp(x)}",
        r"'Expp' is no ONNX operator; did you mean Exp",
    ),
    "unknown attribute of the operator": (
        "- {op: a:B, summary: Something., inputs: [x], onnx: 'Softmax(x, axes=1)'}",
        r"'axes' is no attribute of Softmax; it has: axis",
    ),
    "type of an attribute": (
        "- {op: a:B, summary: Something., inputs: [x], onnx: \"Softmax(x, axis='last')\"}",
        r"Softmax's axis is of type INT, not 'last'",
    ),
    "number of inputs": (
        "- {op: a:B, summary: Something., inputs: [x], onnx: 'Exp(x, x)'}",
        r"Exp takes 1 to 1 inputs, not 2",
    ),
    "operator of some opsets": (
        "- {op: a:B, summary: Something., inputs: [x], onnx: 'CumProd(x, 0)'}",
        r"CumProd exists only at opsets 26 to 28: guard it",
    ),
    "hook": (
        """
        - op: a:B
          summary: Something.
          inputs: [x]
          onnx: Exp(x)
          attributes:
            flag: {rewrite: {x: {hook: sharpen}}}
        """,
        r"rows.yaml:7: .*'sharpen' is not allowed; it is one of: asymmetric_padding, flip",
    ),
    "two verbs": (
        """
        - op: a:B
          summary: Something.
          inputs: [x]
          onnx: Softmax(x)
          attributes:
            axis: {to: axis, ignore: It makes no difference.}
        """,
        r"rows.yaml:7: attributes/axis: an attribute has exactly one verb",
    ),
    "rewrite of what is no input": (
        """
        - op: a:B
          summary: Something.
          inputs: [x]
          onnx: Softmax(x)
          attributes:
            flag: {rewrite: {y: Exp(x)}}
        """,
        r"rows.yaml:7: attributes/flag/rewrite: 'y' is no input; there are: x",
    ),
    "output that nothing assigns": (
        "- {op: a:B, summary: Something., inputs: [x], onnx: ['a = Exp(x)', 'b = Log(x)'], outputs: [c]}",
        r"no statement of the body assigns 'c'",
    ),
    "family without star": (
        "- {family: Some, op: a:B, rows: {Exp: Exp(x)}}",
        r"rows.yaml:1: op",
    ),
    "class with a dot": (
        "- {op: pytensor.tensor.special.Softmax, summary: Something., inputs: [x], onnx: Exp(x)}",
        r"'pytensor.tensor.special.Softmax' names no class: write module:Class, such as",
    ),
    "attribute that the body gives already": (
        """
        - op: a:B
          summary: Something.
          inputs: [x]
          onnx: Softmax(x, axis=axis)
          attributes:
            axiss: {to: axis}
        """,
        r"attributes/axiss: the body gives Softmax its axis by itself: drop `to: axis`",
    ),
    "operator without a required attribute": (
        "- {op: a:B, summary: Something., inputs: [x], onnx: 'Add(Cast(x), x)'}",
        r"rows.yaml:1: onnx: column 5: Cast needs the attribute 'to'",
    ),
    "question without arguments": (
        "- {op: a:B, summary: Something., inputs: [x], onnx: 'x if runs() else Exp(x)'}",
        r"rows.yaml:1: onnx: column 6: runs takes 1 or more arguments, as in runs.*, not 0",
    ),
    "question about no operator": (
        """- {op: a:B, summary: Something., inputs: [x], onnx: "x if runs('Expp', x) else Exp(x)"}""",
        r"column 6: 'Expp' is no ONNX operator; did you mean Exp",
    ),
    "constant without a dtype": (
        "- {op: a:B, summary: Something., inputs: [x], onnx: 'Add(x, constant(2))'}",
        r"column 8: constant takes 2 arguments, as in constant.*, not 1",
    ),
    "constant of no dtype": (
        """- {op: a:B, summary: Something., inputs: [x], onnx: "Add(x, constant(2, 'float46'))"}""",
        r"column 8: 'float46' is no dtype; did you mean float64",
    ),
    "definition that calls itself": (
        "- {define: f(x), summary: Something., onnx: 'f(Exp(x))'}",
        r"rows.yaml:1: f calls itself: go along a vector with a list comprehension or a fold",
    ),
    "definitions in a circle": (
        """
        - {define: f(x), summary: Something., onnx: g(x)}
        - {define: g(x), summary: Something., onnx: h(x)}
        - {define: h(x), summary: Something., onnx: 'x if rank(x) == 0 else f(x)'}
        """,
        r"rows.yaml:2: f calls itself through g, h: go along",
    ),
    "definition without parentheses": (
        "- {define: log1p, summary: Something., onnx: Exp(x)}",
        r"a definition is named like `log1p\(x\)`",
    ),
    "attribute of the class that the row forgets": (
        "- {op: pytensor.tensor.extra_ops:CumOp, summary: Something., inputs: [x], onnx: 'CumSum(x, axis)'}",
        r"CumOp's attribute 'mode' has no verb",
    ),
    "attribute that the class does not have": (
        """
        - op: pytensor.tensor.extra_ops:CumOp
          summary: Something.
          inputs: [x]
          onnx: CumSum(x, axis)
          attributes:
            mode: {ignore: It makes no difference.}
            speed: {ignore: It makes no difference.}
        """,
        r"rows.yaml:8: attributes/speed: CumOp has no attribute 'speed' here; it has: axis, mode",
    ),
    "attribute that an input hides": (
        """
        - op: pytensor.tensor.extra_ops:CumOp
          summary: Something.
          inputs: [x, axis]
          onnx: CumSum(x, axis)
          attributes:
            mode: {ignore: It makes no difference.}
        """,
        r"rows.yaml:4: inputs: CumOp takes 'axis' as an attribute here, and the row takes it for an input",
    ),
    "more inputs than the class takes": (
        "- {op: pytensor.tensor.basic:Eye, summary: An identity., inputs: [n, m, k, j], onnx: Exp(n)}",
        r"rows.yaml:1: inputs: Eye takes n, m, k here, and the row names n, m, k, j",
    ),
    "class that is no Op": (
        "- {op: pytensor.tensor:TensorVariable, summary: Something., inputs: [x], onnx: Exp(x)}",
        r"rows.yaml:1: op: pytensor.tensor:TensorVariable is no Op",
    ),
}


@pytest.mark.parametrize(("text", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_mistakes_are_explained(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(RowError, match=message):
        load(tmp_path, text)


def test_the_design_example_of_an_error(tmp_path: Path) -> None:
    """`stride` is answered with Conv's attributes, before anything runs."""
    text = """
    - op: somewhere:Conv2d
      summary: Convolution.
      inputs: [image, kernel]
      onnx: Conv(image, kernel)
      attributes:
        subsample: {to: stride}
    """
    with pytest.raises(
        RowError,
        match=r"rows\.yaml:7: attributes/subsample/to: 'stride' is not allowed; it is one of: "
        r"auto_pad, dilations, group, kernel_shape, pads, strides",
    ):
        load(tmp_path, text)


def test_one_class_in_two_rows_needs_choose(tmp_path: Path) -> None:
    with pytest.raises(RowError, match=r"is mapped at .* too: give each row a `choose`"):
        load(tmp_path, GOOD + GOOD)


def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.yaml"
    path.write_text("# " + "x" * (2 << 20), encoding="utf-8")
    with pytest.raises(RowError, match="larger than"):
        read_mapping_file(path)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.yaml"
    path.write_bytes(b"- op: \xff\xfe")
    with pytest.raises(RowError, match="can't be read as UTF-8"):
        read_mapping_file(path)


def test_shipped_rows_load_and_agree_with_every_class_of_this_pytensor_line() -> None:
    """Invariant 1: a PyTensor release that adds a `__props__` entry fails here."""
    from onnx_mapper.rows.checks import check_row
    from onnx_mapper.rows.fit import installed_class

    table = load_table()
    active = [row for row in table.rows if installed_class(row, import_modules=True)]
    for row in active:
        check_row(replace(row, shipped=False), table.language)
    assert len(active) > 100


def test_shipped_files_are_listed_as_checked() -> None:
    """A file that isn't listed is checked again at every first export: `make generated` lists it."""
    files = sorted(folder("mappings").glob("*.yaml"))
    assert len(files) > 15
    assert [path.name for path in files if not is_validated(path)] == []


def test_a_shipped_file_that_was_edited_is_checked(tmp_path: Path) -> None:
    """Also where nothing but its shape is wrong."""
    source = folder("mappings") / "pad.yaml"
    edited = tmp_path / source.name
    text = source.read_text(encoding="utf-8")
    edited.write_text(text, encoding="utf-8")
    assert is_validated(edited)
    assert read_mapping_file(edited, shipped=True).rows
    edited.write_text(text.replace("  summary: ", "  sumary: ", 1), encoding="utf-8")
    assert not is_validated(edited)
    with pytest.raises(RowError, match=r"pad\.yaml:\d+: sumary: 'sumary' is not allowed here"):
        read_mapping_file(edited, shipped=True)


def test_a_file_of_the_users_own_is_always_checked(tmp_path: Path) -> None:
    path = tmp_path / "pad.yaml"
    path.write_text("- op: a.b:C\n  sumary: x\n", encoding="utf-8")
    with pytest.raises(RowError, match="'sumary' is not allowed here"):
        read_mapping_file(path)


def test_shipped_rows_stay_readable() -> None:
    long = [
        f"{path.name}:{number}"
        for path in sorted(row_counts.MAPPINGS.glob("*.yaml"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if len(line) > row_counts.LONGEST_LINE
    ]
    assert not long
    every = list(row_counts.formulas(load_table()))
    assert not [f.place for f in every if row_counts.has_nested_conditional(f.tree)]
    assert len([f for f in every if len(f.text) > row_counts.LONG_FORMULA]) < 15
