"""The figure of benchmarks/learning.py: held-out accuracy over minutes."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from learning_curve import LearningCurve, Side, mean_curve, sides_of
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from verifine.insights.charts import MUTED, STYLE, WIDTH
from verifine.insights.inference import wilson_interval
from verifine.insights.outcome import pluralize
from verifine.insights.theme import VARIANTS

NAMES: Mapping[Side, str] = {"verifine": "Verifine", "trl": "TRL"}

_COLOURS: Mapping[Side, str] = {"verifine": VARIANTS["variant-1"].light, "trl": VARIANTS["variant-2"].light}

_HEIGHT = 4.6
_LEFT, _RIGHT, _ABOVE, _BELOW = 0.55, 1.65, 0.5, 1.2
"""Around the axes, in inches: tick labels, the names of the lines, the title, and the axis with the caption."""

_APART = 0.16
"""The least distance between the names of two lines, in accuracy."""


def draw_learning(curves: Sequence[LearningCurve]) -> Figure:
    """A bold line for the mean of each side's seeds, a faint one for each seed; lines are named at their ends."""
    sides = {side: [curve for curve in curves if curve.side == side] for side in sides_of(curves)}
    last_s = max(curve.held_out[-1].seconds for curve in curves)
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, _HEIGHT))
        width, height = WIDTH - _LEFT - _RIGHT, _HEIGHT - _ABOVE - _BELOW
        axes = figure.add_axes((_LEFT / WIDTH, _BELOW / _HEIGHT, width / WIDTH, height / _HEIGHT))
        for side, measured in sides.items():
            _draw_side(axes, side, measured)
        _name_lines(axes, sides, last_s / 60)
        axes.set_title("Held-out accuracy")
        axes.set_xlabel("minutes since the process began")
        axes.set_xlim(0, last_s / 60)
        axes.set_ylim(0, 1.0)
        axes.yaxis.set_major_locator(MultipleLocator(0.25))
        figure.text(
            0.012,
            0.06 / _HEIGHT,
            "\n".join(describe_figure(curves)),
            ha="left",
            va="bottom",
            fontsize=8.5,
            color=MUTED,
            linespacing=1.5,
        )
        return figure


def describe_figure(curves: Sequence[LearningCurve]) -> list[str]:
    """The lines of its caption."""
    first = curves[0]
    seeds = len({curve.seed for curve in curves})
    lines = f"Bold: the mean of {seeds} seeds; faint: each seed. " if seeds > 1 else ""
    precisions = " and ".join(sorted({curve.precision for curve in curves}))
    trl = f", TRL {version('trl')}" if "trl" in sides_of(curves) else ""
    return [
        f"{first.setup.model} learns the task {first.setup.task}: greedy answers to {first.setup.problems} held-out "
        "problems, asked off the clock.",
        f"{lines}Band: 95 % interval over the problems (Wilson).",
        f"{first.machine}{trl}, products in {precisions}.",
    ]


def _draw_side(axes: Any, side: Side, curves: Sequence[LearningCurve]) -> None:
    """Before training begins, a line is flat."""
    colour, problems = _COLOURS[side], curves[0].setup.problems
    for curve in curves if len(curves) > 1 else []:
        minutes, accuracies = _line(mean_curve([curve]))
        axes.plot(minutes, accuracies, color=colour, linewidth=0.9, alpha=0.45)
    minutes, accuracies = _line(mean_curve(curves))
    lows, highs = zip(*(wilson_interval(round(each * problems), problems) for each in accuracies), strict=True)
    axes.fill_between(minutes, lows, highs, color=colour, alpha=0.12, linewidth=0)
    axes.plot(
        minutes,
        accuracies,
        color=colour,
        linewidth=2.4,
        marker="o",
        markersize=5,
        markevery=slice(1, None),
        clip_on=False,
        zorder=5,
    )


def _line(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """Minutes and accuracies from the beginning of the process."""
    accuracies = [accuracy for _, accuracy in points]
    return [0.0, *(seconds / 60 for seconds, _ in points)], [accuracies[0], *accuracies]


def _name_lines(axes: Any, sides: Mapping[Side, Sequence[LearningCurve]], right: float) -> None:
    """At the right of the axes, each at the height where its line ends, but not closer than they can be read."""
    ends = sorted((mean_curve(curves)[-1][1], side) for side, curves in sides.items())
    lowest = 0.0
    for accuracy, side in ends:
        steps = round(statistics.fmean(len(curve.steps) for curve in sides[side]))
        place = {"xy": (right, max(accuracy, lowest)), "textcoords": "offset points", "annotation_clip": False}
        axes.annotate(
            f"{NAMES[side]}  {accuracy:.2f}",
            **place,
            xytext=(10, 1),
            va="bottom",
            color=_COLOURS[side],
            fontsize=12,
            fontweight="bold",
        )
        axes.annotate(f"after {pluralize(steps, 'step')}", **place, xytext=(10, -2), va="top", color=MUTED)
        lowest = max(accuracy, lowest) + _APART
