from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest

from verifine.insights.plots import draw_signal, draw_timing, draw_training
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


@pytest.mark.slow
def test_held_out_points_have_error_bars_on_accuracies_only(record: RunRecord) -> None:
    with_points, without_points = draw_training(record), draw_training(replace(record, evaluations=[]))
    assert "var(--held-out)" in with_points
    assert "var(--held-out)" not in without_points
    reward_only = draw_training(replace(without(record), evaluations=[(0, record.evaluations[0][1])]))
    assert reward_only.count("var(--held-out)") < with_points.count("var(--held-out)")


def test_colours_are_those_of_the_page_and_text_stays_text(record: RunRecord) -> None:
    for svg in (draw_training(record), draw_signal(record), draw_timing(record)):
        assert svg is not None
        assert re.findall(r"#[0-9a-f]{6}\b", svg) == []
        assert "DejaVu" not in svg
        assert {"Seconds per step", "Average reward", "Groups (share)"} & set(texts(svg))


def test_the_same_run_gives_the_same_figures_without_ids_in_common(record: RunRecord) -> None:
    figures = [draw_training(record), draw_signal(record), draw_timing(record)]
    assert figures == [draw_training(record), draw_signal(record), draw_timing(record)]
    ids = [name for svg in figures for name in set(re.findall(r'\bid="([^"]+)"', svg or ""))]
    assert ids
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_a_run_of_few_steps_can_be_drawn(record: RunRecord, steps: int) -> None:
    short = replace(record, metrics=record.metrics[:steps])
    assert "Average reward" in texts(draw_training(short))
    assert (draw_timing(short) is None) == (draw_signal(short) is None) == (steps == 0)


def test_groups_are_three_areas_that_fill_the_panel_and_a_dashed_line(record: RunRecord) -> None:
    svg = draw_signal(record)
    assert svg is not None
    assert {"Groups (share)", "Entropy of an answer (nats)"} <= set(texts(svg))
    areas = re.findall(r'\bd="([^"]*)"[^>]*style="fill: var\(--(train|won|lost)\)', svg)
    assert [colour for _, colour in areas] == ["train", "won", "lost"]
    heights = [[float(y) for y in re.findall(r"[ML] [\d.]+ ([\d.]+)", path)] for path, _ in areas]
    bottom, top = max(heights[0]), min(heights[2])
    upper_edges = [(bottom - each[0]) / (bottom - top) for each in heights]
    mixed, right = (record.metrics[0].metrics[f"groups/frac_{kind}"] for kind in ("mixed", "all_right"))
    assert upper_edges == pytest.approx([mixed, mixed + right, 1], abs=1e-3)
    assert svg.count("stroke-dasharray: 5") == 1


def test_a_run_without_shares_of_groups_has_no_figure_of_them(record: RunRecord) -> None:
    assert draw_signal(without(record, "groups/frac_mixed")) is None


def test_where_it_is_not_known_what_is_right_only_mixed_groups_are_an_area(record: RunRecord) -> None:
    svg = draw_signal(without(record, "groups/frac_all_right", "groups/frac_all_wrong"))
    assert svg is not None
    assert re.findall(r'style="fill: var\(--(train|won|lost)\)', svg) == ["train"]


def test_steps_without_a_scored_answer_are_left_out_of_the_areas(record: RunRecord) -> None:
    names = [name for name in record.metrics[0].metrics if name.startswith("groups/")]
    gap = without(replace(record, metrics=record.metrics[9:20]), *names).metrics
    assert draw_signal(replace(record, metrics=[*record.metrics[:9], *gap, *record.metrics[20:]])) is not None
