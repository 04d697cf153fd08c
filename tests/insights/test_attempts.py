from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifine.insights.attempts import ladder, pass_at_k


@pytest.mark.parametrize(
    ("n", "c", "k", "expected"),
    [
        (1, 1, 1, 1.0),
        (1, 0, 1, 0.0),
        (4, 1, 1, 1 / 4),
        (4, 1, 2, 1 / 2),
        # C(3,2)/C(5,2) = 3/10 of the pairs have none of the two
        (5, 2, 2, 7 / 10),
        (5, 2, 4, 1.0),
        (10, 3, 10, 1.0),
        (10, 0, 10, 0.0),
    ],
)
def test_pass_at_k_is_the_one_worked_by_hand(n: int, c: int, k: int, expected: float) -> None:
    assert pass_at_k(n, c, k) == pytest.approx(expected, abs=1e-15)


@given(
    st.lists(st.booleans(), min_size=1, max_size=9).flatmap(
        lambda each: st.tuples(st.just(each), st.integers(1, len(each)))
    )
)
def test_pass_at_k_is_the_share_of_all_choices_of_k_answers_that_have_a_pass(case: tuple[list[bool], int]) -> None:
    passed, k = case
    choices = list(itertools.combinations(passed, k))
    assert pass_at_k(len(passed), sum(passed), k) == pytest.approx(sum(map(any, choices)) / len(choices))


def test_pass_at_k_is_right_on_average_whatever_the_chance_of_a_pass() -> None:
    n, k, chance = 7, 3, 0.2
    expected = sum(math.comb(n, c) * chance**c * (1 - chance) ** (n - c) * pass_at_k(n, c, k) for c in range(n + 1))
    assert expected == pytest.approx(1 - (1 - chance) ** k)


def test_pass_at_k_of_very_many_answers_neither_overflows_nor_loses_the_rare_pass() -> None:
    assert pass_at_k(100_000, 1, 1) == 1e-5
    assert pass_at_k(20_000, 1, 10_000) == 0.5
    # 1 - (1 - 10/20000)(1 - 10/19999)...: about 1 - exp(-0.5)
    assert pass_at_k(20_000, 10, 1000) == pytest.approx(1 - 0.95**10, abs=2e-4)


@pytest.mark.parametrize(("n", "c", "k"), [(3, 4, 1), (3, -1, 1), (3, 1, 4), (3, 1, 0), (0, 0, 1)])
def test_pass_at_k_refuses_counts_that_cannot_be(n: int, c: int, k: int) -> None:
    with pytest.raises(ValueError, match="pass@"):
        pass_at_k(n, c, k)


@pytest.mark.parametrize(
    ("n", "steps"), [(0, []), (1, [1]), (2, [1, 2]), (5, [1, 2, 4, 5]), (8, [1, 2, 4, 8]), (12, [1, 2, 4, 8, 12])]
)
def test_pass_at_k_is_told_for_powers_of_two_and_for_all_answers(n: int, steps: list[int]) -> None:
    assert ladder(n) == steps
