from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifine.config.graders.expression import MAX_TOKENS, FormulaError
from verifine.config.graders.formula import FUNCTIONS, GRAMMAR, evaluate_formula, names_in, parse_formula

SCORES = {"a": 1.0, "b": 0.5, "zero": 0.0, "low": -8.0, "grader_2": 3.0}


def value_of(formula: str) -> float:
    return evaluate_formula(parse_formula(formula), SCORES)


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("1", 1),
        ("1.5", 1.5),
        (".5", 0.5),
        ("5.", 5),
        ("1e3", 1000),
        ("2.5E-1", 0.25),
        (" \n a\t", 1),
        ("grader_2", 3),
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("10 - 2 - 3", 5),
        ("16 / 4 / 2", 2),
        ("8 / 2 * 4", 16),
        ("1 - 2 + 3", 2),
        # Powers bind tighter than the minus before them, and go from the right.
        ("-2^2", -4),
        ("(-2)^2", 4),
        ("2^3^2", 512),
        ("(2^3)^2", 64),
        ("2^-1", 0.5),
        ("2^-2^2", 1 / 16),
        ("-2^-1", -0.5),
        ("2*-3", -6),
        ("2 - -3", 5),
        ("--3", 3),
        ("---3", -3),
        ("-a*b", -0.5),
        ("3*2^2", 12),
        ("4^0.5", 2),
        ("0^0", 1),
        ("min(3)", 3),
        ("min(3, 1, 2)", 1),
        ("max(1, 3, 2)", 3),
        ("max(min(a, b), -1)", 0.5),
        ("abs(low)", 8),
        ("floor(1.7)", 1),
        ("floor(-1.2)", -2),
        ("ceil(1.2)", 2),
        ("ceil(-1.7)", -1),
        ("exp(0)", 1),
        ("exp(1)", math.e),
        ("sqrt(9)", 3),
        ("log(exp(2))", 2),
        ("log(100) / log(10)", 2),
        ("-min(1, 2)^2", -1),
        ("0.7 * a + 0.3 * b", 0.85),
    ],
)
def test_formula_has_the_value_that_mathematics_gives_it(formula: str, value: float) -> None:
    assert value_of(formula) == pytest.approx(value)


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("", "column 1: the formula ends where a number, a grader or a function should"),
        ("  ", "column 3: the formula ends where"),
        ("1 +", "column 4: the formula ends where a number"),
        ("1 + * 2", 'column 5: "*" stands where a number, a grader or a function should'),
        ("+1", 'column 1: "+" stands where a number'),
        ("1 2", 'column 3: "2" stands where an operator should'),
        ("2a", 'column 2: "a" stands where an operator should'),
        ("a b", 'column 3: "b" stands where an operator should'),
        ("(1 + 2", 'column 7: the formula ends where ")" should'),
        ("1)", 'column 2: ")" stands where an operator should'),
        ("()", 'column 2: ")" stands where a number'),
        ("min()", 'column 5: ")" stands where a number'),
        ("min(1,)", 'column 7: ")" stands where a number'),
        ("min(1 2)", 'column 7: "2" stands where ")" should'),
        ("sqrt(1, 2)", "column 1: sqrt takes one value, not 2"),
        ("1 + log(1, 2, 3)", "column 5: log takes one value, not 3"),
        ("sin(1)", "column 1: sin is not a function; there are min, max, abs, floor, ceil, exp, sqrt, log"),
        ("a(1)", "column 1: a is not a function"),
        ("2 ** 3", 'column 4: "*" stands where a number'),
        ("a % b", 'column 3: "%" has no meaning in a formula'),
        ("a.b", 'column 2: "." has no meaning in a formula'),
        ("{{ a }}", 'column 1: "{" has no meaning in a formula'),
        ("é", 'column 1: "é" has no meaning in a formula'),
        ("1e999", "column 1: 1e999 is too large"),
        ("__import__('os')", 'column 12: "\'" has no meaning in a formula'),
    ],
)
def test_what_is_no_formula_is_refused_with_its_column(formula: str, message: str) -> None:
    with pytest.raises(FormulaError) as caught:
        parse_formula(formula)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("1 / zero", "the formula divides by zero"),
        ("a / (b - 0.5)", "the formula divides by zero"),
        ("zero ^ -1", "the formula has no finite value"),
        ("sqrt(low)", "the formula has no finite value"),
        ("low ^ 0.5", "the formula has no finite value"),
        ("log(zero)", "the formula has no finite value"),
        ("log(low)", "the formula has no finite value"),
        ("exp(1000)", "the formula has no finite value"),
        ("10 ^ 400", "the formula has no finite value"),
        ("1e308 * 10", "the formula has no finite value (* gives inf)"),
        ("-1e308 - 1e308", "the formula has no finite value (- gives -inf)"),
        # Not even where a later step would hide it.
        ("min(1, 1e308 * 10)", "the formula has no finite value"),
        ("1 / (1e308 * 10)", "the formula has no finite value"),
        ("0 * exp(1000)", "the formula has no finite value"),
    ],
)
def test_a_formula_without_a_finite_value_is_an_error(formula: str, message: str) -> None:
    with pytest.raises(FormulaError) as caught:
        value_of(formula)
    assert str(caught.value).startswith(message)


