"""The figure of a comparison: a line for each variant, the range of its runs, and their held-out results."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from verifine.insights.charts import INK, MUTED, ROW_HEIGHT, RULE, STYLE, WIDTH, add_panels, finish, place_panels
from verifine.insights.comparison.curves import Curve
from verifine.insights.comparison.results import BeforeAfter, Source
from verifine.insights.comparison.run_comparison import RunComparison
from verifine.insights.outcome import pluralize
from verifine.insights.panels import PANELS, REWARD, Panel
from verifine.insights.smoothing import SMOOTHING
from verifine.insights.theme import VARIANTS

_COLOURS = [colour.light for colour in VARIANTS.values()]
_MARKERS = "osD^vPX"
"""Their number has no divisor in common with that of the colours, so that 63 variants look different."""

_SLOT, _WIDEST_STRIP = 0.045, 0.3
"""The distance between held-out points, and the widest strip for all, as shares of the axis of steps."""

_SOURCES = {Source.SEEDS: "Student's t over seeds", Source.PROBLEMS: "Wilson or bootstrap over problems"}
_MARKERS_PER_LINE = 5
_LEGEND_WIDTH = 110
"""In letters."""

_LEGEND_ROW, _CAPTION_LINE, _TEXT_PAD = 0.22, 0.18, 0.16
"""The heights of a row of the legend and of a line of the caption, and what each has around it, in inches."""


def draw_comparison(comparison: RunComparison) -> Figure:
    """Reward, length and, where the grader judges them, the two accuracies."""
    panels = [panel for panel in PANELS if not panel.is_optional or _is_judged(comparison, panel)]
    evaluated = [panel for panel in panels if panel.is_share] or [REWARD]
    caption = describe_figure(comparison)
    names = [f"{entry.variant.name} ({pluralize(entry.result.runs, 'run')})" for entry in comparison.entries]
    columns = max(1, min(len(names), _LEGEND_WIDTH // (max(map(len, names)) + 8)))
    legend_height = _LEGEND_ROW * math.ceil(len(names) / columns) + _TEXT_PAD
    caption_height = _CAPTION_LINE * len(caption) + _TEXT_PAD
    with rc_context(STYLE):
        height = legend_height + ROW_HEIGHT * ((len(panels) + 1) // 2) + caption_height
        figure = Figure(figsize=(WIDTH, height))
        for axes, panel in zip(add_panels(figure, len(panels)), panels, strict=True):
            _draw_panel(axes, panel, comparison)
            if panel in evaluated:
                _draw_held_out(axes, [entry.result.moves[panel.metric] for entry in comparison.entries])
        place_panels(figure, above=legend_height, below=caption_height)
        _add_legend(figure, names, columns)
        figure.supxlabel(
            "\n".join(caption),
            x=0.012,
            y=0.06 / height,
            ha="left",
            va="bottom",
            fontsize=8.5,
            color=MUTED,
            linespacing=1.5,
        )
        return figure


def describe_figure(comparison: RunComparison) -> list[str]:
    """How to read the figure: the lines of its caption."""
    entries = comparison.entries
    curves = [curve for entry in entries for curve in entry.curves.values()]
    line = f"Line: running mean of each run (weight of the past {SMOOTHING:g})"
    if any(len(entry.variant.runs) > 1 for entry in entries):
        lines = [f"{line}, averaged over the runs. Band: lowest run to highest."]
    else:
        lines = [f"{line}."]
    if any(point.step > curve.common_until for curve in curves for point in curve.points):
        lines.append("Dashed: beyond the end of the variant's shortest run; the mean of the longer ones.")
    sources = {move.interval.source for entry in entries for move in entry.result.moves.values() if move.interval}
    if sources:
        named = " or ".join(_SOURCES[source] for source in Source if source in sources)
        lines.append(f"Points at the right: held-out problems after training, with 95 % interval ({named}).")
    return lines


def _is_judged(comparison: RunComparison, panel: Panel) -> bool:
    return any(
        panel.metric in entry.curves
        or (panel.measure is not None and entry.result.moves[panel.metric].after is not None)
        for entry in comparison.entries
    )


def _draw_panel(axes: Any, panel: Panel, comparison: RunComparison) -> None:
    last = max(int(entry.result.steps.high) for entry in comparison.entries)
    for position, entry in enumerate(comparison.entries):
        curve = entry.curves.get(panel.metric)
        if curve is not None:
            _draw_curve(axes, curve, position, last)
    if panel.is_share:
        axes.set_ylim(-0.02, 1.04)
    elif panel is not REWARD:
        axes.set_ylim(bottom=0)
    finish(axes, panel.title, last)


def _draw_curve(axes: Any, curve: Curve, position: int, last: int) -> None:
    steps = [point.step for point in curve.points]
    means = [point.mean for point in curve.points]
    colour = _colour(position)
    if max(point.runs for point in curve.points) > 1:
        lows, highs = [point.low for point in curve.points], [point.high for point in curve.points]
        axes.fill_between(steps, lows, highs, color=colour, alpha=0.16, linewidth=0)
    common = sum(step <= curve.common_until for step in steps)
    axes.plot(steps[:common], means[:common], color=colour, linewidth=2.0)
    if common < len(steps):
        start = max(0, common - 1)
        axes.plot(steps[start:], means[start:], color=colour, linewidth=2.0, linestyle=(0, (2.5, 2)))
    marked = _marked(steps, position, last)
    x, y = [steps[index] for index in marked], [means[index] for index in marked]
    axes.plot(x, y, color=colour, marker=_marker(position), markersize=4.5, linestyle="none")


def _marked(steps: Sequence[int], position: int, last: int) -> list[int]:
    """The points of a curve that get a marker: a few, at other steps than those of other variants."""
    gap = max(1, last // _MARKERS_PER_LINE)
    first = gap // 2 + position * gap // 3
    return [index for index, step in enumerate(steps) if step % gap == first % gap] or [len(steps) - 1]


def _draw_held_out(axes: Any, moves: Sequence[BeforeAfter]) -> None:
    """A strip at the right of a finished panel, with a place for each variant."""
    if all(move.after is None for move in moves):
        return
    ticks, last = axes.get_xticks(), axes.get_xlim()[1]
    slot = last * min(_SLOT, _WIDEST_STRIP / len(moves))
    for position, move in enumerate(moves):
        if move.after is not None:
            _draw_point(axes, last + slot * (position + 0.75), move.after, move, position)
    axes.axvline(last, color=RULE, linewidth=0.9)
    axes.set_xlim(right=last + slot * (len(moves) + 0.25))
    axes.set_xticks([tick for tick in ticks if 0 <= tick <= last])
    axes.set_title("held-out", loc="right", fontsize=8, color=MUTED, fontweight="normal")


def _draw_point(axes: Any, x: float, value: float, move: BeforeAfter, position: int) -> None:
    interval = move.interval
    axes.errorbar(
        [x],
        [value],
        yerr=[[max(0.0, value - interval.low)], [max(0.0, interval.high - value)]] if interval else None,
        color=_colour(position),
        marker=_marker(position),
        markersize=5.5,
        elinewidth=1.4,
        capsize=2.5,
        clip_on=False,
        zorder=5,
    )


def _add_legend(figure: Figure, names: Sequence[str], columns: int) -> None:
    handles = [
        Line2D([], [], color=_colour(position), marker=_marker(position), markersize=5.5, linewidth=2.0)
        for position in range(len(names))
    ]
    figure.legend(
        handles,
        names,
        loc="upper left",
        ncols=columns,
        frameon=False,
        fontsize=10,
        labelcolor=INK,
        handlelength=2.4,
        columnspacing=2.2,
        borderpad=0.6,
    )


def _colour(position: int) -> str:
    return _COLOURS[position % len(_COLOURS)]


def _marker(position: int) -> str:
    return _MARKERS[position % len(_MARKERS)]
