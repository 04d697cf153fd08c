from __future__ import annotations

from collections.abc import Callable

import pytest

from verifine.insights.comparison.curves import Point, draw_together
from verifine.runs.record import RunRecord

MakeRun = Callable[..., RunRecord]


def test_runs_are_smoothed_and_then_averaged(make_run: MakeRun) -> None:
    curve = draw_together([make_run("a", rewards=[4.0, 1.0]), make_run("b", rewards=[2.0, 2.0])], "reward")
    assert curve is not None
    second = (0.8 * 4 + 1) / 1.8
    assert curve.common_until == 2
    assert curve.points[0] == Point(step=1, mean=3.0, low=2.0, high=4.0, runs=2)
    assert (curve.points[1].mean, curve.points[1].high) == pytest.approx(((second + 2) / 2, second))


def test_beyond_the_shortest_run_the_others_are_averaged_and_it_says_so(make_run: MakeRun) -> None:
    runs = [make_run("a", rewards=[0.5] * 3), make_run("b", rewards=[0.1]), make_run("c", rewards=[0.7] * 2)]
    curve = draw_together(runs, "reward")
    assert curve is not None
    assert curve.common_until == 1
    assert [(point.runs, round(point.mean, 3)) for point in curve.points] == [(3, 0.433), (2, 0.6), (1, 0.5)]


def test_a_metric_that_no_run_has_is_no_curve(make_run: MakeRun) -> None:
    assert draw_together([make_run("a")], "format_accuracy") is None
    assert draw_together([make_run("a", rewards=[])], "reward") is None
