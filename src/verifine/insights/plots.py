"""The figures of the report."""

from __future__ import annotations

from typing import Any

from matplotlib import rc_context
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from verifine.insights.charts import (
    INK,
    LARGEST,
    ROW_HEIGHT,
    STYLE,
    WIDTH,
    add_panels,
    finish,
    numbers,
    place_panels,
    to_inline_svg,
    to_png,
)
from verifine.insights.panels import PANELS, REWARD, Panel
from verifine.insights.smoothing import smoothed
from verifine.insights.theme import PHASES, THEME
from verifine.runs.evaluations import Evaluation
from verifine.runs.record import RunRecord

_TRAIN, _HELD_OUT = THEME["train"].light, THEME["held-out"].light

_MIXED = "groups/frac_mixed"
_SHARES = {
    _MIXED: to_rgba(THEME["train"].light, 0.85),
    "groups/frac_all_right": to_rgba(THEME["won"].light, 0.3),
    "groups/frac_all_wrong": to_rgba(THEME["lost"].light, 0.75),
}
"""Their colours, of which the green is pale, so that everybody can tell it from the red."""

CARD_DPI = 110
"""Sharp in the column of a page on the hub, in about 60 kB."""

_ENTROPY = "completions/entropy_estimate"


def draw_training(record: RunRecord) -> str:
    """Reward, length and, where the grader judges them, the two accuracies: by step, and on held-out problems."""
    panels = _known_panels(record)
    with rc_context(STYLE):
        label = "Curves of the run: " + ", ".join(panel.title for panel in panels)
        return to_inline_svg(_draw_panels(panels, record), "training", label)


def draw_training_png(record: RunRecord) -> bytes:
    """As `draw_training`, in a file of its own on white."""
    with rc_context(STYLE):
        return to_png(_draw_panels(_known_panels(record), record), CARD_DPI)


def _known_panels(record: RunRecord) -> list[Panel]:
    return [panel for panel in PANELS if not panel.is_optional or panel.is_judged(record)]


def _draw_panels(panels: list[Panel], record: RunRecord) -> Figure:
    figure = Figure(figsize=(WIDTH, ROW_HEIGHT * ((len(panels) + 1) // 2)))
    for axes, panel in zip(add_panels(figure, len(panels)), panels, strict=True):
        _draw_panel(axes, panel, record)
    place_panels(figure)
    return figure


def draw_signal(record: RunRecord) -> str | None:
    """How the groups of each step came out, and the entropy of an answer; None: no step says so."""
    if not any(_MIXED in report.metrics for report in record.metrics):
        return None
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, ROW_HEIGHT))
        groups, entropy = add_panels(figure, 2)
        _draw_groups(groups, record)
        _draw_curve(entropy, record, _ENTROPY)
        entropy.set_ylim(bottom=0)
        finish(entropy, "Entropy of an answer (nats)", _last_step(record))
        place_panels(figure)
        return to_inline_svg(figure, "signal", "Shares of groups that are mixed, all right and all wrong; entropy")


def draw_timing(record: RunRecord) -> str | None:
    """The time of each step by phase; None before the first step."""
    if not record.metrics:
        return None
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 2.4))
        (seconds,) = add_panels(figure, 1)
        steps = _steps(record)
        bottom = [0.0] * len(steps)
        for phase, colour in PHASES.items():
            heights = [value or 0.0 for value in record.series(f"timing/{phase}_s")]
            seconds.bar(steps, heights, bottom=bottom, width=0.85, color=colour.light, linewidth=0)
            bottom = [low + height for low, height in zip(bottom, heights, strict=True)]
        finish(seconds, "Seconds per step", _last_step(record))
        place_panels(figure)
        return to_inline_svg(figure, "timing", "Seconds per step by phase")


def _draw_groups(axes: Any, record: RunRecord) -> None:
    """Mixed groups at the bottom, so that their share can be compared with the expected one."""
    told = [report for report in record.metrics if _MIXED in report.metrics]
    steps = [told[0].step - 0.5, *(report.step for report in told), told[-1].step + 0.5]

    def curve(name: str) -> list[float]:
        values = numbers(smoothed([report.metrics.get(name) for report in told]))
        return [values[0], *values, values[-1]]

    axes.stackplot(steps, *map(curve, _SHARES), colors=[*_SHARES.values()], linewidth=0)
    axes.plot(steps, curve(f"{_MIXED}_expected"), color=INK, linewidth=1.4, linestyle=(0, (4, 2)))
    axes.set_ylim(0, 1)
    finish(axes, "Groups (share)", _last_step(record))


def _draw_panel(axes: Any, panel: Panel, record: RunRecord) -> None:
    _draw_curve(axes, record, panel.metric)
    for step, evaluation in record.evaluations:
        _draw_evaluation(axes, panel, step, evaluation)
    if panel.is_share:
        axes.set_ylim(-0.02, 1.04)
    elif panel is not REWARD:
        axes.set_ylim(bottom=0)
    finish(axes, panel.title, _last_step(record))


def _draw_curve(axes: Any, record: RunRecord, metric: str) -> None:
    values, steps = record.series(metric), _steps(record)
    axes.plot(steps, numbers(values), color=_TRAIN, linewidth=0.9, alpha=0.4)
    is_single = sum(value is not None for value in values) == 1
    marker = {"marker": "o", "markersize": 4} if is_single else {}
    axes.plot(steps, numbers(smoothed(values)), color=_TRAIN, linewidth=2.2, **marker)


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
