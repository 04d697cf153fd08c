"""The figures of the report, as SVG to stand inside a page.

Colours are stand-ins that become the page's CSS variables, so one figure suits a light and a dark page; the text stays
text, so it can be searched and takes the page's font.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator

from verifine.runs.evaluation import Evaluation, Judgement
from verifine.runs.record import RunRecord

SMOOTHING = 0.8
"""How much of the thick line's last value stays in its next."""

_INK, _MUTED, _RULE, _TRAIN, _HELD_OUT = "#101010", "#707070", "#d0d0d0", "#1060c0", "#c05010"
_PHASES = {"generate": "#104080", "grade": "#c09010", "estimate": "#60a0e0", "update": "#108060"}
_VARIABLES: Mapping[str, str] = {
    _INK: "var(--ink)",
    _MUTED: "var(--muted)",
    _RULE: "var(--rule)",
    _TRAIN: "var(--train)",
    _HELD_OUT: "var(--held-out)",
    **{colour: f"var(--{phase})" for phase, colour in _PHASES.items()},
}
_STYLE = {
    "font.size": 9.5,
    "svg.fonttype": "none",
    "text.color": _INK,
    "axes.edgecolor": _RULE,
    "axes.labelcolor": _MUTED,
    "axes.titlecolor": _INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlepad": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": _RULE,
    "grid.linewidth": 0.6,
    "xtick.color": _MUTED,
    "ytick.color": _MUTED,
    "ytick.major.size": 0,
    "lines.solid_capstyle": "round",
    "lines.solid_joinstyle": "round",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Panel:
    """One chart: a metric of the steps, and what evaluations say of the same thing."""

    title: str
    metric: str
    judgement: Judgement | None = None
    """The accuracy that evaluations have of it; None: not an accuracy."""


_PANELS = (
    _Panel(title="Average reward", metric="reward"),
    _Panel(title="Response length (tokens)", metric="completions/mean_length"),
    _Panel(title="Format accuracy", metric="format_accuracy", judgement="format"),
    _Panel(title="Answer accuracy", metric="answer_accuracy", judgement="answer"),
)


def draw_training(record: RunRecord) -> str:
    """Reward, length and, where the grader judges them, the two accuracies: by step, and on held-out problems."""
    panels = [panel for panel in _PANELS if panel.judgement is None or _is_judged(record, panel)]
    with rc_context(_STYLE):
        figure = Figure(figsize=(9.2, 3.0 * ((len(panels) + 1) // 2)), layout=_layout())
        for position, panel in enumerate(panels, start=1):
            axes = figure.add_subplot((len(panels) + 1) // 2, 2, position)
            _draw_panel(axes, panel, record)
        return _to_svg(figure, "training", "Curves of the run: " + ", ".join(panel.title for panel in panels))


def draw_timing(record: RunRecord) -> str | None:
    """Where the time of each step went, and which share of its groups taught nothing; None before the first step."""
    if not record.metrics:
        return None
    with rc_context(_STYLE):
        figure = Figure(figsize=(9.2, 2.8), layout=_layout())
        seconds, signal = figure.subplots(1, 2)
        steps = _steps(record)
        bottom = [0.0] * len(steps)
        for phase, colour in _PHASES.items():
            heights = [value or 0.0 for value in record.series(f"timing/{phase}_s")]
            seconds.bar(steps, heights, bottom=bottom, width=0.85, color=colour, linewidth=0)
            bottom = [low + height for low, height in zip(bottom, heights, strict=True)]
        _finish(seconds, "Seconds per step", record)
        shares = _numbers(record.series("frac_reward_zero_std"))
        signal.bar(steps, shares, width=0.85, color=_MUTED, alpha=0.7, linewidth=0)
        signal.set_ylim(0, 1.02)
        _finish(signal, "Groups without signal (share)", record)
        return _to_svg(figure, "timing", "Seconds per step by phase, and the share of groups without signal")


def smoothed(values: Sequence[float | None], weight: float = SMOOTHING) -> list[float | None]:
    """A running mean in which the past fades by `weight` a step; the first value counts in full. Gaps stay gaps."""
    result: list[float | None] = []
    total = mass = 0.0
    for value in values:
        if value is None:
            result.append(None)
            continue
        total, mass = weight * total + value, weight * mass + 1
        result.append(total / mass)
    return result


def _draw_panel(axes: Any, panel: _Panel, record: RunRecord) -> None:
    values = record.series(panel.metric)
    steps = _steps(record)
    axes.plot(steps, _numbers(values), color=_TRAIN, linewidth=0.9, alpha=0.4)
    is_single = sum(value is not None for value in values) == 1
    marker = {"marker": "o", "markersize": 4} if is_single else {}
    axes.plot(steps, _numbers(smoothed(values)), color=_TRAIN, linewidth=2.2, **marker)
    for step, evaluation in record.evaluations:
        _draw_evaluation(axes, panel, step, evaluation)
    if panel.judgement is not None:
        axes.set_ylim(-0.02, 1.04)
    elif panel.metric != "reward":
        axes.set_ylim(bottom=0)
    _finish(axes, panel.title, record)


def _draw_evaluation(axes: Any, panel: _Panel, step: int, evaluation: Evaluation) -> None:
    interval = evaluation.interval(panel.judgement) if panel.judgement else None
    value = _evaluated(evaluation, panel)
    if value is None:
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


def _evaluated(evaluation: Evaluation, panel: _Panel) -> float | None:
    if panel.judgement == "answer":
        return evaluation.answer_accuracy
    if panel.judgement == "format":
        return evaluation.format_accuracy
    return evaluation.reward if panel.metric == "reward" else None


def _is_judged(record: RunRecord, panel: _Panel) -> bool:
    evaluated = (_evaluated(evaluation, panel) for _, evaluation in record.evaluations)
    return any(value is not None for value in (*record.series(panel.metric), *evaluated))


def _finish(axes: Any, title: str, record: RunRecord) -> None:
    axes.set_title(title)
    axes.set_xlabel("step")
    last = max([1, record.steps, *(step for step, _ in record.evaluations)])
    axes.set_xlim(-0.02 * last, 1.02 * last)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]))


def _layout() -> ConstrainedLayoutEngine:
    return ConstrainedLayoutEngine(hspace=0.09, wspace=0.06)


def _steps(record: RunRecord) -> list[int]:
    return [report.step for report in record.metrics]


def _numbers(values: Sequence[float | None]) -> list[float]:
    return [float("nan") if value is None else value for value in values]


def _to_svg(figure: Figure, name: str, label: str) -> str:
    with rc_context({"svg.hashsalt": name}):  # fixed, so that the same run gives the same file
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)  # two figures in one page must not share ids, and none of these is used
    svg = re.sub(r"#[0-9a-f]{6}\b", lambda colour: _VARIABLES.get(colour[0], colour[0]), svg)
    svg = re.sub(r"'DejaVu Sans'[^;\"]*", "system-ui, sans-serif", svg)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
