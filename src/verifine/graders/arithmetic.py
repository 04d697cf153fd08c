"""Integer arithmetic with + - * / and parentheses, in any spelling: parsed, never evaluated as code, and exact."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from verifine.config.graders.expression import Apply, Constant, FormulaError, Grammar, Name, Node, parse_expression

GRAMMAR = Grammar(max_characters=200, max_depth=20)

_MAX_WRITTEN = 1000
"""Characters as they are written: \\times takes more of them than *."""
_SIGNS = (
    (re.compile(r"\\(?:times|cdot)(?![A-Za-z])|[\u00d7\u00b7\u22c5]|(?<=[0-9) ])[xX](?=[0-9( ])"), "*"),
    (re.compile(r"\\div(?![A-Za-z])|[\u00f7\u2215]"), "/"),
    (re.compile("[\u2010\u2011\u2012\u2013\u2212]"), "-"),
)
"""Other ways to write * / and -."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArithmeticValue:
    """What an expression is worth, and the integers written in it, in order."""

    value: Fraction
    literals: tuple[int, ...]


def evaluate_arithmetic(text: str) -> ArithmeticValue | None:
    """None: not such an expression, longer or deeper than the limits, or a division by zero."""
    if len(text) > _MAX_WRITTEN:
        return None
    for sign, kept in _SIGNS:
        text = sign.sub(kept, text)
    try:
        node = parse_expression(text, GRAMMAR)
        return ArithmeticValue(value=_evaluate(node), literals=tuple(_literals(node)))
    except (FormulaError, ZeroDivisionError):
        return None


def _evaluate(node: Node) -> Fraction:
    match node:
        case Constant(text=text):
            return Fraction(_integer(text))
        case Apply(symbol="-", arguments=(value,)):
            return -_evaluate(value)
        case Apply(symbol="+", arguments=(left, right)):
            return _evaluate(left) + _evaluate(right)
        case Apply(symbol="-", arguments=(left, right)):
            return _evaluate(left) - _evaluate(right)
        case Apply(symbol="*", arguments=(left, right)):
            return _evaluate(left) * _evaluate(right)
        case Apply(symbol="/", arguments=(left, right)):
            return _evaluate(left) / _evaluate(right)
        case Apply() | Name():
            raise FormulaError("arithmetic has integers, + - * / and parentheses, and nothing else")


def _literals(node: Node) -> Iterator[int]:
    match node:
        case Constant(text=text):
            yield _integer(text)
        case Apply(arguments=arguments):
            for argument in arguments:
                yield from _literals(argument)
        case Name():
            return


def _integer(text: str) -> int:
    if not text.isdigit():
        raise FormulaError(f"{text} is not an integer")
    return int(text)
