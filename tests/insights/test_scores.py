from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifine.insights.scores import BINS, Bins, collect_scores
from verifine.types import Grade, GradeFault

FINITE = st.floats(allow_nan=False, allow_infinity=False)


def scored(*values: float) -> list[Grade]:
    return [Grade(score=value) for value in values]


def test_the_numbers_are_those_worked_by_hand() -> None:
    scores = collect_scores(
        [
            Grade(score=0.0, format_ok=False, answer_ok=False, seconds=0.3),
            Grade(score=0.5, format_ok=True, answer_ok=False, seconds=0.1),
            Grade(score=1.0, format_ok=True, answer_ok=True, seconds=0.2),
            Grade(score=1.0, format_ok=True, seconds=0.4),
            Grade.unscorable("it crashed"),
        ]
    )
    assert scores.numbers() == {
        "count": 5,
        "unscorable": 1,
        "flagged": 0,
        "mean": 0.625,
        "lowest": 0.0,
        "highest": 1.0,
        "share_at_lowest": 0.25,
        "share_at_highest": 0.5,
        "format_accuracy": 0.75,
        "answer_accuracy": pytest.approx(1 / 3),
        "latency_p50_s": 0.2,
        "latency_p95_s": 0.4,
        "reasons": [{"reason": "it crashed", "count": 1}],
    }


def test_what_nobody_judged_or_measured_is_none() -> None:
    numbers = collect_scores([Grade.unscorable("no")]).numbers()
    assert {name for name, value in numbers.items() if value is None} == {
        "mean",
        "lowest",
        "highest",
        "share_at_lowest",
        "share_at_highest",
        "format_accuracy",
        "answer_accuracy",
        "latency_p50_s",
        "latency_p95_s",
    }
    assert collect_scores([]).count == 0


def test_latencies_are_the_times_within_which_that_share_was_done() -> None:
    scores = collect_scores([Grade(score=1.0, seconds=each / 100) for each in range(100, 0, -1)])
    assert (scores.latency_s(0.5), scores.latency_s(0.95), scores.latency_s(1.0)) == (0.5, 0.95, 1.0)


def test_reasons_are_counted_the_most_frequent_first_and_flagged_answers_have_theirs() -> None:
    scores = collect_scores(
        [
            Grade.unscorable("rare"),
            *[Grade.failed("the answer is not JSON", GradeFault.SAMPLE_PARSE)] * 3,
            Grade(score=1.0, reason="well done"),
        ]
    )
    assert scores.reasons == (("the answer is not JSON", 3), ("rare", 1))
    assert (scores.unscorable, scores.flagged) == (1, 3)


def test_ten_bins_cover_the_range_and_an_edge_belongs_to_the_bin_above_it() -> None:
    scores = collect_scores(scored(0.0, 0.1, 0.19, 0.3, 0.95, 1.0))
    bins = Bins.over(scores)
    assert bins.edges == pytest.approx([each / 10 for each in range(11)])
    assert bins.count(scores.scored) == [1, 2, 0, 1, 0, 0, 0, 0, 0, 2]


def test_bins_are_shared_by_all_sets() -> None:
    low, high = collect_scores(scored(-1.0, -0.9)), collect_scores(scored(1.0))
    bins = Bins.over(low, high)
    assert (bins.edges[0], bins.edges[-1]) == (-1.0, 1.0)
    assert bins.count(low.scored) == [2] + [0] * 9
    assert bins.count(high.scored) == [0] * 9 + [1]


def test_equal_scores_are_one_bin_and_no_scores_are_none() -> None:
    same = Bins.over(collect_scores(scored(0.5, 0.5)))
    assert (same.ranges, same.count([0.5, 0.5])) == (((0.5, 0.5),), [2])
    nothing = Bins.over(collect_scores([Grade.unscorable("no")]))
    assert (nothing.ranges, nothing.count([])) == ((), [])


@given(st.lists(FINITE, min_size=1))
def test_every_score_is_in_one_bin_whatever_the_range(values: list[float]) -> None:
    scores = collect_scores(scored(*values))
    bins = Bins.over(scores)
    counts = bins.count(scores.scored)
    assert sum(counts) == len(values)
    assert len(counts) == (BINS if min(values) < max(values) else 1)
    assert counts[0] > 0
    assert all(math.isfinite(edge) for edge in bins.edges)
    assert scores.mean is not None
    assert min(values) <= scores.mean <= max(values)
