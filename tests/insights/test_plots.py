from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest

from verifine.insights.plots import draw_timing, draw_training
from verifine.runs.directory import RunDirectory
from verifine.runs.record import RunRecord, read_run
from verifine.types import StepReport


@pytest.fixture
def record(finished_run: RunDirectory) -> RunRecord:
    return read_run(finished_run)


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def without(record: RunRecord, *names: str) -> RunRecord:
    kept = [
        StepReport(
            step=report.step, metrics={name: value for name, value in report.metrics.items() if name not in names}
        )
        for report in record.metrics
    ]
    return replace(record, metrics=kept, evaluations=[])


def test_the_four_curves_are_one_figure(record: RunRecord) -> None:
    titles = {"Average reward", "Response length (tokens)", "Format accuracy", "Answer accuracy"}
    assert titles <= set(texts(draw_training(record)))


def test_accuracies_that_nobody_judged_are_left_out(record: RunRecord) -> None:
    shown = texts(draw_training(without(record, "format_accuracy", "answer_accuracy")))
    assert "Average reward" in shown
    assert not {"Format accuracy", "Answer accuracy"} & set(shown)


def test_held_out_points_have_error_bars_on_accuracies_only(record: RunRecord) -> None:
    with_points, without_points = draw_training(record), draw_training(replace(record, evaluations=[]))
    assert "var(--held-out)" in with_points
    assert "var(--held-out)" not in without_points
    reward_only = draw_training(replace(without(record), evaluations=[(0, record.evaluations[0][1])]))
    assert reward_only.count("var(--held-out)") < with_points.count("var(--held-out)")


def test_colours_are_those_of_the_page_and_text_stays_text(record: RunRecord) -> None:
    for svg in (draw_training(record), draw_timing(record)):
        assert svg is not None
        assert re.findall(r"#[0-9a-f]{6}\b", svg) == []
        assert "DejaVu" not in svg
        assert "seconds per step" in " ".join(texts(svg)).lower() or "Average reward" in texts(svg)


def test_the_same_run_gives_the_same_figures_without_ids_in_common(record: RunRecord) -> None:
    training, timing = draw_training(record), draw_timing(record)
    assert (training, timing) == (draw_training(record), draw_timing(record))
    assert timing is not None
    assert not set(re.findall(r'\bid="([^"]+)"', training)) & set(re.findall(r'\bid="([^"]+)"', timing))


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_a_run_of_few_steps_can_be_drawn(record: RunRecord, steps: int) -> None:
    short = replace(record, metrics=record.metrics[:steps])
    assert "Average reward" in texts(draw_training(short))
    assert (draw_timing(short) is None) == (steps == 0)
