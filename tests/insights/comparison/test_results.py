from __future__ import annotations

from collections.abc import Callable

import pytest

from verifine.insights.comparison.results import Source, SourcedInterval, Spread, sum_up
from verifine.insights.comparison.variants import Variant
from verifine.insights.inference import bootstrap_interval, wilson_interval
from verifine.runs.record import RunRecord

MakeRun = Callable[..., RunRecord]


def variant(*runs: RunRecord) -> Variant:
    return Variant(name="grpo", runs=runs)


def test_one_run_has_wilsons_interval_over_problems(make_run: MakeRun) -> None:
    result = sum_up(variant(make_run("a", before="1000", right="1110")))
    answer = result.moves["answer_accuracy"]
    low, high = wilson_interval(3, 4)
    assert (answer.before, answer.after) == (0.25, 0.75)
    assert answer.interval == SourcedInterval(low=low, high=high, source=Source.PROBLEMS, n=4)
    low, high = bootstrap_interval([1.0, 1.0, 1.0, 0.0])
    assert result.moves["reward"].interval == SourcedInterval(low=low, high=high, source=Source.PROBLEMS, n=4)


def test_several_seeds_have_students_interval_over_seeds(make_run: MakeRun) -> None:
    # accuracies 0.4, 0.5, 0.6: 0.5 -+ 4.302653 * 0.1 / sqrt(3)
    rights = ["1111000000", "1111100000", "1111110000"]
    result = sum_up(variant(*(make_run(str(seed), seed=seed, right=right) for seed, right in enumerate(rights))))
    answer = result.moves["answer_accuracy"]
    assert answer.after == pytest.approx(0.5)
    assert answer.interval is not None
    assert (answer.interval.low, answer.interval.high) == pytest.approx((0.251586, 0.748414), abs=1e-6)
    assert (answer.interval.source, answer.interval.n) == (Source.SEEDS, 3)


def test_an_interval_of_an_accuracy_stays_between_0_and_1(make_run: MakeRun) -> None:
    result = sum_up(variant(make_run("a", seed=0, right="1111"), make_run("b", seed=1, right="0000")))
    accuracy, reward = result.moves["answer_accuracy"].interval, result.moves["reward"].interval
    assert accuracy is not None
    assert reward is not None
    assert (accuracy.low, accuracy.high) == (0.0, 1.0)
    assert reward.low < -5


def test_seeds_that_came_out_alike_do_not_make_an_interval_of_no_width(make_run: MakeRun) -> None:
    result = sum_up(variant(make_run("a", seed=0, right="1111"), make_run("b", seed=1, right="1111")))
    interval = result.moves["answer_accuracy"].interval
    assert interval is not None
    assert (interval.source, interval.low < 0.6, interval.high) == (Source.PROBLEMS, True, 1.0)


def test_the_same_seed_twice_is_one_seed(make_run: MakeRun) -> None:
    result = sum_up(variant(make_run("a", right="1110"), make_run("b", right="1100")))
    assert (result.runs, result.seeds) == (2, 1)
    assert result.moves["answer_accuracy"].after == 0.625


def test_held_out_numbers_are_those_of_the_evaluated_runs(make_run: MakeRun) -> None:
    runs = [make_run("a", before="1000", right="1100"), make_run("b", seed=1, before="1111", right=None)]
    result = sum_up(variant(*runs))
    answer = result.moves["answer_accuracy"]
    assert (result.runs, result.evaluated, answer.before, answer.after) == (2, 1, 0.25, 0.5)


def test_before_the_end_there_is_what_was_before(make_run: MakeRun) -> None:
    result = sum_up(variant(make_run("a", before="1000", right=None)))
    answer = result.moves["answer_accuracy"]
    assert (answer.before, answer.after, answer.interval) == (0.25, None, None)


def test_what_it_took_is_a_mean_and_a_range(make_run: MakeRun) -> None:
    result = sum_up(variant(make_run("a", rewards=[1.0] * 3), make_run("b", seed=1, rewards=[1.0] * 5)))
    assert result.steps == Spread(mean=4.0, low=3.0, high=5.0)
    assert result.minutes == Spread(mean=1.5, low=1.5, high=1.5)
    assert result.length is not None
    assert result.length.mean == pytest.approx(10.0)
