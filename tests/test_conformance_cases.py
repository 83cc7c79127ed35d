"""What a row's cases may say, what they mean, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from onnx_mapper.conformance.cases.only_operator import only_operator
from onnx_mapper.conformance.cases.reader import read_cases
from onnx_mapper.conformance.run.batches import batches_of
from onnx_mapper.conformance.run.items import items_of
from onnx_mapper.conformance.run.oracle import FAILED, PASSED, run_item
from onnx_mapper.conformance.subject import find_subject
from onnx_mapper.errors import Place, RowError
from onnx_mapper.language import vocabulary
from onnx_mapper.language.scope import Language
from onnx_mapper.rows.reader import read_document
from onnx_mapper.rows.strict_yaml import parse

JOIN = """
- op: pytensor.tensor.basic:Join
  summary: Tensors along an axis.
  inputs: [axis=, "*tensors"]
  promote: {tensors: dtype(out)}
  needs: {len(tensors) < 4: There must be less than four tensors.}
  onnx: Concat(*tensors, axis=value(axis))
  attributes: {view?: {ignore: It has no effect.}}
"""


def joined(cases: str, more: str = "") -> str:
    return f"{JOIN}  cases: {cases}\n{more}"


EVERY = """
- defaults: What rows of this file share.
  tolerances: {loose: {ulps: 9, because: Sums in another order.}}
  every_case: {domain: {a: [5, 6], b: [1, 2]}, shapes: static}

- family: Two classes
  op: "pytensor.tensor.basic:*"
  inputs: [axis=, "*tensors"]
  onnx: Concat(*tensors, axis=value(axis))
  attributes: {view?: {ignore: It has no effect.}}
  every_case: {sizes: {n: [2], m: [4]}, opsets: [21]}
  rows:
    Join:
      every_case: {domain: {a: [0, 1]}, tolerance: loose}
      cases:
        - {name: all, inputs: {a: "f64[n]"}, graph: "pt.join(0, a, a)"}
        - {name: own, inputs: {a: "f64[m]"}, graph: "pt.join(0, a, a)", domain: {a: [2, 3]}, shapes: dynamic}
        - {name: other, inputs: {b: "f64[k]"}, graph: "pt.join(0, b, b)", opsets: [18]}
"""


def test_what_every_case_has():
    (row,) = read_document(parse(EVERY, "rows.yaml")).rows
    every, own, other = read_cases(row).cases
    told = [
        ({name: [f.text for f in bounds] for name, bounds in case.domain}, dict(case.sizes))
        for case in (every, own, other)
    ]
    assert told[0] == ({"a": ["0", "1"]}, {"n": (2,)})  # its row's, not its file's
    assert told[1] == ({"a": ["2", "3"]}, {"m": (4,)})
    assert told[2] == ({"b": ["1", "2"]}, {"k": (3, 1, 0)})
    assert [case.tolerance.ulps for case in (every, own, other)] == [9, 9, 9]
    assert [case.opsets for case in (every, own, other)] == [(21,), (21,), (18,)]
    assert [case.shapes for case in (every, own, other)] == [("static",), ("dynamic",), ("static",)]


def test_what_every_case_has_and_none_does():
    with pytest.raises(RowError, match=r"rows.yaml:9: every_case/domain/z: no case has 'z'"):
        read_document(
            parse(
                f"{JOIN}  every_case: {{domain: {{z: [0, 1]}}}}\n  cases: {{inputs: {{a: f32}}}}",
                "rows.yaml",
            )
        )
    with pytest.raises(RowError, match=r"rows.yaml:9: every_case: there are no `cases`"):
        read_document(parse(f"{JOIN}  every_case: {{shapes: static}}\n", "rows.yaml"))
    with pytest.raises(RowError, match=r"rows.yaml:9: every_case/grid: 'grid' is not allowed here"):
        read_document(parse(f"{JOIN}  every_case: {{grid: {{a: [1]}}}}\n", "rows.yaml"))


PATTERN = """
- pattern: Mine
  summary: A pattern.
  match: Exp(x)
  onnx: x
  every_case: {domain: {z: [0, 1]}}
  cases: {inputs: {x: f32}, graph: pt.exp(x), expect: [Exp]}
