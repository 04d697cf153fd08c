r"""Runs in the sandbox: whether two texts are the same mathematics. Math-Verify's parser reads them, sympy decides.

Where both values are rational the comparison is exact, and where they are not, it is relative: values that agree in a
thousand digits are the same. Lists, intervals, tuples, matrices and equations are compared part by part.
Texts that a model wrote can make an algebra system work for hours or fill the memory, hence the sandbox.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import TypeAlias

from latex2sympy2_extended import NormalizationConfig, latex2sympy, normalize_latex
from latex2sympy2_extended.latex2sympy2 import ConversionConfig
from latex2sympy2_extended.logic import And
from latex2sympy2_extended.sets import FiniteSet
from math_verify.grader import should_treat_as_complex
from sympy import (
    Basic,
    Expr,
    Function,
    Integral,
    Interval,
    Limit,
    MatrixBase,
    MatrixExpr,
    Mul,
    Pow,
    Product,
    Set,
    Sum,
    Symbol,
    Tuple,
    UnevaluatedExpr,
    cancel,
    simplify,
)
from sympy.core.function import AppliedUndef
from sympy.core.numbers import E, Float, Number, Rational, nan, oo, zoo
from sympy.core.relational import Eq, Ge, Gt, Lt, Ne, Relational

Value: TypeAlias = Basic | MatrixBase

DIGITS = 1000
"""Digits in which two constants have to agree where nothing simpler decides."""
ROUNDED_DIGITS = 6
"""A decimal with at least this many digits equals a constant that it is the beginning of."""

# Units are split off before, and a box stands around the whole text or is part of it.
_NORMALIZATION = NormalizationConfig(basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="none")
_CONVERSION = ConversionConfig(lowercase_symbols=False)
_HUNDREDTH = UnevaluatedExpr(Rational(1, 100))
_UNSAMPLED = (Sum, Product, Integral, Limit)
_EVALUATED = re.compile(
    r"binom|choose|\\det|[vV]matrix|gcd|lcm|[Gg]amma|rank|trace|\{\s*tr\s*\}|norm|eig|\\\||exp|(?<![A-Za-z])e\s*\^"
)
"""Functions that the parser replaces with their values."""
_DIVIDED = re.compile(r"/|:|\\div|frac|over")
_LEFT_SIDE_AFTER_COMMA = re.compile(r",[^(),]*(?:\([^()]*\)[^(),]*)*$")


def compare_all(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """For each answer and its reference: equal, different, or which of them is unreadable."""
    return [_compare(answer, reference) for answer, reference in pairs]


def _compare(answer: str, reference: str) -> str:
    is_real = not (should_treat_as_complex(answer) or should_treat_as_complex(reference))
    wanted = _read(reference, is_real)
    if wanted is None:
        return "unreadable reference"
    given = _read(answer, is_real)
    if given is None:
        return "unreadable answer"
    try:
        is_equal = _is_worked_out(given, wanted, answer) and _is_same(given, wanted)
    except Exception:  # noqa: BLE001 - sympy raises anything for what it does not support
        is_equal = False
    return "equal" if is_equal else "different"


@cache
def _read(text: str, is_real: bool) -> Value | None:
    r"""The text as it stands in a `\\boxed{}`, whole: no searching for something in it that could be an answer."""
    try:
        latex = normalize_latex(text, config=_NORMALIZATION)
        value = latex2sympy(
            latex, is_real=is_real, convert_degrees=False, normalization_config=None, conversion_config=_CONVERSION
        )
    except Exception:  # noqa: BLE001 - the parser raises anything, Exception itself included
        return None
    # A statement such as {1} \subseteq {1, 2} would equal every other true one.
    return value if isinstance(value, Expr | MatrixBase | Relational | And | Set | Tuple) else None


def _is_worked_out(given: Value, wanted: Value, answer: str) -> bool:
    """Where a number is wanted, 1+1 and binom(10, 3) are not answers: the work is not done."""
    given_parts, wanted_parts = _parts(given), _parts(wanted)
    if not all(_is_number(part) for part in wanted_parts):
        return True
    sides = _last_sides(answer)
    is_evaluated = any(_EVALUATED.search(side) is not None for side in sides) or (
        len(given_parts) == 1 and given_parts[0].is_Integer and any(_DIVIDED.search(side) is not None for side in sides)
    )
    return all(not is_evaluated if _is_number(part) else _is_irrational(part, wanted_parts) for part in given_parts)


def _last_sides(text: str) -> list[str]:
    """What stands behind the names of a list of equations: 2 and 3 in f(1) = 2, f(2) = 3."""
    *sides, last = text.split("=")
    between = [_LEFT_SIDE_AFTER_COMMA.search(side) for side in sides]
    return [side[: comma.start()] for side, comma in zip(sides, between, strict=True) if comma is not None] + [last]


def _parts(value: Value) -> list[Basic]:
    """What stands in a set, tuple, interval or matrix, and what an equation or inequality says of its name."""
    if isinstance(value, MatrixBase):
        return list(value.flat())
    if isinstance(value, Relational | And):
        named, bounds = _named_value(value), _bounds(value)
        return _parts(named) if named is not None else [value] if bounds is None else bounds
    if isinstance(value, Interval):
        return [value.start, value.end]
    if isinstance(value, FiniteSet | Tuple):
        return [part for each in value.args for part in _parts(each)]
    return [value]


def _is_number(value: Basic) -> bool:
    """A number as it is written: with a sign, as a percentage, or times a power of ten."""
    if isinstance(value, Mul) and len(value.args) == 2:
        factor, power = value.args
        return isinstance(factor, Number) and (_is_power_of_ten(power) or isinstance(power, UnevaluatedExpr))
    return isinstance(value, Number) or _is_power_of_ten(value)


def _is_power_of_ten(value: Basic) -> bool:
    return isinstance(value, Pow) and value.base == 10 and isinstance(value.exp, Number)


def _is_irrational(value: Basic, wanted: Sequence[Basic]) -> bool:
    """A constant such as pi, which is right where the reference is its decimals."""
    exact = _exact(value)
    if exact.free_symbols or exact.is_rational or isinstance(exact, Number):
        return False
    return exact.is_rational is False or not any(_is_zero(exact - _exact(part)) for part in wanted)


def _is_same(given: Value, wanted: Value) -> bool:
    given, wanted = (each.doit() if isinstance(each, MatrixExpr) else each for each in (given, wanted))
    if isinstance(given, Relational | And) or isinstance(wanted, Relational | And):
        return _is_same_statement(given, wanted)
    if isinstance(given, MatrixBase) or isinstance(wanted, MatrixBase):
        if not (isinstance(given, MatrixBase) and isinstance(wanted, MatrixBase)) or given.shape != wanted.shape:
            return False
        return all(_is_same(one, other) for one, other in zip(given.flat(), wanted.flat(), strict=True))
    if isinstance(given, Set | Tuple) or isinstance(wanted, Set | Tuple):
        return _is_same_collection(given, wanted)
    return isinstance(given, Expr) and isinstance(wanted, Expr) and _is_same_expression(given, wanted)


def _is_same_statement(given: Value, wanted: Value) -> bool:
    """Equations and inequalities, and the value of a name: x = 5 is right for 5, and 5 for x = 5."""
    if not isinstance(wanted, Relational | And):
        value = _named_value(given)
        if value is None and isinstance(wanted, Set) and _as_tuple(wanted) is None:
            return _bounds(given) is not None and _is_same_collection(given.as_set(), wanted)
        return value is not None and _is_same(value, wanted)
    value = _named_value(wanted)
    if not isinstance(given, Relational | And):
        if value is None:
            return isinstance(given, Set) and _is_same_collection(given, wanted.as_set())
        return _is_same(given, value)
    named = _named_value(given)
    if isinstance(value, Set) is not isinstance(named, Set) and given.free_symbols == wanted.free_symbols:
        return _is_same(given, value) if isinstance(value, Set) else _is_same(named, wanted)
    return _match(_relations(given), _relations(wanted), _is_same_relation)


def _bounds(statement: Value) -> list[Basic] | None:
    """The constants of inequalities that are solved for a name: 1 and 2 of 1 < x < 2; None for all others."""
    relations = statement._unsorted_args if isinstance(statement, And) else [statement]
    sides = [sorted((each.lhs, each.rhs), key=lambda side: isinstance(side, Symbol)) for each in relations]
    is_solved = all(isinstance(name, Symbol) and not bound.free_symbols for bound, name in sides)
    return [bound for bound, _ in sides] if is_solved and not any(isinstance(each, Eq) for each in relations) else None


def _relations(statement: Relational | And) -> list[Relational]:
    """The parts of 1 < x < 2; of x = 2 + 3 = 5 the first name and the last value."""
    parts = list(statement._unsorted_args) if isinstance(statement, And) else [statement]
    value = _named_value(statement) if len(parts) > 1 else None
    return parts if value is None else [Eq(parts[0].lhs, value, evaluate=False)]


def _named_value(statement: Value) -> Value | None:
    """What a chain of equations says its first side is; None if that is no name, or if the chain is wrong."""
    parts = statement._unsorted_args if isinstance(statement, And) else [statement]
    if not all(isinstance(part, Eq) for part in parts):
        return None
    value = parts[-1].rhs
    first = parts[0].lhs
    steps = [part.rhs for part in parts[:-1]] + ([] if _is_name(first) else [first])
    is_constant = not any(isinstance(step, Expr) and step.free_symbols for step in steps)
    return (
        value
        if is_constant and all(isinstance(step, AppliedUndef) or _is_same(step, value) for step in steps)
        else None
    )


def _is_name(side: Basic) -> bool:
    """Whether it can be what has a value: x, AB, a/b, f(2), |v|, (x, y). 2x - y = 0 is no value of 2x - y."""
    if isinstance(side, Mul):
        return all(isinstance(factor.base if isinstance(factor, Pow) else factor, Symbol) for factor in side.args)
    return isinstance(side, Symbol | Tuple | AppliedUndef) or (isinstance(side, Function) and bool(side.free_symbols))


def _is_same_relation(given: Value, wanted: Value) -> bool:
    if not isinstance(given, Relational) or not isinstance(wanted, Relational):
        return False
    if type(given) is type(wanted) and _is_same(given.lhs, wanted.lhs) and _is_same(given.rhs, wanted.rhs):
        return True
    is_symmetric = isinstance(wanted, Eq | Ne)
    if is_symmetric and type(given) is not type(wanted):
        return False
    if not is_symmetric and (
        isinstance(given, Eq | Ne) or isinstance(given, Lt | Gt) is not isinstance(wanted, Lt | Gt)
    ):
        return False
    one, other = _difference(given), _difference(wanted)
    return one is not None and other is not None and _is_multiple(one, other, positive=not is_symmetric)


def _difference(relation: Relational) -> Expr | None:
    """What is 0, or above or not below 0 in an inequality."""
    if not isinstance(relation.lhs, Expr) or not isinstance(relation.rhs, Expr):
        return None
    size = _exact(relation.lhs) - _exact(relation.rhs)
    return size if isinstance(relation, Eq | Ne | Gt | Ge) else -size


def _is_multiple(one: Expr, other: Expr, *, positive: bool) -> bool:
    """Whether the ratio is a constant other than 0; above 0 if `positive`."""
    if one.free_symbols != other.free_symbols or not one.free_symbols or other.is_zero or one.is_zero:
        return False
    samples = _samples(one / other)
    if len(samples) == 2 and abs(samples[0] - samples[1]) > abs(samples[0]) / 10**9:
        return False
    ratio = simplify(cancel(one / other))
    if ratio.free_symbols or ratio.is_zero is not False:
        return False
    return bool(ratio.is_positive) if positive else True


def _is_same_collection(given: Value, wanted: Value) -> bool:
    """Lists and sets in any order, tuples and intervals with their brackets."""
    if isinstance(wanted, FiniteSet) or isinstance(given, FiniteSet):
        left, right = _elements(given), _elements(wanted)
        return left is not None and right is not None and _match(left, right, _is_same)
    one, other = _as_tuple(given), _as_tuple(wanted)
    if one is not None and other is not None:
        return len(one) == len(other) and all(_is_same(*pair) for pair in zip(one, other, strict=True))
    if isinstance(given, Interval) and isinstance(wanted, Interval):
        are_like = (given.left_open, given.right_open) == (wanted.left_open, wanted.right_open)
        return are_like and _is_same(given.start, wanted.start) and _is_same(given.end, wanted.end)
    if isinstance(given, Set) and isinstance(wanted, Set):
        one, other = (each.xreplace(_decimals(each)).doit() for each in (given, wanted))
        return one == other or one.symmetric_difference(other).is_empty is True
    return False


def _elements(value: Value) -> list[Basic] | None:
    """A value alone is a list of one; tuples and intervals are no lists."""
    if isinstance(value, FiniteSet):
        return list(value._unsorted_args)
    return None if isinstance(value, Set | Tuple) else [value]


def _as_tuple(value: Value) -> tuple[Basic, ...] | None:
    """Of a tuple, and of (1, 2), which is an open interval as well."""
    if isinstance(value, Interval):
        return (value.start, value.end) if value.left_open and value.right_open else None
    return tuple(value.args) if isinstance(value, Tuple) else None


def _match(given: Sequence[Value], wanted: Sequence[Value], is_same: Callable[[Value, Value], bool]) -> bool:
    """Whether each given one has a wanted one of its own."""
    if len(given) != len(wanted):
        return False
    left = list(wanted)
    for each in given:
        partner = next((index for index, other in enumerate(left) if is_same(each, other)), None)
        if partner is None:
            return False
        del left[partner]
    return True


def _is_same_expression(given: Expr, wanted: Expr) -> bool:
    if _letters(given) is not None and _letters(given) == _letters(wanted):
        return True
    (share, given_percent), (wanted_share, wanted_percent) = _percentage(given), _percentage(wanted)
    if given_percent is not wanted_percent:
        if _is_same_value(given, wanted):
            return True
        wanted_size = _exact(wanted_share)
        is_allowed = wanted_percent or (wanted_size.is_Rational and abs(wanted_size) >= 1)
        return is_allowed and _is_same_value(share, wanted_share)
    return _is_same_value(share, wanted_share)


def _percentage(value: Expr) -> tuple[Expr, bool]:
    if isinstance(value, Mul) and len(value.args) == 2 and value.args[1] == _HUNDREDTH:
        return value.args[0], True
    return value, False


def _letters(value: Expr) -> str | None:
    r"""The name that `\text{abc}` and the product abc both spell."""
    factors = value.args if isinstance(value, Mul) else (value,)
    if not all(isinstance(factor, Symbol) or factor == E for factor in factors):
        return None
    return "".join("e" if factor == E else factor.name for factor in factors)


def _is_same_value(given: Expr, wanted: Expr) -> bool:
    one, other = _exact(given), _exact(wanted)
    if any(each.has(nan, zoo, oo, -oo) for each in (one, other)):
        return one == other and not one.has(nan, zoo)
    difference = one - other
    if difference.free_symbols:
        return _is_zero_everywhere(difference)
    if difference.is_Rational and one.is_Rational:
        return difference == 0 or _is_rounded(given, one, wanted, other)
    return _is_zero(difference) or _is_rounded(given, one, wanted, other)


def _is_zero_everywhere(difference: Expr) -> bool:
    if any(_is_resolved(sample) for sample in _samples(difference)):
        return False
    return simplify(difference).is_zero is True


def _is_zero(difference: Expr) -> bool:
    """Of a constant: exactly where sympy can tell, else in DIGITS digits."""
    if difference.is_zero is not None:
        return bool(difference.is_zero)
    if _is_resolved(difference.evalf(5, maxn=DIGITS)):
        return False
    simple = simplify(difference)
    if simple.is_zero is not None:
        return bool(simple.is_zero)
    return not simple.free_symbols and not simple.has(AppliedUndef)  # of f(2) nothing is known


def _is_resolved(value: Expr) -> bool:
    """Whether a computed number is not 0: sympy leaves one bit of precision where it cannot tell."""
    return any(part.is_Number and part != 0 and (not part.is_Float or part._prec > 1) for part in value.as_real_imag())


def _samples(expression: Expr) -> list[Expr]:
    """The values at two points, which are the same for the same names; empty where they are not numbers."""
    symbols = sorted(expression.free_symbols, key=str)
    if expression.has(*_UNSAMPLED):
        return []
    values = []
    for seed in (1, 2):
        point = {symbol: Rational(1009 * seed + 37 * index, 331 + 53 * index) for index, symbol in enumerate(symbols)}
        value = expression.subs(point).evalf(15, maxn=200)
        if value.is_number and not value.has(nan, zoo, oo):
            values.append(value)
    return values


def _exact(value: Expr) -> Expr:
    return value.xreplace(_decimals(value)).doit()


def _decimals(value: Basic) -> dict[Basic, Basic]:
    """The decimals in it, and what they are exactly: 0.1 is 1/10."""
    return {decimal: Rational(str(decimal)) for decimal in value.atoms(Float)}


def _is_rounded(given: Expr, one: Expr, wanted: Expr, other: Expr) -> bool:
    """Whether one side is a decimal with enough digits, and the other rounds to it; pi may be cut off as well."""
    if isinstance(given, Float) is isinstance(wanted, Float):
        return False
    decimal, exact, constant = (given, one, other) if isinstance(given, Float) else (wanted, other, one)
    digits = str(abs(decimal)).rstrip("0")
    places = len(digits.partition(".")[2])
    if "e" in digits or not places or len(digits.replace(".", "").lstrip("0")) < ROUNDED_DIGITS:
        return False
    unit, missing = Rational(1, 10**places), abs(constant) - abs(exact)
    is_cut_off = not constant.is_Rational and constant * exact > 0 and 0 <= missing < unit
    return bool(is_cut_off or abs(exact - constant) <= unit / 2)
