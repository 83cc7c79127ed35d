"""The formula language: what it computes and refuses; strangers' formulas can only fail."""

from __future__ import annotations

import re
from typing import Any

import pytest

from onnx_mapper import RowError
from onnx_mapper.errors import Place
from onnx_mapper.language import vocabulary
from onnx_mapper.language.formula import parse_formula, parse_statement
from onnx_mapper.language.scope import Language, Limit, Scope
from onnx_mapper.language.tensors import Value
from onnx_mapper.language.values import Unknown, Vector

PLACE = Place("rows.yaml", 7, "onnx")
LANGUAGE = Language(vocabulary.CALLS, vocabulary.CONSTANTS, {})


def evaluate(text: str, **names: Any) -> Any:
    return parse_formula(text, PLACE).evaluate(Scope(dict(names), LANGUAGE, limit=Limit()))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3", 7),
        ("7 // 2 - 7 % 4", 0),
        ("2 ** 10", 1024),
        ("-2.5", -2.5),
        ("[1, 2] * 3", [3, 6]),
        ("[1, 2] + [10, 20]", [11, 22]),
        ("10 - [1, 2]", [9, 8]),
        ("[5, 3][1:]", [3]),
        ("[[1, 2], [3, 4]][1][0]", 3),
        ("[*[1, 2], 3]", [1, 2, 3]),
        ("'half' in ['half', 'full']", True),
        ("1 if 2 > 1 else 0", 1),
        ("1 < 2 < 3", True),
        ("not (True and False or None)", True),
        ("[i * i for i in range(5) if i % 2]", [1, 9]),
        ("[a - b for a, b in zip([5, 7], [1, 2])]", [4, 5]),
        ("both_sides([1, 2])", [1, 2, 1, 2]),
        ("ranks([7, 2, 5])", [2, 0, 1]),
        ("inverse([2, 0, 1])", [1, 2, 0]),
        ("[*[1], *[2, 3]]", [1, 2, 3]),
        ("prod([2, 3, 4])", 24),
        ("flat([[1, [2]], 3])", [1, 2, 3]),
        ("flat(7)", [7]),
        ("fold(2 * total - i, total=5, i=[1, 2, 4])", 28),
        ("fold(total - i * w, total=0, i=[1, 2], w=[10, 100])", -210),
        ("fold(1 // 0, total=3, i=[])", 3),
        ("fold([*sums, sums[-1] + i], sums=[0], i=[3, 4])", [0, 3, 7]),
        ("[fold(x - j, x=i, j=range(i)) for i in range(5)]", [0, 1, 1, 0, -2]),
        ("fold([b, a + b], pair=[0, 1], a=[7], b=[8])", [8, 15]),
        ("highest('int8')", 127),
        ("common('int64', 'float32')", "float64"),
        ("None == None", True),
    ],
)
def test_static_values(text: str, expected: Any) -> None:
    found = evaluate(text)
    assert (list(found) if isinstance(found, Vector) else found) == expected


def test_unknown_sizes_are_carried_and_vanish_times_zero() -> None:
    size = Unknown("size 2 of kernel")
    assert evaluate("0 * (n - 1)", n=size) == 0
    assert evaluate("known([1, n])", n=size) is False
    assert evaluate("[n, 2] * 2", n=size)[1] == 4
    with pytest.raises(RowError, match=r"size 2 of kernel.*can't be tested"):
        evaluate("1 if n else 2", n=size)
    with pytest.raises(RowError, match=r"size 2 of kernel.*'>'"):
        evaluate("n > 1", n=size)


def test_conditions_are_lazy() -> None:
    assert evaluate("1 if a == 1 else 1 // (a - 1)", a=1) == 1
    assert evaluate("a == 1 or 1 // (a - 1) == 1", a=1) is True
    assert evaluate("a != 1 and 1 // (a - 1) == 1", a=1) is False
    with pytest.raises(RowError, match="1 // 0"):
        evaluate("a == 1 and 1 // (a - 1) == 1", a=1)


def test_tensors_have_no_truth_and_no_arithmetic_while_exporting() -> None:
    tensor = Value("x", "float32", (3,))
    with pytest.raises(RowError, match="use Where"):
        evaluate("1 if x else 2", x=tensor)
    with pytest.raises(RowError, match="write a node"):
        evaluate("x + 1", x=tensor)
    with pytest.raises(RowError, match="use Equal"):
        evaluate("x == 1", x=tensor)
    with pytest.raises(RowError, match="use Gather or Slice"):
        evaluate("x[0]", x=tensor)


def test_statements_have_targets() -> None:
    statement = parse_statement("values, places = TopK(x, 3)", PLACE)
    assert statement.targets == ("values", "places")
    assert parse_statement("a == 1", PLACE).targets == ()
    with pytest.raises(RowError, match="lower-case"):
        parse_statement("Values = x", PLACE)


