"""The formula language: restricted Python expressions that say what an op is in ONNX.

A Capitalised call is an ONNX node; everything else is decided while exporting. Formulas
come from mapping files that strangers may have written, so the syntax tree is checked
against a whitelist, its size and the work it may do are bounded, and nothing in it can
reach Python: there are no attributes but the public fields of plain records, no imports,
no lambdas, no strings to evaluate. See docs/formulas.md for the language.
"""

from __future__ import annotations

import ast
import re

from onnx_mapper.errors import Place, RowError
from onnx_mapper.language.compiler import Compiler
from onnx_mapper.language.scope import Formula, Statement
from onnx_mapper.language.text import shortened

LONGEST_FORMULA = 800

_ASSIGNMENT = re.compile(r"^\s*([A-Za-z_]\w*(?:\s*,\s*[A-Za-z_]\w*)*)\s*=(?!=)(.*)$", re.DOTALL)


def parse_statement(text: str, place: Place) -> Statement:
    """Compile a line of a row's body.

    Args:
        text: `name = expression`, `a, b = expression`, or `expression`.
        place: Where it stands.

    Raises:
        RowError: When it is no formula.

    Example:
        >>> parse_statement("y = Exp(x)", Place("rows.yaml", 3)).targets
        ('y',)
    """
    match = _ASSIGNMENT.match(text[: LONGEST_FORMULA + 1])
    if not match:
        return Statement((), parse_formula(text, place))
    targets = tuple(name.strip() for name in match.group(1).split(","))
    for name in targets:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise RowError(
                place, f"{name!r} can't be assigned: names start with a lower-case letter"
            )
    return Statement(targets, parse_formula(match.group(2).strip(), place, len(targets)))


def parse_formula(text: str, place: Place, outputs: int = 1) -> Formula:
    """Compile one expression.

    Args:
        text: The expression.
        place: Where it stands, for errors.
        outputs: How many outputs the outermost node is asked for.

    Raises:
        RowError: When the text is too long, no expression, or uses what formulas may not.

    Example:
        >>> from onnx_mapper.language.scope import Language, Scope
        >>> formula = parse_formula("2 * [1, 2]", Place("rows.yaml", 3))
        >>> formula.evaluate(Scope({}, Language({}, {}, {})))
        [2, 4]
    """
    if len(text) > LONGEST_FORMULA:
        raise RowError(
            place,
            f"a formula of {len(text)} characters; {LONGEST_FORMULA} are allowed: "
            "split it into statements, or write a define",
        )
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        offset = getattr(error, "offset", None)
        column = f", column {offset}" if offset else ""
        raise RowError(
            place, f"no expression{column}: {_first(error)} in {shortened(text)!r}"
        ) from None
    compiler = Compiler(place)
    compute = compiler.compile(tree, outputs)
    return Formula(text, place, tree, compute, frozenset(compiler.names))


def _first(error: BaseException) -> str:
    return str(error.args[0]) if error.args else type(error).__name__


def node_calls(tree: ast.expr) -> list[ast.Call]:
    """Return the Capitalised calls of an expression, outermost first."""
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id[0].isupper()
    ]
