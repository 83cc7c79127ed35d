"""`-k`: which items to run."""

from __future__ import annotations

import re
from collections.abc import Callable

from onnx_mapper.errors import InvalidRequest

_TOKEN = re.compile(r"\s*(\(|\)|[^\s()]+)")


def selector(expression: str) -> Callable[[str], bool]:
    """Turn an expression into a test of item ids.

    Nothing selects all, a whole id that item. Otherwise words are looked for in the id, in any
    case, and put together with `and`, `or`, `not` and parentheses.

    Raises:
        InvalidRequest: When it is no such expression.

    Example:
        >>> chosen = selector("log1p and not opset28")
        >>> chosen("elemwise.yaml::Log1p[float32-opset21-static]")
        True
    """
    if not expression:
        return lambda name: True
    if "::" in expression:
        return lambda name: name == expression or name.startswith(f"{expression}[")
    tokens = [match.group(1) for match in _TOKEN.finditer(expression)]
    parser = _Parser(expression, tokens)
    test = parser.either()
    if parser.tokens:
        raise parser.wrong()
    return lambda name: test(name.lower())


class _Parser:
    def __init__(self, expression: str, tokens: list[str]) -> None:
        self.expression = expression
        self.tokens = tokens

    def wrong(self) -> InvalidRequest:
        return InvalidRequest(
            f"-k {self.expression!r}: write words, and, or, not and parentheses, or a whole id"
        )

    def either(self) -> Callable[[str], bool]:
        tests = [self.both()]
        while self.tokens[:1] == ["or"]:
            self.tokens.pop(0)
            tests.append(self.both())
        return lambda name: any(test(name) for test in tests)

    def both(self) -> Callable[[str], bool]:
        tests = [self.single()]
        while self.tokens[:1] == ["and"]:
            self.tokens.pop(0)
            tests.append(self.single())
        return lambda name: all(test(name) for test in tests)

    def single(self) -> Callable[[str], bool]:
        if not self.tokens or self.tokens[0] in (")", "and", "or"):
            raise self.wrong()
        word = self.tokens.pop(0)
        if word == "not":
            inner = self.single()
            return lambda name: not inner(name)
        if word != "(":
            return lambda name: word.lower() in name
        inner = self.either()
        if not self.tokens or self.tokens.pop(0) != ")":
            raise self.wrong()
        return inner