def test_errors_say_file_line_column_and_what_exists() -> None:
    with pytest.raises(RowError, match=r"^rows\.yaml:7: onnx: no expression, column 5"):
        evaluate("1 + * 2")
    with pytest.raises(RowError, match=r"'axes' is not defined here; there are: axis, .*pi"):
        evaluate("axes", axis=1)
    with pytest.raises(RowError, match=r"vectors of 2 and 3 items"):
        evaluate("a + b", a=Vector([1, 2]), b=Vector([1, 2, 3]))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("fold(a)", "column 1: fold takes the next running value, the first one, and vectors"),
        ("fold(a, a=1)", "column 1: fold takes the next running value"),
        ("fold(a, b, a=1, i=[2])", "column 1: fold takes the next running value"),
        ("fold(a, A=1, i=[2])", "column 1: what fold goes along have plain lower-case names"),
        ("fold(a, a=1, i=2)", "fold goes along vectors, not 2"),
        ("fold(a, a=1, i=[2], j=[3, 4])", "fold goes along vectors of one length, not of 1 and 2"),
        ("fold(a, a=1, i=[2]) + i", "'i' is not defined here"),
    ],
)
def test_errors_of_folds(text: str, says: str) -> None:
    with pytest.raises(RowError, match=re.escape(says)):
        evaluate(text)


def test_errors_name_what_is_there_and_no_internals() -> None:
    x = Value("x", "float64", (3, 4))
    with pytest.raises(RowError, match=r"ranks takes a vector, not the tensor 'x' \(in"):
        evaluate("ranks(x)", x=x)
    with pytest.raises(RowError, match=r"can't be indexed|\[the tensor 'x', 2\]"):
        evaluate("[x, 2] < 3", x=x)
    with pytest.raises(RowError, match="written with a capital, such as Softmax"):
        evaluate("softmax(x, axis=1)", x=x)


HOSTILE = {
    "import": "__import__('os').system('true')",
    "dunder attribute": "().__class__.__bases__",
    "dunder through a name": "x.__class__",
    "private attribute": "x._private",
    "call of an attribute": "x.tofile('/tmp/out')",
    "format string": "f'{x.__class__}'",
    "percent format": "'%9999999999d' % 1",
    "lambda": "(lambda: 1)()",
    "walrus": "(y := 1)",
    "dictionary": "{1: 2}",
    "set comprehension": "{i for i in [1]}",
    "generator": "sum(i for i in [1])",
    "await": "await x",
    "yield": "(yield 1)",
    "bytes": "b'abc'",
    "complex": "1j",
    "ellipsis": "...",
    "shift": "1 << 10 ** 9",
    "matrix product": "x @ x",
    "keyword expansion": "Add(**x)",
    "huge power": "9 ** 9 ** 9",
    "huge power of a vector": "[9, 9] ** 99999999",
    "huge integer": "9" * 300,
    "huge product": "18446744073709551615 * 18446744073709551615 * 18446744073709551615",
    "repeated text": "'a' * 10 ** 9",
    "repeated vector": "[0] * 10 ** 9 + full(10 ** 9, 0)",
    "long span": "range(10 ** 12)",
    "long vector": "full(10 ** 12, 1)",
    "nested brackets": "[" * 300 + "]" * 300,
    "nested parentheses": "(" * 390 + "1" + ")" * 390,
    "nested minus": "-" * 700 + "1",
    "nested conditions": "1 if 1 else " * 60 + "1",
    "ten megabytes": "1 + " * 2_500_000 + "1",
    "endless comprehensions": "[[[[0 for a in range(9999)] for b in range(9999)] for c in range(9999)]]",
    "doubled vector": "fold([*v, *v], v=[1], i=range(9999))",
    "doubled branches": "flat(fold([v, v], v=[1], i=range(9999)))",
    "doubled text": "fold(t + t, t='a', i=range(9999))",
    "endless folds": "fold(fold(fold(a, a=c, k=range(9999)), c=b, j=range(9999)), b=1, i=range(9999))",
    "two fors": "[0 for a in range(99) for b in range(99)]",
    "null byte": "1 +\0 2",
    "surrogate": "'\ud800'" + " + 1",
    "evaluation": "eval('1')",
    "opening a file": "open('/etc/passwd')",
    "getattr": "getattr(x, 'shape')",
    "globals": "globals()",
}


@pytest.mark.timeout(10)
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_formulas_end(text: str) -> None:
    with pytest.raises(RowError):
        evaluate(text, x=Value("x", "float32", (3,)))


def test_attributes_reach_plain_records_only() -> None:
    assert evaluate("s.stop", s=slice(1, 5)) == 5
    with pytest.raises(RowError, match="no field 'system'"):
        evaluate("module.system", module=pytest)
    with pytest.raises(RowError, match="no fields"):
        evaluate("x.known", x=Value("x", "float32", (3,)))
