from __future__ import annotations

from functools import reduce

import pytest

from verifine.insights.diagnosis.groups import EASY
from verifine.learner.learner import UpdateOutcome
from verifine.training.health import NO_SIGNAL_LIMIT, NOT_FINITE_LIMIT, HealthCounters

APPLIED, NO_SIGNAL, NOT_FINITE = UpdateOutcome.APPLIED, UpdateOutcome.NO_SIGNAL, UpdateOutcome.NOT_FINITE


def after(*steps: tuple[UpdateOutcome, ...], all_right: float = 0.0) -> HealthCounters:
    return reduce(
        lambda health, outcomes: health.note(outcomes, has_signal=True, all_right=all_right), steps, HealthCounters()
    )


def test_steps_without_signal_in_a_row_are_too_many_at_the_limit() -> None:
    assert not after(*[(NO_SIGNAL,)] * (NO_SIGNAL_LIMIT - 1)).has_no_signal
    assert after(*[(NO_SIGNAL,)] * NO_SIGNAL_LIMIT).has_no_signal


def test_a_step_without_an_update_is_one_without_signal() -> None:
    assert after((), ()).silent_steps == 2


def test_an_update_starts_the_count_of_silent_steps_again() -> None:
    assert after((NO_SIGNAL,), (NO_SIGNAL, APPLIED)).silent_steps == 0
    assert after((NO_SIGNAL,), (NOT_FINITE,)).silent_steps == 0


def test_an_update_that_rewards_had_no_part_in_is_a_silent_step() -> None:
    assert HealthCounters(silent_steps=2).note((APPLIED,), has_signal=False, all_right=0.0).silent_steps == 3


def test_updates_that_are_not_finite_are_counted_across_steps() -> None:
    assert not after(*[(NOT_FINITE,)] * (NOT_FINITE_LIMIT - 1)).is_not_finite
    assert after(*[(NOT_FINITE,)] * NOT_FINITE_LIMIT).is_not_finite
    assert not after((NOT_FINITE,), (NOT_FINITE,), (APPLIED,), (NOT_FINITE,)).is_not_finite


def test_updates_without_signal_do_not_interrupt_the_count() -> None:
    assert after(*[(NOT_FINITE, NO_SIGNAL)] * NOT_FINITE_LIMIT).is_not_finite


def test_too_many_in_one_step_are_remembered_though_the_last_one_succeeded() -> None:
    assert after((NOT_FINITE,) * NOT_FINITE_LIMIT + (APPLIED,)).is_not_finite


def test_silent_steps_that_are_nearly_all_right_are_a_success() -> None:
    silent = [(NO_SIGNAL,)] * NO_SIGNAL_LIMIT
    assert after(*silent, all_right=1.0).is_solved
    assert after(*silent, all_right=EASY).is_solved
    assert not after(*silent, all_right=EASY - 0.01).is_solved
    assert not after(*silent[1:], all_right=1.0).is_solved


def test_only_the_silent_steps_in_a_row_say_whether_it_is_a_success() -> None:
    health = after((NO_SIGNAL,), (APPLIED,), all_right=1.0)
    for _ in range(NO_SIGNAL_LIMIT):
        health = health.note((), has_signal=False, all_right=0.8)
    assert health.silent_and_right == pytest.approx(0.8 * NO_SIGNAL_LIMIT)
    assert not health.is_solved
