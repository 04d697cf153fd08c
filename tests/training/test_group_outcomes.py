"""Groups that are all right, mixed or all wrong, against what one rate of success would give."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifine.training.group_outcomes import PASS_SCORE, expected_mixed, outcome_shares
from verifine.types import Grade, Group, Prompt

PROMPT = Prompt(id="p", token_ids=(1,), item={})


def group(grades: Iterable[Grade]) -> Group:
    return Group(prompt=PROMPT, rollouts=(), grades=tuple(grades))


def judged(answers: str) -> Group:
    """`1` is right, `0` is wrong, `.` could not be scored. The scores are of a grader that also pays for the format."""
    made = {"1": Grade(score=1.0, answer_ok=True), "0": Grade(score=0.1, answer_ok=False), ".": Grade.unscorable("?")}
    return group(made[each] for each in answers)


def scored(*scores: float) -> Group:
    return group(Grade(score=score) for score in scores)


def shares(groups: Sequence[Group], pass_score: float | None = None) -> list[float | None]:
    found = outcome_shares(groups, pass_score)
    return [found.get(f"groups/frac_{name}") for name in ("all_right", "mixed", "all_wrong")]


def test_groups_are_all_right_mixed_or_all_wrong() -> None:
    groups = [judged("1111"), judged("1101"), judged("0000"), judged("0000")]
    assert shares(groups) == [0.25, 0.25, 0.5]


def test_expected_mixed_groups_by_hand() -> None:
    """Two groups of two; 3 of 4 right. Of the 6 pairs of answers 3 are both right and none both wrong: 1 - 3/6."""
    groups = [judged("11"), judged("10")]
    found = outcome_shares(groups, None)
    assert found["groups/frac_mixed_expected"] == pytest.approx(0.5)
    assert found["groups/undecidedness"] == pytest.approx(0.5 / 0.5)
    # One right of 64, in groups of 8: a group is mixed if it got that one, so 8/64 of them.
    rare = [judged("10000000"), *[judged("00000000")] * 7]
    assert outcome_shares(rare, None)["groups/frac_mixed_expected"] == pytest.approx(1 / 8)


def test_unscorable_answers_are_left_out_and_groups_may_differ_in_size() -> None:
    """Groups of 1 and of 3 with 3 of 4 right: the first is never mixed, the second unless its 3 are the right ones."""
    groups = [judged("1.."), judged("110"), judged("...")]
    found = outcome_shares(groups, None)
    assert shares(groups) == [0.5, 0.5, 0.0]
    assert found["groups/frac_mixed_expected"] == pytest.approx((0 + 3 / 4) / 2)


def test_answers_that_differ_in_form_only_are_equally_wrong() -> None:
    assert shares([group([Grade(score=0.1, answer_ok=False), Grade(score=0.0, answer_ok=False)])]) == [0, 0, 1]


def test_scores_without_a_verdict_are_compared_with_each_other_and_with_the_pass_score() -> None:
    groups = [scored(0.9, 0.9), scored(0.6, 0.6), scored(0.6, 0.7), scored(0.95, 1.0)]
    assert shares(groups) == [0.25, 0.5, 0.25]
    assert shares(groups, pass_score=0.6) == [0.5, 0.5, 0.0]
    assert shares([scored(PASS_SCORE, PASS_SCORE), scored(0.89, 0.89)]) == [0.5, 0.0, 0.5]


def test_of_scores_beyond_1_it_is_not_known_what_is_right_unless_it_is_said() -> None:
    groups = [scored(7, 7), scored(3, 3), scored(7, 3), scored(0.95, 0.95)]
    assert shares(groups) == [None, 0.25, None]
    assert shares(groups, pass_score=7) == [0.25, 0.25, 0.5]
    assert shares([scored(1, 1), scored(-1, -1)]) == [None, 0, None]
    reward = Grade(score=2.5, answer_ok=True)
    assert shares([group([reward, reward])]) == [1, 0, 0]


def test_undecidedness_is_not_known_where_nothing_can_be_mixed() -> None:
    for groups in ([judged("11"), judged("11")], [judged("1"), judged("0")]):
        found = outcome_shares(groups, None)
        assert found["groups/frac_mixed_expected"] == 0
        assert "groups/undecidedness" not in found
    assert outcome_shares([judged("..")], None) == {}


@given(
    sizes=st.lists(st.integers(1, 3), min_size=1, max_size=3),
    outcomes=st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=9, max_size=9),
)
def test_the_expected_share_is_the_average_over_all_ways_to_deal_the_outcomes(
    sizes: list[int], outcomes: list[float]
) -> None:
    dealt = outcomes[: sum(sizes)]
    ends = list(itertools.accumulate(sizes, initial=0))

    def groups_of(order: Sequence[float]) -> list[list[float]]:
        return [list(order[start:end]) for start, end in itertools.pairwise(ends)]

    orders = list(itertools.permutations(dealt)) if len(dealt) <= 6 else [dealt]
    mixed = [len(set(each)) > 1 for order in orders for each in groups_of(order)]
    expected = expected_mixed(groups_of(dealt))
    assert 0 <= expected <= 1
    if len(dealt) <= 6:
        assert expected == pytest.approx(sum(mixed) / len(mixed))


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9, 0.95])
def test_many_answers_come_to_the_formula(rate: float) -> None:
    size, prompts = 8, 5000
    right = round(rate * size * prompts)
    answers = [1.0] * right + [0.0] * (size * prompts - right)
    groups = [answers[start : start + size] for start in range(0, len(answers), size)]
    assert expected_mixed(groups) == pytest.approx(1 - rate**size - (1 - rate) ** size, abs=1e-3)


def average_undecidedness(rates: Sequence[float], steps: int = 400, size: int = 8) -> float:
    """Over simulated steps with one prompt a rate."""
    generator = random.Random(0)
    found = []
    for _ in range(steps):
        groups = [judged("".join("1" if generator.random() < rate else "0" for _ in range(size))) for rate in rates]
        found.append(outcome_shares(groups, None).get("groups/undecidedness", math.nan))
    known = [value for value in found if not math.isnan(value)]
    assert len(known) > steps / 4
    return sum(known) / len(known)


@pytest.mark.parametrize("rate", [0.03, 0.3, 0.8, 0.97])
def test_one_rate_of_success_for_every_prompt_is_an_undecidedness_of_one(rate: float) -> None:
    assert average_undecidedness([rate] * 8) == pytest.approx(1, abs=0.1)


def test_the_more_decided_the_prompts_the_lower_the_undecidedness() -> None:
    """The average rate is 3/4 each time."""
    spread = [average_undecidedness([0.75 + apart] * 6 + [0.75 - 3 * apart] * 2) for apart in (0, 0.1, 0.2, 0.24, 0.25)]
    assert spread == sorted(spread, reverse=True)
    assert spread[0] > 0.9
    assert spread[3] < 0.6
    assert spread[4] == 0