"""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (EVERY.replace("b: [1, 2]", "z: [1, 2]"), "rows.yaml:4: every_case/domain/z: no case has"),
        (EVERY.replace("m: [4]", "z: [4]"), "rows.yaml:11: every_case/sizes/z: no case has"),
        (PATTERN, "rows.yaml:6: every_case/domain/z: no case has"),
    ],
)
def test_what_a_file_a_family_or_a_pattern_says_of_no_case(text, says):
    with pytest.raises(RowError) as caught:
        read_document(parse(text, "rows.yaml"))
    assert str(caught.value).startswith(says)


@pytest.mark.parametrize(
    ("meaning", "operator"),
    [
        ("onnx: Log(x)", "Log"),
        ("onnx: Log(Abs(x))", None),
        ("onnx: log_of(x)", None),
        ("onnx: [y = Log(x), Abs(y)]", None),
        ("onnx: Log(2)", None),
        ("{rewrite: {x: Abs(x)}, onnx: Log(x)}", None),
        ("{onnx: Log(x), finish: Abs(result)}", None),
        ("onnx: Cast(x, to='float32')", None),
    ],
)
def test_rows_of_one_node_expect_it(meaning, operator):
    text = "op: pytensor.scalar.basic:Log\nsummary: Natural logarithm.\ninputs: [x]\n"
    keys = meaning.strip("{}").replace(", onnx:", "\nonnx:").replace(", finish:", "\nfinish:")
    entry = "".join(f"  {line}\n" for line in (text + keys).splitlines())
    (row,) = read_document(parse(f"- {entry[2:]}", "rows.yaml")).rows
    assert only_operator(row) == operator


LANGUAGE = Language(vocabulary.CALLS, vocabulary.CONSTANTS, {})


def subject(folder: Path, text: str):
    path = folder / "rows.yaml"
    path.write_text(text, encoding="utf-8")
    return find_subject([path])


def outcomes(folder: Path, text: str):
    tested = subject(folder, text)
    (items,) = tested.items().values()
    return {item.id: run_item(item, tested.table) for item in items}


def problem(text: str) -> str:
    """Return what is wrong with the only row of a file."""
    with pytest.raises(RowError) as caught:
        built(text)
    return str(caught.value)


def built(text: str):
    """Return what is built for the first item of the only row of a file."""
    (row,) = read_document(parse(text, "rows.yaml")).rows
    return batches_of(items_of(row, read_cases(row))[0], LANGUAGE)


MALFORMED = {
    "an unknown key": (
        "{input: {x: T}}",
        "rows.yaml:9: cases/input: 'input' is not allowed here; there are: avoid",
    ),
    "no inputs": ("{grid: {a: [1]}}", "rows.yaml:9: cases: the case has no `inputs`"),
    "not a dtype": (
        "{inputs: {x: 'float[2]'}}",
        "'float' is no dtype and no letter like T; dtypes are: bool",
    ),
    "no shape": ("{inputs: {x: 'T(2)'}}", "'T(2)' must look like float32[2,3], T[n,4] or T"),
    "unknown group": (
        "{inputs: {x: T}, dtypes: {T: reals}}",
        "'reals' is no dtype; there are: floats",
    ),
    "letter not used": (
        "{inputs: {x: T}, dtypes: {T: f32, u: f32}}",
        "'u' is no dtype letter of the inputs",
    ),
    "not an input": ("{inputs: {x: T}, domain: {y: [0, 1]}}", "'y' is no input; there are: x"),
    "interval of three": ("{inputs: {x: T}, domain: {x: [0, 1, 2]}}", "domain/x"),
    "unknown name": ("{inputs: {x: 'T[2,k+1]'}}", "'k' is no grid name"),
    "unknown number": (
        "{inputs: {x: T}, special: {x: [infinity]}}",
        "'infinity' is not defined; there are",
    ),
    "wrong depth": ("{inputs: {x: 'T[2,2]'}, values: {x: [[1, 2]]}}", "x has 2 axes, not 1"),
    "no size": ("{inputs: {x: 'T[n]'}, sizes: {m: [1]}}", "'m' is no free axis name; there are: n"),
    "negative size": ("{inputs: {x: 'T[n]'}, sizes: {n: [-1]}}", "sizes/n"),
    "no opset": ("{inputs: {x: T}, opsets: [17]}", "17 is no opset; they go from 18 to 28"),
    "no way": (
        "{inputs: {x: T}, given: {x: variable}}",
        "'variable' is not allowed; it is one of: input",
    ),
    "no reason": ("{inputs: {x: T}, tolerance: {ulps: 9}}", "tolerance"),
    "unread grid": (
        "{inputs: {x: T}, grid: {a: [1]}, graph: x + 1}",
        "neither `graph` nor `inputs` reads 'a'",
    ),
    "unread name": (
        "{inputs: {x: T}, graph: x + y}",
        "'y' is not defined; there are: pt, scalar, op",
    ),
    "no expression": ("{inputs: {x: T}, graph: 'x +'}", "no expression"),
    "a lambda": ("{inputs: {x: T}, graph: '(lambda: x)()'}", "Lambda is not allowed in a case"),
    "no operator": ("{inputs: {x: T}, expect: [add]}", "'add' must look like"),
    "refused grid": (
        "{inputs: {x: T}, graph: x + 1, refuse: [{with: {a: 1}, says: nothing}]}",
        "cases/refuse/0/with/a: 'a' is not defined; there are: none",
    ),
    "no phrase": ("{inputs: {x: T}, refuse: [{with: {a: 1}}]}", "'says' is missing"),
    "twice the name": (
        "[{inputs: {x: T}, name: a}, {inputs: {x: T}, name: a}]",
        "two cases are named 'a'",
    ),
}


@pytest.mark.parametrize("mistake", MALFORMED)
def test_malformed_cases_say_where_and_what(mistake):
    cases, says = MALFORMED[mistake]
    found = problem(joined(cases))
    assert found.startswith("rows.yaml:9: cases")
    assert says in found


def test_deviation_of_a_case_that_is_not_there():
    text = joined("{inputs: {x: T}}", "  deviations: [{case: odd, because: It is strange.}]")
    assert "no case is named 'odd'; there are: none has a name" in problem(text)


def test_wrong_cases_fail_as_an_item_and_leave_other_rows_alone(tmp_path):
    (item,) = subject(tmp_path, joined("{grid: {a: [1]}}")).items()["rows.yaml:2 Join"]
    assert item.id == "rows.yaml::Join[cases]"
    assert "no `inputs`" in item.problem


def test_ids_say_what_was_chosen(tmp_path):
    cases = "{inputs: {x: 'T[2,n]', y: 'f32[2,3]'}, dtypes: {T: [f32, i8]}, grid: {axis: [0, 1]}, "
    cases += (
        "given: {y: [input, constant]}, sizes: {n: 3}, opsets: [21], graph: 'pt.join(axis, x, y)'}"
    )
    found = outcomes(tmp_path, joined(cases))
    assert list(found)[:3] == [
        "rows.yaml::Join[axis=0-float32-opset21-static]",
        "rows.yaml::Join[axis=0-float32-y=constant-opset21-static]",
        "rows.yaml::Join[axis=0-int8-opset21-static]",
    ]
    assert len(found) == 16
    assert {outcome.status for outcome in found.values()} == {PASSED}


def test_expected_operators_are_held_against_the_model(tmp_path):
    cases = "{inputs: {x: 'T[2,3]'}, graph: 'pt.join(0, x, x)', expect: [%s]}"
    right = outcomes(tmp_path, joined(cases % "Concat"))
    assert {outcome.status for outcome in right.values()} == {PASSED}
    wrong = outcomes(tmp_path, joined(cases % "Concat, Cast"))
    assert {outcome.status for outcome in wrong.values()} == {FAILED}
    assert "operators are Concat; rows.yaml:9: cases/expect expects Concat, Cast" in {
        outcome.problem[12:] for outcome in wrong.values()
    }


UNIFORM = """
- op: pytensor.tensor.random.basic:UniformRV
  summary: A uniform draw.
  inputs: [rng, size, low, high]
  needs: {random == 'input': "export with random='input'."}
  attributes:
    name: {ignore: A label.}
    signature: {ignore: It has one dtype.}
    dtype: {ignore: It is that of the draw.}
    inplace: {ignore: It has no effect on the draw.}
  let: {u: "random_numbers('uniform between 0 and 1, both excluded', dtype(outs[1]), dims(outs[1]), size)"}
  onnx: "[None, Add(low, Mul(u, Sub(high, low)))]"
  cases: {inputs: {a: f64}, domain: {a: [0, 9]}, graph: "%s", expect: [%s]}
