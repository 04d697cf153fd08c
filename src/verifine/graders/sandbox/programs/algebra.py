"""Runs in the sandbox: whether two texts are the same mathematics, by Math-Verify.

Texts that a model wrote can make an algebra system work for hours or fill the memory, hence the sandbox.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from latex2sympy2_extended import NormalizationConfig, latex2sympy, normalize_latex
from latex2sympy2_extended.logic import And
from math_verify import verify
from math_verify.grader import should_treat_as_complex
from sympy import Basic, Eq, FiniteSet, Interval, MatrixBase, Mul, Number, Pow, Tuple, UnevaluatedExpr

_NORMALIZATION = NormalizationConfig(
    basic_latex=True, units=True, malformed_operators=True, nits=True, boxed="all", equations=False
)
_CONTAINERS = (FiniteSet, Tuple, Interval)


def compare_all(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """For each answer and its reference: equal, different, or which of them is unreadable."""
    return [_compare(answer, reference) for answer, reference in pairs]


def _compare(answer: str, reference: str) -> str:
    wanted = _read(reference)
    if wanted is None:
        return "unreadable reference"
    given = _read(answer)
    if given is None:
        return "unreadable answer"
    is_equal = _is_worked_out(given, wanted) and verify(wanted, given, timeout_seconds=None)
    return "equal" if is_equal else "different"


@cache
def _read(text: str) -> Basic | MatrixBase | None:
    r"""The text as it stands in a `\\boxed{}`, whole: no searching for something in it that could be an answer."""
    try:
        latex = normalize_latex(text, config=_NORMALIZATION)
        is_real = not should_treat_as_complex(latex)
        return latex2sympy(latex, is_real=is_real, convert_degrees=False, normalization_config=None)
    except Exception:  # noqa: BLE001 - the parser raises anything, Exception itself included
        return None


def _is_worked_out(answer: Basic | MatrixBase, reference: Basic | MatrixBase) -> bool:
    """Where a number is wanted, 1+1 and sqrt(4) are not answers for 2: the work is not done."""
    if all(_is_number(part) for part in _parts(reference)):
        return all(_is_number(part) or _is_irrational(part) for part in _parts(answer))
    return True


def _parts(value: Basic | MatrixBase) -> list[Basic]:
    """What stands in a set, tuple, interval or matrix, and on the last side of an equation."""
    if isinstance(value, MatrixBase):
        return list(value.flat())
    if isinstance(value, And):
        return _parts(value._unsorted_args[-1])
    if isinstance(value, Eq):
        return _parts(value.rhs)
    if isinstance(value, Interval):
        return [value.start, value.end]
    if isinstance(value, _CONTAINERS):
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


def _is_irrational(value: Basic) -> bool:
    """A constant such as pi, which is right where the reference is its decimals."""
    return not value.doit().is_rational
