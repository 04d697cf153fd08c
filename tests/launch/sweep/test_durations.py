from __future__ import annotations

import pytest

from verifine.config.run import RunSection
from verifine.launch.sweep.durations import RunTime, expect_all, expect_seconds


def run(variant: str = "grpo", minutes: float | None = None, steps: int | None = 100) -> RunTime:
    return RunTime(variant=variant, limits=RunSection(minutes=minutes, steps=steps))


def complete(variant: str, steps: int, seconds: float) -> RunTime:
    return RunTime(variant=variant, limits=RunSection(), steps=steps, seconds=seconds, is_complete=True)


def test_a_time_limit_is_expected_to_be_used_up() -> None:
    assert expect_seconds(run(minutes=5, steps=None), []) == 300
    assert expect_all([run(minutes=5, steps=None)] * 6) == 1800


def test_without_one_nothing_is_known_before_the_first_run() -> None:
    assert expect_seconds(run(), []) is None
    assert expect_all([run(minutes=5), run()]) is None


def test_then_steps_take_as_long_as_those_of_the_same_variant() -> None:
    done = [complete("grpo", 100, 200.0), complete("grpo", 50, 200.0), complete("dapo", 10, 100.0)]
    assert expect_seconds(run("grpo"), done) == 300.0  # the median of 2 and 4 seconds a step
    assert expect_seconds(run("dapo"), done) == 1000.0
    assert expect_seconds(run("rloo"), done) == 400.0  # the median of all


def test_the_steps_may_end_before_the_time_does() -> None:
    done = [complete("grpo", 10, 20.0)]
    assert expect_seconds(run(minutes=5, steps=50), done) == 100.0
    assert expect_seconds(run(minutes=1, steps=50), done) == 60.0


def test_what_a_run_has_used_is_no_longer_expected() -> None:
    begun = RunTime(variant="grpo", limits=RunSection(minutes=5, steps=None), steps=10, seconds=100.0)
    assert expect_seconds(begun, []) == 200.0
    late = RunTime(variant="grpo", limits=RunSection(minutes=1, steps=None), steps=10, seconds=100.0)
    assert expect_seconds(late, []) == 0.0


@pytest.mark.parametrize("minutes", [None, 5.0])
def test_a_complete_run_takes_no_more_time(minutes: float | None) -> None:
    done = RunTime(variant="grpo", limits=RunSection(minutes=minutes), steps=3, seconds=1.0, is_complete=True)
    assert expect_seconds(done, [done]) == 0.0