"""


@pytest.mark.slow
def test_rows_that_draw_are_held_to_their_operators_and_must_be_used(tmp_path):
    draw = "op(dtype='float64')(a, a + 2, size=(20000,))"
    right = outcomes(tmp_path, UNIFORM % (draw, "Unsqueeze, Add, Unsqueeze, Sub, Mul, Add"))
    assert {outcome.status for outcome in right.values()} == {PASSED}
    wrong = outcomes(tmp_path, UNIFORM % (draw, "Add"))
    assert all("expects Add" in outcome.problem for outcome in wrong.values())
    other = outcomes(tmp_path, UNIFORM % ("pt.random.normal(a, 1, size=(20000,))", "Add"))
    assert all("does not use this row" in outcome.problem for outcome in other.values())


@pytest.mark.slow
def test_only_rows_that_draw_say_where_numbers_come_from(tmp_path):
    text = SIGN.replace("sizes: {n: 1}}", "sizes: {n: 1}, random: node}") % "2"
    (found,) = outcomes(tmp_path, text).values()
    assert found.status == FAILED
    assert "cases/random: this row draws nothing at random: drop the key" in found.problem


def test_refusals_must_refuse_with_the_phrase(tmp_path):
    cases = "{inputs: {x: 'T[2,3]'}, graph: 'pt.join(0, x, x)', refuse: [%s]}"
    says = "{graph: 'pt.join(0, x, x, x, x)', says: %s}"
    for refuse, status in [
        (says % "less than four", PASSED),
        (says % "something else", FAILED),
        ("{graph: 'pt.join(1, x, x)', says: less than four}", FAILED),
    ]:
        found = outcomes(tmp_path, joined(cases % refuse))
        (refused,) = [outcome for name, outcome in found.items() if "[refuse" in name]
        assert refused.status == status, refused.problem


SIGN = """
- op: pytensor.scalar.basic:Sign
  summary: Sign of a number; here 2 stands for 1.
  inputs: [x]
  promote: dtype(out)
  onnx: "Where(Greater(x, 0), %s, Sign(x))"
  cases: {inputs: {x: "T[n]"}, dtypes: {T: floats}, domain: {x: [-3, 3]}, sizes: {n: 1}}
  deviations:
    - {where: x > 0, because: Somebody likes 2.}
