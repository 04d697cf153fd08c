"""The figure of `verifine grade test`: how often the scores of each bin were given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from verifine.insights.charts import INK, STYLE, place_panels
from verifine.insights.scores import Bins, Scores
from verifine.insights.theme import VARIANTS

_COLOURS = [colour.light for colour in VARIANTS.values()]
_FILLED = 0.86
"""The share of a bin's width that its bars take up."""


def draw_scores(title: str, series: Mapping[str, Scores]) -> Figure:
    """The series side by side in each bin; the legend says how many could not be scored."""
    bins = Bins.over(*series.values())
    with rc_context(STYLE):
        figure = Figure(figsize=(7.6, 3.8))
        axes = figure.add_subplot()
        width = _FILLED / len(series)
        for position, (name, scores) in enumerate(series.items()):
            left = [place - _FILLED / 2 + width * position for place in range(len(bins.ranges))]
            heights = bins.count(scores.scored)
            axes.bar(
                left, heights, width, align="edge", color=_COLOURS[position], linewidth=0, label=_label(name, scores)
            )
        _lay_out(axes, bins)
        place_panels(figure, below=0.26, beside=0.22)
        figure.suptitle(title, x=0.012, y=0.98, ha="left", va="top", fontsize=11, fontweight="bold")
        figure.legend(loc="lower left", ncols=len(series), frameon=False, labelcolor=INK, handlelength=1.0)
        return figure


def _lay_out(axes: Any, bins: Bins) -> None:
    """Labels the edges of the bins, between the bars; a bin for a single score is labelled under its bar."""
    is_one_score = len(set(bins.edges)) == 1
    places = [0.0] if is_one_score else [place - 0.5 for place in range(len(bins.edges))]
    axes.set_xticks(places, [f"{edge:.3g}" for edge in bins.edges[: len(places)]])
    axes.set_xlim(-0.6, max(1, len(bins.ranges)) - 0.4)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.set_xlabel("score")
    axes.set_ylabel("answers")


def _label(name: str, scores: Scores) -> str:
    mean = "" if scores.mean is None else f", mean {scores.mean:.2f}"
    unscorable = f", {scores.unscorable} unscorable" if scores.unscorable else ""
    return f"{name} ({scores.count}{mean}{unscorable})"
