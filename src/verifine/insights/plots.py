"""The figures of the report."""

from __future__ import annotations

from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from verifine.insights.charts import (
    LARGEST,
    MUTED,
    ROW_HEIGHT,
    STYLE,
    WIDTH,
    add_panels,
    finish,
    numbers,
    place_panels,
    to_inline_svg,
)
from verifine.insights.panels import PANELS, REWARD, Panel
from verifine.insights.smoothing import smoothed
from verifine.insights.theme import PHASES, THEME
from verifine.runs.evaluations import Evaluation
from verifine.runs.record import RunRecord

_TRAIN, _HELD_OUT = THEME["train"].light, THEME["held-out"].light


def draw_training(record: RunRecord) -> str:
    """Reward, length and, where the grader judges them, the two accuracies: by step, and on held-out problems."""
    panels = [panel for panel in PANELS if not panel.is_share or panel.is_judged(record)]
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, ROW_HEIGHT * ((len(panels) + 1) // 2)))
        for axes, panel in zip(add_panels(figure, len(panels)), panels, strict=True):
            _draw_panel(axes, panel, record)
        place_panels(figure)
        return to_inline_svg(figure, "training", "Curves of the run: " + ", ".join(panel.title for panel in panels))


def draw_timing(record: RunRecord) -> str | None:
    """The time of each step by phase, and the share of its groups without signal; None before the first step."""
    if not record.metrics:
        return None
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 2.8))
        seconds, signal = add_panels(figure, 2)
        steps = _steps(record)
        bottom = [0.0] * len(steps)
        for phase, colour in PHASES.items():
            heights = [value or 0.0 for value in record.series(f"timing/{phase}_s")]
            seconds.bar(steps, heights, bottom=bottom, width=0.85, color=colour.light, linewidth=0)
            bottom = [low + height for low, height in zip(bottom, heights, strict=True)]
        finish(seconds, "Seconds per step", _last_step(record))
        shares = numbers(record.series("frac_reward_zero_std"))
        signal.bar(steps, shares, width=0.85, color=MUTED, alpha=0.7, linewidth=0)
        signal.set_ylim(0, 1.02)
        finish(signal, "Groups without signal (share)", _last_step(record))
        place_panels(figure)
        return to_inline_svg(figure, "timing", "Seconds per step by phase, and the share of groups without signal")


def _draw_panel(axes: Any, panel: Panel, record: RunRecord) -> None:
    values = record.series(panel.metric)
    steps = _steps(record)
    axes.plot(steps, numbers(values), color=_TRAIN, linewidth=0.9, alpha=0.4)
    is_single = sum(value is not None for value in values) == 1
    marker = {"marker": "o", "markersize": 4} if is_single else {}
    axes.plot(steps, numbers(smoothed(values)), color=_TRAIN, linewidth=2.2, **marker)
    for step, evaluation in record.evaluations:
        _draw_evaluation(axes, panel, step, evaluation)
    if panel.is_share:
        axes.set_ylim(-0.02, 1.04)
    elif panel is not REWARD:
        axes.set_ylim(bottom=0)
    finish(axes, panel.title, _last_step(record))


def _draw_evaluation(axes: Any, panel: Panel, step: int, evaluation: Evaluation) -> None:
    interval, value = panel.interval(evaluation), panel.evaluated(evaluation)
    if value is None or abs(value) > LARGEST:
        return
    below, above = (value - interval[0], interval[1] - value) if interval else (0.0, 0.0)
    axes.errorbar(
        [step],
        [value],
        yerr=[[max(0.0, below)], [max(0.0, above)]] if interval else None,
        color=_HELD_OUT,
        marker="o",
        markersize=5.5,
        elinewidth=1.4,
        capsize=3,
        clip_on=False,
        zorder=5,
    )


def _steps(record: RunRecord) -> list[int]:
    return [report.step for report in record.metrics]


def _last_step(record: RunRecord) -> int:
    return max([1, record.steps, *(step for step, _ in record.evaluations)])
