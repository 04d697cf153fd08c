"""The formula of a multi grader: parsed by hand, never evaluated as code.

sum      = product (("+" | "-") product)*
product  = factor (("*" | "/") factor)*
factor   = "-" factor | power
power    = atom ("^" factor)?                  so -2 ^ 2 is -4, and 2 ^ 3 ^ 2 is 2 ^ 9
atom     = number | name | function "(" sum ("," sum)* ")" | "(" sum ")"
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

MAX_CHARACTERS = 2000
MAX_TOKENS = 400
"""Numbers, names and signs; with the depth, what keeps evaluation far from the end of Python's stack."""
MAX_DEPTH = 50

FUNCTIONS: Mapping[str, Callable[..., float]] = {
    "min": min,
    "max": max,
    "abs": abs,
    "floor": math.floor,
    "ceil": math.ceil,
    "exp": math.exp,
    "sqrt": math.sqrt,
    "log": math.log,
}
"""`log` is the natural logarithm; min and max take one value or more, the others one."""

_OPERATORS: Mapping[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "^": math.pow,
}
_TOKEN = re.compile(r"(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)|(?P<name>[A-Za-z_]\w*)|[-+*/^(),]")
_BLANK = re.compile(r"\s*")


class FormulaError(ValueError):
    """Text that is no formula, or a formula without a finite value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """A number."""

    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """The score of the grader of this name."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Apply:
    """An operator or a function of values; the unary minus is `0 - x`."""

    symbol: str
    arguments: tuple[Node, ...]


Node = Constant | Name | Apply


def parse_formula(text: str) -> Node:
    """FormulaError, naming the column, if `text` is no formula or beyond the limits."""
    if len(text) > MAX_CHARACTERS:
        raise FormulaError(f"the formula has {len(text)} characters; at most {MAX_CHARACTERS} are read")
    return _Parser(text).whole()


def names_in(node: Node) -> set[str]:
    """The graders a formula reads."""
    match node:
        case Name(name=name):
            return {name}
        case Apply(arguments=arguments):
            return set().union(*(names_in(argument) for argument in arguments))
        case Constant():
            return set()


def evaluate_formula(node: Node, scores: Mapping[str, float]) -> float:
    """The value with these scores.

    Raises:
        FormulaError: a division by zero, or any other value on the way that is not a finite number.
    """
    try:
        return _evaluate(node, scores)
    except ZeroDivisionError as error:
        raise FormulaError("the formula divides by zero") from error
    except (ValueError, OverflowError) as error:  # log(-1), (-8) ^ 0.5, exp(1000)
        raise FormulaError(f"the formula has no finite value ({error})") from error


def _evaluate(node: Node, scores: Mapping[str, float]) -> float:
    match node:
        case Constant(value=value):
            return value
        case Name(name=name):
            return scores[name]
        case Apply(symbol=symbol, arguments=arguments):
            values = [_evaluate(argument, scores) for argument in arguments]
            value = _apply(symbol, values)
            if not math.isfinite(value):  # at once: min(1, x) of an x that is none would look like a score
                raise OverflowError(f"{symbol} gives {value}")
            return value


def _apply(symbol: str, values: list[float]) -> float:
    if symbol in _OPERATORS:
        return _OPERATORS[symbol](values[0], values[1])
    # min and max take their values as a list, so that one value is enough.
    return float(FUNCTIONS[symbol](values) if symbol in ("min", "max") else FUNCTIONS[symbol](values[0]))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Token:
    text: str
    column: int
    kind: str
    """number, name, end, or the symbol itself."""


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
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
        if depth > MAX_DEPTH:
            raise FormulaError(f"the formula is nested more than {MAX_DEPTH} levels deep")
        if self._take("-"):
            return Apply(symbol="-", arguments=(Constant(value=0.0), self._factor(depth + 1)))
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
        value = float(token.text)
        if not math.isfinite(value):
            raise FormulaError(f"column {token.column}: {token.text[:40]} is too large")
        return Constant(value=value)

    def _call(self, token: _Token, depth: int) -> Node:
        if token.text not in FUNCTIONS:
            known = ", ".join(FUNCTIONS)
            raise FormulaError(f"column {token.column}: {token.text} is no function; there are {known}")
        arguments = [self._sum(depth + 1)]
        while self._take(","):
            arguments.append(self._sum(depth + 1))
        self._expect(")")
        if len(arguments) > 1 and token.text not in ("min", "max"):
            raise FormulaError(f"column {token.column}: {token.text} takes one value, not {len(arguments)}")
        return Apply(symbol=token.text, arguments=tuple(arguments))

    def _take(self, *wanted: str) -> str | None:
        """The next symbol if it is one of these, and a step forward."""
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
            raise FormulaError(f'column {position + 1}: "{text[position]}" means nothing in a formula')
        tokens.append(_Token(text=match[0], column=position + 1, kind=match.lastgroup or match[0]))
        position = match.end()
    raise FormulaError(f"the formula has more than {MAX_TOKENS} numbers, names and signs")
