"""The formula of a multi grader."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping

from verifine.config.graders.expression import (
    VARIADIC,
    Apply,
    Constant,
    FormulaError,
    Grammar,
    Name,
    Node,
    parse_expression,
)

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
"""`log` is the natural logarithm."""

GRAMMAR = Grammar(max_characters=2000, max_depth=50, functions=FUNCTIONS)

_OPERATORS: Mapping[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "^": math.pow,
}


def parse_formula(text: str) -> Node:
    """FormulaError, naming the column, if `text` is not a formula or beyond the limits."""
    return parse_expression(text, GRAMMAR)


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
        FormulaError: a division by zero, or any other intermediate value that is not a finite number.
    """
    try:
        return _evaluate(node, scores)
    except ZeroDivisionError as error:
        raise FormulaError("the formula divides by zero") from error
    except (ValueError, OverflowError) as error:  # log(-1), (-8) ^ 0.5, exp(1000)
        raise FormulaError(f"the formula has no finite value ({error})") from error


def _evaluate(node: Node, scores: Mapping[str, float]) -> float:
    match node:
        case Constant(text=text):
            return float(text)
        case Name(name=name):
            return scores[name]
        case Apply(symbol=symbol, arguments=arguments):
            value = _apply(symbol, [_evaluate(argument, scores) for argument in arguments])
            if not math.isfinite(value):  # here, since min(1, nan) would look like a score
                raise OverflowError(f"{symbol} gives {value}")
            return value


def _apply(symbol: str, values: list[float]) -> float:
    if symbol in _OPERATORS:
        left, right = values if len(values) > 1 else (0.0, *values)
        return _OPERATORS[symbol](left, right)
    # As a list, so that one value is enough.
    return float(FUNCTIONS[symbol](values) if symbol in VARIADIC else FUNCTIONS[symbol](values[0]))
