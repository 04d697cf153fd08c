from __future__ import annotations

from collections.abc import Mapping

import pytest

from verifine.insights.charts import to_png
from verifine.insights.score_plot import draw_scores
from verifine.insights.scores import Scores, collect_scores
from verifine.types import Grade


def series(**values: list[float | None]) -> Mapping[str, Scores]:
    return {
        name: collect_scores(Grade(score=score) if score is not None else Grade.unscorable("no") for score in scores)
        for name, scores in values.items()
    }


def test_every_series_has_a_bar_in_every_bin_as_high_as_its_count() -> None:
    figure = draw_scores("title", series(new=[0.0, 1.0, 1.0, None], old=[0.5]))
    (axes,) = figure.axes
    heights = [[bar.get_height() for bar in container] for container in axes.containers]
    assert heights == [[1, 0, 0, 0, 0, 0, 0, 0, 0, 2], [0, 0, 0, 0, 0, 1, 0, 0, 0, 0]]
    assert [text.get_text() for text in axes.get_xticklabels()][::5] == ["0", "0.5", "1"]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "new (4, mean 0.67, 1 unscorable)",
        "old (1, mean 0.50)",
    ]


@pytest.mark.parametrize("scores", [[0.25, 0.25], [None, None], [-1e300, 1e300]])
def test_scores_of_any_kind_become_a_png(scores: list[float | None]) -> None:
    assert to_png(draw_scores("title", series(only=scores))).startswith(b"\x89PNG")
