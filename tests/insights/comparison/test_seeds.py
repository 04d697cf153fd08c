from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from verifine.insights.comparison.seeds import over_seeds, sum_up_seeds
from verifine.insights.comparison.variants import Variant
from verifine.insights.inference import bootstrap_interval
from verifine.runs.events import EventRecord, RunEnded
from verifine.runs.record import RunRecord
from verifine.runs.status import RunStatus, Status

MakeRun = Callable[..., RunRecord]


def test_mean_deviation_and_interval_are_over_seeds() -> None:
    over = over_seeds({0: 0.4, 1: 0.5, 2: 0.9})
    assert over is not None
    assert over.mean == pytest.approx(0.6)
    assert over.deviation == pytest.approx(0.264575, abs=1e-6)  # the root of (0.04 + 0.01 + 0.09) / 2
    # One in 27 resamples is three times the lowest, and 1 / 27 is more than 2.5 %.
    assert over.interval == pytest.approx((0.4, 0.9))


def test_one_seed_has_no_deviation_and_equal_seeds_no_interval() -> None:
    one, equal = over_seeds({3: 0.5}), over_seeds({0: 0.5, 1: 0.5})
    assert one is not None
    assert equal is not None
    assert (one.mean, one.deviation, one.interval) == (0.5, None, None)
    assert (equal.mean, equal.deviation, equal.interval) == (0.5, 0.0, None)
    assert over_seeds({}) is None


def test_each_seed_is_compared_with_the_same_seed_of_the_first_variant(make_run: MakeRun) -> None:
    def variant(name: str, rights: dict[int, str]) -> Variant:
        runs = (make_run(f"{name}{seed}", seed=seed, before="1000", right=right) for seed, right in rights.items())
        return Variant(name=name, runs=tuple(runs))

    first = variant("grpo", {0: "1100", 1: "1000", 2: "1110"})
    second = variant("dapo", {1: "1110", 0: "1110", 7: "1111"})
    ours, theirs = sum_up_seeds([first, second], "answer")
    assert ours.gain is None
    assert theirs.after is not None
    assert theirs.after.values == {1: 0.75, 0: 0.75, 7: 1.0}
    assert theirs.gain is not None
    assert theirs.gain.values == {1: 0.5, 0: 0.25}
    assert (theirs.gain.mean, theirs.gain.interval) == (0.375, (0.25, 0.5))
    assert (ours.before, theirs.before) == (0.25, 0.25)


def test_what_was_before_is_of_the_runs_that_have_an_after(make_run: MakeRun) -> None:
    runs = (make_run("a", before="1000", right="1100"), make_run("b", seed=1, before="1111", right=None))
    (found,) = sum_up_seeds([Variant(name="grpo", runs=runs)], "answer")
    assert found.before == 0.25
    assert found.after is not None
    assert found.after.values == {0: 0.5}


def test_findings_are_counted_by_run(make_run: MakeRun) -> None:
    failed = RunEnded(status=Status.FAILED, error="memory ran out")
    runs = []
    for seed in range(3):
        run = make_run(str(seed), seed=seed)
        if seed < 2:
            events = [*run.events, EventRecord(time=run.events[-1].time, event=failed)]
            run = replace(run, events=events, status=RunStatus(status=Status.FAILED))
        runs.append(run)
    (found,) = sum_up_seeds([Variant(name="grpo", runs=tuple(runs))], "answer")
    assert found.findings["failed"] == 2


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "share"), [(3, 0.75), (5, 0.83), (8, 0.88)])
def test_an_interval_over_few_seeds_holds_the_true_mean_less_often_than_it_says(seeds: int, share: float) -> None:
    generator, tries = random.Random(0), 2000
    drawn = [[generator.gauss(0, 1) for _ in range(seeds)] for _ in range(tries)]
    intervals = [bootstrap_interval(values) for values in drawn]
    assert sum(low <= 0 <= high for low, high in intervals) / tries == pytest.approx(share, abs=0.025)
