from __future__ import annotations

import ast
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifine.graders.arithmetic import ArithmeticValue, evaluate_arithmetic

NO_EXPRESSIONS = """+ 1+ *2 (1 1) () 2**3 2//1 1.5 1e3 x 3=3 +1 5%2 1,000 2^3 ² __import__('os') 1/0 1/(2-2)"""


@pytest.mark.parametrize(
    ("text", "value", "literals"),
    [
        ("7", Fraction(7), (7,)),
        ("1+2*3", Fraction(7), (1, 2, 3)),
        ("(1+2)*3", Fraction(9), (1, 2, 3)),
        ("10-4-3", Fraction(3), (10, 4, 3)),
        ("8/4/2", Fraction(1), (8, 4, 2)),
        ("1/3+1/6", Fraction(1, 2), (1, 3, 1, 6)),
        ("-2*-(3)", Fraction(6), (2, 3)),
        (" ( 5 - 3 ) * 8 \n", Fraction(16), (5, 3, 8)),
        ("--4", Fraction(4), (4,)),
        ("007", Fraction(7), (7,)),
        ("(5\u22123)\u00d78", Fraction(16), (5, 3, 8)),
        (r"(5-3) \times 8 \div 4", Fraction(4), (5, 3, 8, 4)),
        (r"5 \cdot 3", Fraction(15), (5, 3)),
    ],
)
def test_expression_has_value_and_literals(text: str, value: Fraction, literals: tuple[int, ...]) -> None:
    assert evaluate_arithmetic(text) == ArithmeticValue(value=value, literals=literals)


@pytest.mark.parametrize(
    "text",
    ["", " ", "1 2", "1\n;2", *NO_EXPRESSIONS.split()],
)
def test_anything_else_has_no_value(text: str) -> None:
    assert evaluate_arithmetic(text) is None


def test_length_and_depth_have_limits() -> None:
    assert evaluate_arithmetic("1" * 200) is not None
    assert evaluate_arithmetic("1" * 201) is None
    assert evaluate_arithmetic("(" * 20 + "1" + ")" * 20) is not None
    assert evaluate_arithmetic("(" * 21 + "1" + ")" * 21) is None
    assert evaluate_arithmetic("-" * 21 + "1") is None


_expressions = st.recursive(
    st.integers(min_value=0, max_value=99).map(str),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*/"), inner).map("".join),
        inner.map(lambda text: f"({text})"),
        inner.map(lambda text: f"-{text}"),
    ),
    max_leaves=8,
)


def _by_python(text: str) -> Fraction:
    """The same expression with Python's own parser."""
    wrapped = ast.parse(text, mode="eval").body
    return _value(wrapped)


def _value(node: ast.expr) -> Fraction:
    if isinstance(node, ast.Constant):
        assert isinstance(node.value, int)
        return Fraction(node.value)
    if isinstance(node, ast.UnaryOp):
        return -_value(node.operand)
    assert isinstance(node, ast.BinOp)
    left, right = _value(node.left), _value(node.right)
    match node.op:
        case ast.Add():
            return left + right
        case ast.Sub():
            return left - right
        case ast.Mult():
            return left * right
        case _:
            return left / right


@given(_expressions)
def test_value_is_that_of_pythons_own_parser(text: str) -> None:
    evaluated = evaluate_arithmetic(text)
    try:
        expected = _by_python(text)
    except ZeroDivisionError:
        assert evaluated is None
    else:
        assert evaluated is not None
        assert evaluated.value == expected
