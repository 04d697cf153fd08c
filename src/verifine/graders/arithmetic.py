"""Integer arithmetic with + - * / and parentheses: parsed, never evaluated as code, and exact.

sum      = product (("+" | "-") product)*
product  = factor (("*" | "/") factor)*
factor   = "-" factor | "(" sum ")" | integer
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

MAX_CHARACTERS = 200
MAX_DEPTH = 20

_TOKEN = re.compile(r"\s*([0-9]+|[-+*/()])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """What an expression is worth, and the integers written in it, in order."""

    value: Fraction
    literals: tuple[int, ...]


class _MalformedError(Exception):
    """Not an expression, or one without a value."""


def evaluate_arithmetic(text: str) -> Evaluated | None:
    """None: not an expression, longer or deeper than the limits, or a division by zero."""
    if len(text) > MAX_CHARACTERS:
        return None
    try:
        parser = _Parser(_tokens(text.rstrip()))
        value = parser.whole()
    except _MalformedError:
        return None
    return Evaluated(value=value, literals=tuple(parser.literals))


def _tokens(text: str) -> list[str]:
    tokens: list[str] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise _MalformedError
        tokens.append(match[1])
        position = match.end()
    return tokens


class _Parser:
    def __init__(self, tokens: list[str]) -> None:
        self.literals: list[int] = []
        self._tokens = tokens
        self._position = 0

    def whole(self) -> Fraction:
        value = self._sum(0)
        if self._position < len(self._tokens):
            raise _MalformedError
        return value

    def _sum(self, depth: int) -> Fraction:
        value = self._product(depth)
        while (operator := self._take("+", "-")) is not None:
            right = self._product(depth)
            value = value + right if operator == "+" else value - right
        return value

    def _product(self, depth: int) -> Fraction:
        value = self._factor(depth)
        while (operator := self._take("*", "/")) is not None:
            right = self._factor(depth)
            if operator == "/" and right == 0:
                raise _MalformedError
            value = value * right if operator == "*" else value / right
        return value

    def _factor(self, depth: int) -> Fraction:
        if depth > MAX_DEPTH or self._position == len(self._tokens):
            raise _MalformedError
        if self._take("-"):
            return -self._factor(depth + 1)
        if self._take("("):
            value = self._sum(depth + 1)
            if not self._take(")"):
                raise _MalformedError
            return value
        return self._literal()

    def _literal(self) -> Fraction:
        token = self._tokens[self._position]
        if not token.isdigit():
            raise _MalformedError
        self._position += 1
        self.literals.append(int(token))
        return Fraction(int(token))

    def _take(self, *wanted: str) -> str | None:
        """The next token if it is one of these, and a step forward."""
        if self._position == len(self._tokens) or self._tokens[self._position] not in wanted:
            return None
        self._position += 1
        return self._tokens[self._position - 1]
