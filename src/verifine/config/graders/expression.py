"""The grammar of a multi grader's formula and of an answer's arithmetic: parsed by hand, never evaluated as code.

sum      = product (("+" | "-") product)*
product  = factor (("*" | "/") factor)*
factor   = "-" factor | power
power    = atom ("^" factor)?                  so -2 ^ 2 is -4, and 2 ^ 3 ^ 2 is 2 ^ 9
atom     = number | name | function "(" sum ("," sum)* ")" | "(" sum ")"
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from dataclasses import dataclass

MAX_TOKENS = 400
"""Numbers, names and signs. This and the depth keep evaluation far from the end of Python's stack."""
VARIADIC = ("min", "max")
"""Functions of one value or more; all others take one."""

_TOKEN = re.compile(r"(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)|(?P<name>[A-Za-z_]\w*)|[-+*/^(),]")
_BLANK = re.compile(r"\s*")


class FormulaError(ValueError):
    """Text that is not a formula, or a formula without a finite value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """A number, as it is written."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """The score of the grader of this name."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Apply:
    """An operator or a function, and what it is applied to; a minus with one argument is the sign."""

    symbol: str
    arguments: tuple[Node, ...]


Node = Constant | Name | Apply


@dataclass(frozen=True, slots=True, kw_only=True)
class Grammar:
    """What may be written."""

    max_characters: int
    max_depth: int
    functions: Collection[str] = ()


def parse_expression(text: str, grammar: Grammar) -> Node:
    """FormulaError, naming the column, if `text` does not follow the grammar or is beyond its limits."""
    if len(text) > grammar.max_characters:
        raise FormulaError(f"the formula has {len(text)} characters; at most {grammar.max_characters} are read")
    return _Parser(text, grammar).whole()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Token:
    text: str
    column: int
    kind: str
    """number, name, end, or the symbol itself."""


class _Parser:
    def __init__(self, text: str, grammar: Grammar) -> None:
        self._tokens = _tokens(text)
        self._grammar = grammar
        self._position = 0

    def whole(self) -> Node:
        node = self._sum(0)
        if self._next.kind != "end":
            raise self._unexpected("an operator")
        return node

    @property
    def _next(self) -> _Token:
        return self._tokens[self._position]

    def _sum(self, depth: int) -> Node:
        node = self._product(depth)
        while (symbol := self._take("+", "-")) is not None:
            node = Apply(symbol=symbol, arguments=(node, self._product(depth)))
        return node

    def _product(self, depth: int) -> Node:
        node = self._factor(depth)
        while (symbol := self._take("*", "/")) is not None:
            node = Apply(symbol=symbol, arguments=(node, self._factor(depth)))
        return node

    def _factor(self, depth: int) -> Node:
        if depth > self._grammar.max_depth:
            raise FormulaError(f"the formula is nested more than {self._grammar.max_depth} levels deep")
        if self._take("-"):
            return Apply(symbol="-", arguments=(self._factor(depth + 1),))
        base = self._atom(depth)
        if self._take("^"):
            return Apply(symbol="^", arguments=(base, self._factor(depth + 1)))
        return base

    def _atom(self, depth: int) -> Node:
        token = self._next
        if token.kind == "number":
            self._position += 1
            return self._constant(token)
        if self._take("("):
            node = self._sum(depth + 1)
            self._expect(")")
            return node
        if token.kind != "name":
            raise self._unexpected("a number, a grader or a function")
        self._position += 1
        return self._call(token, depth) if self._take("(") else Name(name=token.text)

    def _constant(self, token: _Token) -> Constant:
        if not math.isfinite(float(token.text)):
            raise FormulaError(f"column {token.column}: {token.text[:40]} is too large")
        return Constant(text=token.text)

    def _call(self, token: _Token, depth: int) -> Node:
        if token.text not in self._grammar.functions:
            known = ", ".join(self._grammar.functions)
            raise FormulaError(f"column {token.column}: {token.text} is not a function; there are {known}")
        arguments = [self._sum(depth + 1)]
        while self._take(","):
            arguments.append(self._sum(depth + 1))
        self._expect(")")
        if len(arguments) > 1 and token.text not in VARIADIC:
            raise FormulaError(f"column {token.column}: {token.text} takes one value, not {len(arguments)}")
        return Apply(symbol=token.text, arguments=tuple(arguments))

    def _take(self, *wanted: str) -> str | None:
        """Consume and return the next symbol if it is one of these."""
        if self._next.kind not in wanted:
            return None
        self._position += 1
        return self._tokens[self._position - 1].kind

    def _expect(self, symbol: str) -> None:
        if self._take(symbol) is None:
            raise self._unexpected(f'"{symbol}"')

    def _unexpected(self, wanted: str) -> FormulaError:
        token = self._next
        found = "the formula ends" if token.kind == "end" else f'"{token.text}" stands'
        return FormulaError(f"column {token.column}: {found} where {wanted} should")


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    position = 0
    while len(tokens) < MAX_TOKENS:
        blank = _BLANK.match(text, position)
        assert blank is not None
        position = blank.end()
        if position == len(text):
            return [*tokens, _Token(text="", column=position + 1, kind="end")]
        match = _TOKEN.match(text, position)
        if match is None:
            raise FormulaError(f'column {position + 1}: "{text[position]}" has no meaning in a formula')
        tokens.append(_Token(text=match[0], column=position + 1, kind=match.lastgroup or match[0]))
        position = match.end()
    raise FormulaError(f"the formula has more than {MAX_TOKENS} numbers, names and signs")
