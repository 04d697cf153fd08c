from __future__ import annotations

import pytest

from verifine.errors import GraderError
from verifine.training.budget import UnscorableBudget
from verifine.types import Grade, Group, Prompt


def group(failed: int, size: int) -> Group:
    grades = [Grade.unscorable(f"reason {i}") if i < failed else Grade(score=1.0) for i in range(size)]
    return Group(prompt=Prompt(id="p", token_ids=(1,), item={}), rollouts=(), grades=tuple(grades))


def test_five_percent_of_two_hundred_is_within_the_budget() -> None:
    UnscorableBudget().spend([group(10, 200)])


def test_more_than_five_percent_of_two_hundred_ends_the_run_with_examples() -> None:
    with pytest.raises(GraderError, match=r"11 of 200 answers(.|\n)*p: reason 6\n(.|\n)*p: reason 10"):
        UnscorableBudget().spend([group(11, 200)])


def test_few_samples_are_too_early_to_tell() -> None:
    budget = UnscorableBudget().spend([group(64, 64)]).spend([group(64, 64)])
    with pytest.raises(GraderError, match="192 of 256"):
        budget.spend([group(64, 128)])
