"""What is kept of a run, and when one number is more than another."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Sequence

import pytest

from verifine.config import build_config
from verifine.insights.diagnosis.history import RunHistory, Window, move_between
from verifine.types import StepReport

CONFIG = build_config({"data": {"task": "add"}})


def window(values: Sequence[float | None], name: str = "reward", start: int = 1) -> Window:
    return Window(
        reports=tuple(
            StepReport(step=step, metrics={} if value is None else {name: value})
            for step, value in enumerate(values, start=start)
        )
    )


def tell(values: list[float], name: str = "reward") -> RunHistory:
    history = RunHistory(CONFIG)
    for report in window(values, name).reports:
        history.tell(report)
    return history


def test_steps_without_a_number_and_numbers_that_are_none_do_not_count() -> None:
    some = window([1.0, None, math.nan, 3.0, math.inf])
    assert some.values("reward") == [1.0, 3.0]
    assert (some.mean("reward"), some.mean("loss")) == (2.0, None)
    assert some.span == (1, 5)
    assert window([]).span == (0, 0)


def test_a_story_has_a_beginning_an_end_and_what_came_just_before() -> None:
    history = tell([float(step) for step in range(1, 71)])
    assert history.opening.span == (1, 10)
    assert history.earlier.span == (31, 50)
    assert history.recent.span == (51, 70)


def test_the_best_steps_are_those_with_the_highest_average_and_never_the_latest() -> None:
    history = tell([0.1] * 20 + [0.9] * 20 + [0.2] * 30)
    assert history.best.span == (21, 40)
    assert tell([0.1] * 40 + [0.9] * 20).best.mean("reward") == pytest.approx(0.1)
    assert len(tell([0.1] * 39).best) == 0


def test_the_error_of_a_difference_is_that_of_two_means() -> None:
    generator = random.Random(0)
    old, new = ([generator.gauss(0, 1) for _ in range(size)] for size in (10, 20))
    move = move_between(window(old), window(new), "reward")
    assert move is not None
    expected = math.sqrt(statistics.stdev(old) ** 2 / 10 + statistics.stdev(new) ** 2 / 20)
    assert move.error == pytest.approx(expected)
    assert move.rise == pytest.approx(statistics.fmean(new) - statistics.fmean(old))


def test_chance_alone_is_rarely_taken_for_a_rise_or_a_fall() -> None:
    """Two standard errors: about one in twenty either way. Counted over 400 pairs of windows without any change."""
    generator = random.Random(1)
    draws = [window([generator.gauss(0, 1) for _ in range(20)]) for _ in range(800)]
    moves = [move_between(old, new, "reward") for old, new in zip(draws[::2], draws[1::2], strict=True)]
    moved = sum(move is not None and (move.has_risen or move.has_fallen) for move in moves)
    assert 5 <= moved <= 40


def test_too_few_numbers_make_no_move() -> None:
    assert move_between(window([1.0] * 4), window([1.0] * 20), "reward") is None
    assert move_between(window([1.0] * 20), window([1.0] * 9), "reward") is None
    assert move_between(window([1.0] * 5), window([2.0] * 10), "reward") is not None


def test_right_answers_are_the_goal_where_they_are_judged() -> None:
    assert tell([0.5] * 10).goal == "reward"
    assert tell([0.5] * 10, "answer_accuracy").goal == "answer_accuracy"


def test_there_is_a_level_only_where_one_is_all() -> None:
    assert tell([0.5, 1.0]).level == 0.75
    assert tell([0.5, 1.5]).level is None
    assert tell([-0.5, 0.5]).level is None
    assert tell([]).level is None


def test_the_first_steps_are_those_before_the_model_has_changed_much() -> None:
    assert tell([1.0] * 30).first.span == (1, 3)
    assert RunHistory(CONFIG).first.span == (0, 0)