def test_the_graders_a_formula_reads_are_known() -> None:
    assert names_in(parse_formula("a + min(b, 2 * a) ^ c_1 - 3")) == {"a", "b", "c_1"}
    assert names_in(parse_formula("min(1, 2)")) == set()


def test_long_chains_are_read_to_their_end() -> None:
    assert value_of("1+" * 199 + "1") == 200
    assert value_of("1" + "*1" * 199) == 1
    assert value_of(f"max({', '.join(['a'] * 198)})") == 1
    assert value_of("-" * GRAMMAR.max_depth + "1") == 1
    assert value_of("(" * GRAMMAR.max_depth + "1" + ")" * GRAMMAR.max_depth) == 1


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("1+" * 200 + "1", f"the formula has more than {MAX_TOKENS} numbers, names and signs"),
        ("-" * 1000, f"the formula has more than {MAX_TOKENS} numbers"),
        ("(" * 1000, f"the formula has more than {MAX_TOKENS} numbers"),
        ("-" * (GRAMMAR.max_depth + 1) + "1", f"the formula is nested more than {GRAMMAR.max_depth} levels deep"),
        ("(" * 100 + "1" + ")" * 100, f"the formula is nested more than {GRAMMAR.max_depth} levels deep"),
        ("abs(" * 60 + "1" + ")" * 60, f"the formula is nested more than {GRAMMAR.max_depth} levels deep"),
        ("2^" * 60 + "1", f"the formula is nested more than {GRAMMAR.max_depth} levels deep"),
        (
            "1" + " " * GRAMMAR.max_characters,
            "the formula has 2001 characters; at most 2000 are read",
        ),
    ],
)
def test_a_formula_beyond_the_limits_is_refused(formula: str, message: str) -> None:
    with pytest.raises(FormulaError) as caught:
        parse_formula(formula)
    assert str(caught.value).startswith(message)


NUMBERS = st.sampled_from(["0.0", "1.0", "2.0", "0.5", "3.25", "10.0", "a", "b", "low"])
FORMULAS = st.recursive(
    NUMBERS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from([" + ", " - ", "*", "/"]), inner).map("".join),
        st.tuples(inner, st.just("^"), st.sampled_from(["2.0", "0.5", "-1.0", "-2.0"])).map("".join),
        inner.map("-{}".format),
        inner.map("({})".format),
        st.tuples(st.sampled_from(["abs", "floor", "ceil", "sqrt", "log"]), inner).map(
            lambda call: f"{call[0]}({call[1]})"
        ),
        st.tuples(st.sampled_from(["min", "max"]), inner, inner).map(lambda call: f"{call[0]}({call[1]}, {call[2]})"),
    ),
    max_leaves=6,
)


@given(FORMULAS)
def test_any_formula_has_the_value_that_python_gives_it(formula: str) -> None:
    names = {**FUNCTIONS, "abs": math.fabs, **SCORES}
    try:
        wanted = eval(formula.replace("^", "**"), {"__builtins__": {}}, names)
    except (ZeroDivisionError, ValueError, OverflowError, TypeError):  # complex numbers have no floor, no order
        wanted = None
    if wanted is None or isinstance(wanted, complex):
        with pytest.raises(FormulaError):
            value_of(formula)
    else:
        assert value_of(formula) == pytest.approx(wanted, rel=1e-12)


@given(st.text(alphabet="12.ae+-*/^(), minqrtx", max_size=40))
def test_any_text_has_a_finite_value_or_is_refused(text: str) -> None:
    try:
        node = parse_formula(text)
        value = evaluate_formula(node, dict.fromkeys(names_in(node), 0.5))
    except FormulaError:
        return
    assert math.isfinite(value)