"""


def test_deviation_that_is_true_passes_and_is_counted(tmp_path):
    found = outcomes(tmp_path, SIGN % "2")
    assert {outcome.status for outcome in found.values()} == {PASSED}
    assert sum(outcome.deviating for outcome in found.values()) > len(found) / 2


def test_deviation_that_is_no_longer_true_fails(tmp_path):
    found = outcomes(tmp_path, SIGN % "1")
    assert {outcome.status for outcome in found.values()} == {FAILED}
    assert all("no longer one" in outcome.problem for outcome in found.values())


def test_a_graph_that_does_not_use_the_row_fails(tmp_path):
    found = outcomes(tmp_path, joined("{inputs: {x: 'T[2]'}, graph: x + 1}"))
    assert all("does not use this row" in outcome.problem for outcome in found.values())


def test_numbers_that_pytensor_does_not_take_must_be_avoided(tmp_path):
    cases = "{inputs: {x: 'T[n]', i: 'i64[2]'}, dtypes: {T: f32}, sizes: {n: [3, 0]}, "
    cases += "domain: {i: [-1, 0]}, graph: 'pt.join(0, x, x[i])'%s}"
    raising = outcomes(tmp_path, joined(cases % ""))
    assert any("PyTensor itself raises IndexError" in o.problem for o in raising.values())
    avoid = ", avoid: [{when: n == 0, because: Nothing can be taken from nothing.}]"
    avoiding = outcomes(tmp_path, joined(cases % avoid))
    assert {outcome.status for outcome in avoiding.values()} == {PASSED}


def test_reproduction_holds_graph_inputs_versions_and_command(tmp_path):
    from onnx_mapper.conformance.runner import result_of

    tested = subject(tmp_path, SIGN % "1")
    (items,) = tested.items().values()
    story = result_of(items[0], tested.table).story
    for part in ("Sign [id", "inputs:", "x = np.array(", "versions: onnx-mapper", "onnxruntime"):
        assert part in story
    assert f'onnx-mapper test {tmp_path / "rows.yaml"} -k "{items[0].id}"' in story


@pytest.mark.parametrize(
    "graph",
    [
        "pt.io.load('/etc/passwd', 'float64', (None,))",
        "pt.load('/etc/passwd', 'float64', (None,))",
        "pt.utils.import_func_from_string('os.system')",
        "pt.elemwise.import_func_from_string('os.system')",
        "pt.elemwise.Elemwise(scalar.exp, nfunc_spec=('os.getcwd', 0, 1))(x)",
        "pt.elemwise.Elemwise(scalar.exp, None, None, ('os.getcwd', 0, 1))(x)",
        "pt.blockwise.Blockwise(scalar.exp, gufunc_spec=('os.getcwd', 0, 1))(x)",
        "pt.exp('/etc/passwd')",
        "pt.basic.np.load('rows')",
        "pt.basic.builtins",
        "pt.basic.pytensor.function([x], x)",
        "pt.vectorize(pt.exp)",
        "x.owner",
        "x.eval()",
        "x.__class__",
        "x._repr_html_()",
        "pt.__builtins__",
        "open('/etc/passwd')",
        "__import__('os')",
        "(x for x in x)",
        "[y for y in x]",
        "scalar.basic.sys",
        "pt.printing.Print('message')(x)",
        "9 ** 9 ** 9 ** 9 + x",
        "op(*[1, 2] * 10 ** 9)(x)",
        "'a' * 10 ** 9",
    ],
)
def test_a_case_can_not_run_code(graph, monkeypatch):
    text = joined(f'{{inputs: {{x: "T[2]"}}, graph: "{graph}"}}')
    built(joined('{inputs: {x: "T[2]"}, graph: pt.exp(x)}'))  # let PyTensor load what it needs
    with monkeypatch.context() as patch:
        for name in ("builtins.open", "os.getcwd", "os.system"):
            patch.setattr(name, forbidden)
        with pytest.raises(RowError):
            built(text)


def forbidden(*arguments, **keywords):
    raise AssertionError("a case ran code")


def test_place_of_a_row_without_a_file():
    from onnx_mapper.rows.model import Row

    place = Place("made.yaml", 3)
    assert Row(("a:B",), place, "A row made by hand.").locate("cases") == place
