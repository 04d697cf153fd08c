from __future__ import annotations

import pytest

from verifine.training.pace import RECENT, Pace
from verifine.training.run import Plan


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def make_pace(clock: Clock, steps: int | None = None, seconds: float | None = None) -> Pace:
    """A run that began at 90 on the clock, expects 8 seconds of its first step and needs 5 at its end."""
    plan = Plan(steps=steps, seconds=seconds, eval_interval=None, patience=None, keeps_best=False)
    return Pace(plan=plan, clock=clock, began=90.0, first_step_s=8.0, reserve_s=lambda: 5.0)


def test_without_a_time_limit_there_is_always_time_for_a_step() -> None:
    pace = make_pace(Clock(), steps=3)
    pace.note(1e9)
    assert pace.has_time_for_a_step()


@pytest.mark.parametrize(("seconds", "has_time"), [(23.0, True), (22.9, False)])
def test_before_the_first_step_its_estimate_must_fit(seconds: float, has_time: bool) -> None:
    # 10 seconds are over, 8 for the step, 5 for the end.
    assert make_pace(Clock(), seconds=seconds).has_time_for_a_step() == has_time


@pytest.mark.parametrize(("most", "has_budget"), [(30.0, True), (29.9, False), (None, True)])
def test_a_step_that_the_budget_does_not_allow_is_not_begun(most: float | None, has_budget: bool) -> None:
    plan = Plan(steps=9, seconds=None, max_seconds=most, eval_interval=None, patience=None, keeps_best=False)
    pace = Pace(plan=plan, clock=Clock(), began=90.0, first_step_s=8.0, reserve_s=lambda: 5.0)
    pace.note(20.0)  # 10 seconds are over
    assert pace.has_budget_for_a_step() is has_budget


@pytest.mark.parametrize(("seconds", "has_time"), [(35.0, True), (34.9, False)])
def test_the_slowest_recent_step_must_fit(seconds: float, has_time: bool) -> None:
    pace = make_pace(Clock(), seconds=seconds)
    for step_s in (3.0, 20.0, 2.0):
        pace.note(step_s)
    assert pace.has_time_for_a_step() == has_time


def test_a_slow_step_is_forgotten_after_enough_others() -> None:
    pace = make_pace(Clock(), seconds=35.0)
    pace.note(1000.0)
    for _ in range(RECENT - 1):
        pace.note(1.0)
    assert not pace.has_time_for_a_step()
    pace.note(1.0)
    assert pace.has_time_for_a_step()


def test_the_share_that_is_over_is_that_of_the_steps_or_of_the_time() -> None:
    clock = Clock()
    assert make_pace(clock).share_done(7) == 0
    assert make_pace(clock, steps=4).share_done(1) == 0.25
    # 10 of 40 seconds are over, and 5 are kept for the end.
    assert make_pace(clock, seconds=45.0).share_done(1) == 0.25
    assert make_pace(clock, steps=2, seconds=45.0).share_done(1) == 0.5
    clock.now = 500.0
    assert make_pace(clock, seconds=45.0).share_done(1) == 1


def test_what_is_spent_counts_from_when_the_run_would_have_begun_in_one_session() -> None:
    clock = Clock()
    pace = make_pace(clock)
    clock.now = 130.0
    assert pace.spent_s() == 40.0


def test_how_long_it_takes_is_unknown_without_limits_and_before_the_first_step() -> None:
    assert make_pace(Clock()).eta_s(0) is None
    assert make_pace(Clock(), steps=10).eta_s(0) is None


def test_steps_at_the_recent_pace_or_the_time_limit_end_training() -> None:
    pace = make_pace(Clock(), steps=10, seconds=1000.0)
    pace.note(2.0)
    pace.note(4.0)
    assert pace.eta_s(2) == 8 * 3.0
    limited = make_pace(Clock(), steps=1000, seconds=30.0)
    limited.note(3.0)
    assert limited.eta_s(1) == 30.0 - 10.0 - 5.0


def test_what_is_left_is_never_negative() -> None:
    assert make_pace(Clock(), seconds=1.0).eta_s(0) == 0.0
