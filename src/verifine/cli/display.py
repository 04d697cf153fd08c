"""The display of a run while it trains: live on a terminal, plain lines elsewhere, JSON Lines for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Protocol, Self, TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from verifine.insights.diagnosis.describe import describe_finding
from verifine.insights.findings import of_event
from verifine.insights.held_out import Interval, interval_of, pass_at, pass_interval
from verifine.insights.outcome import describe_duration, describe_interval
from verifine.insights.sparkline import sparkline
from verifine.preflight.events import CheckReported
from verifine.preflight.numbers import to_numbers
from verifine.preflight.words import describe_report
from verifine.runs.evaluations import Evaluation, Measure
from verifine.runs.events import (
    CheckpointDamaged,
    EvaluationDone,
    FetchProgress,
    FindingRaised,
    KernelsChanged,
    ListenerFailed,
    RunEvent,
    StageBegan,
    StepDone,
)
from verifine.runs.jsonl import finite
from verifine.types import Json, StepReport

SPARKLINE_WIDTH = 40
HEADER_EVERY = 40
"""Steps after which plain output repeats its header."""

_COLUMNS = (
    # name, metric, width, format
    ("reward", "reward", 8, "{:.2f}"),
    ("format", "format_accuracy", 8, "{:.2f}"),
    ("answer", "answer_accuracy", 8, "{:.2f}"),
    ("length", "completions/mean_length", 8, "{:.1f}"),
    ("all alike", "frac_reward_zero_std", 11, "{:.0%}"),
    ("all wrong", "groups/frac_all_wrong", 11, "{:.0%}"),
    ("entropy", "completions/entropy_estimate", 9, "{:.2f}"),
    ("seconds", "step_time", 9, "{:.1f}"),
)

_EVALUATED: Sequence[tuple[str, Measure]] = (
    ("right by the second grader", "second_answer"),
    ("second grader", "second_score"),
    ("answer", "answer"),
    ("format", "format"),
    ("reward", "reward"),
)

HEADER = " step" + "".join(name.rjust(width) for name, _, width, _ in _COLUMNS)


def step_line(report: StepReport) -> str:
    """A step's numbers under `HEADER`; missing ones are dashes."""
    cells = [
        (pattern.format(report.metrics[metric]) if metric in report.metrics else "-").rjust(width)
        for _, metric, width, pattern in _COLUMNS
    ]
    return f"{report.step:5d}" + "".join(cells)


def evaluation_line(evaluation: Evaluation) -> str:
    """`held-out   answer 0.28 (0.19 to 0.40)   format 1.00   reward 0.35   64 held-out problems, greedy`.

    With a second grader its number comes first, and with several answers to a problem pass@k after the others.
    """
    answers = evaluation.answers_each
    manner = "greedy" if answers <= 1 else f"{answers} answers each"
    parts = [
        f"{name} {value:.2f}{_in_brackets(interval_of(evaluation, measure) if measure != 'reward' else None)}"
        for name, measure in _EVALUATED
        if (value := evaluation.average(measure)) is not None
    ]
    passed = pass_at(evaluation, answers) if answers > 1 else None
    if passed is not None:
        parts.append(f"pass@{answers} {passed:.2f}{_in_brackets(pass_interval(evaluation, answers))}")
    return "   ".join([f"{evaluation.name:<10}", *parts, f"{len(evaluation.problems)} held-out problems, {manner}"])


def trouble_line(event: CheckpointDamaged | KernelsChanged | ListenerFailed) -> str:
    """What went wrong beside training, which continues."""
    match event:
        case KernelsChanged(before=before, now=now):
            changes = ", ".join(f"{name} {before[name]} before and {now[name]} now" for name in now)
            return f"! this session computes otherwise than the one before ({changes}), so the last bits may differ"
        case CheckpointDamaged(error=error):
            return f"! a damaged checkpoint is passed over: {error}"
        case ListenerFailed(error=error):
            return f"! a listener failed, and the run continues: {error}"


def _in_brackets(interval: Interval | None) -> str:
    return "" if interval is None else f" ({describe_interval(interval)})"


class Display(Protocol):
    """Shows a run: listens to its events, and prints text and the outcome."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...

    def __call__(self, event: RunEvent) -> None: ...

    def note(self, text: str) -> None:
        """Prints a line of text."""
        ...

    def done(self, row: Mapping[str, Json]) -> None:
        """Prints the run's outcome, for programs."""
        ...


class PlainDisplay:
    """One line a step, for pipes, files and logs."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._steps = 0
        self._last_text = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def note(self, text: str) -> None:
        print(text, file=self._stream, flush=True)

    def __call__(self, event: RunEvent) -> None:
        match event:
            case StageBegan(text=text):
                self._last_text = text
            case FetchProgress(text=text) if text != self._last_text:
                self._last_text = text
                self.note(f"{text} ...")
            case CheckReported(report=report):
                self.note(f"\n{describe_report(report)}\n")
            case EvaluationDone(evaluation=Evaluation() as evaluation):
                self.note(evaluation_line(evaluation))
            case StepDone(report=step):
                if self._steps % HEADER_EVERY == 0:
                    self.note(HEADER)
                self._steps += 1
                self.note(step_line(step))
            case FindingRaised():
                self.note(describe_finding(of_event(event)))
            case CheckpointDamaged() | KernelsChanged() | ListenerFailed():
                self.note(trouble_line(event))

    def done(self, row: Mapping[str, Json]) -> None: ...


class LiveDisplay:
    """Scrolling lines above a footer with the current stage, the reward so far and the time left."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, transient=True, refresh_per_second=4)
        self._rewards: list[float | None] = []

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def note(self, text: str) -> None:
        self._console.print(Text(text))

    def __call__(self, event: RunEvent) -> None:
        match event:
            case StageBegan(text=text) | FetchProgress(text=text, total_bytes=0):
                self._live.update(Text(f"{text} ...", style="dim"))
            case FetchProgress():
                self._live.update(_progress_line(event))
            case CheckReported(report=report):
                self.note(f"\n{describe_report(report)}\n")
            case EvaluationDone(evaluation=Evaluation() as evaluation):
                self._console.print(Text(evaluation_line(evaluation), style="bold"))
            case StepDone(report=step, eta_s=eta_s):
                self._show_step(step, eta_s)
            case FindingRaised():
                self._console.print(Text(describe_finding(of_event(event)), style="yellow"))
            case CheckpointDamaged() | KernelsChanged() | ListenerFailed():
                self._console.print(Text(trouble_line(event), style="yellow"))

    def _show_step(self, step: StepReport, eta_s: float | None) -> None:
        if not self._rewards:
            self._console.print(Text(HEADER, style="dim"))
        self._rewards.append(step.metrics.get("reward"))
        self._console.print(Text(step_line(step)))
        left = "" if eta_s is None else f"   about {describe_duration(eta_s)} left"
        self._live.update(Text(f"reward {sparkline(self._rewards, SPARKLINE_WIDTH)}{left}   Ctrl-C saves and stops"))

    def done(self, row: Mapping[str, Json]) -> None: ...


class JsonDisplay:
    """JSON Lines: one object a stage, evaluation and step, and the outcome at the end."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._last_text = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def note(self, text: str) -> None: ...

    def __call__(self, event: RunEvent) -> None:
        match event:
            case StageBegan(text=text):
                self._show_stage(text)
            case FetchProgress(text=text) if text != self._last_text:
                self._show_stage(text)
            case CheckReported(report=report):
                self._write({"type": "check", **to_numbers(report)})
            case EvaluationDone(name=name, numbers=numbers):
                self._write({"type": "evaluation", "name": name, **numbers})
            case StepDone(report=step, eta_s=eta_s):
                self._write({"type": "step", "step": step.step, "eta_s": eta_s, **step.metrics})
            case FindingRaised():
                self._write({"type": "finding", **event.row()})
            case CheckpointDamaged() | KernelsChanged() | ListenerFailed():
                self._write({"type": event.kind, **event.row()})

    def _show_stage(self, text: str) -> None:
        self._last_text = text
        self._write({"type": "stage", "text": text})

    def done(self, row: Mapping[str, Json]) -> None:
        self._write(row)

    def _write(self, row: Mapping[str, Json]) -> None:
        print(json.dumps(finite(row), allow_nan=False), file=self._stream, flush=True)


def _progress_line(event: FetchProgress) -> Text:
    filled = round(min(event.done_bytes / event.total_bytes, 1.0) * SPARKLINE_WIDTH)
    bar = "█" * filled + "░" * (SPARKLINE_WIDTH - filled)
    return Text(f"{event.text}  {bar}  {event.done_bytes / 1e6:.0f} of {event.total_bytes / 1e6:.0f} MB")


def make_display(stream: TextIO, *, as_json: bool) -> Display:
    """The display for the kind of output. NO_COLOR and TERM=dumb are honoured by rich."""
    if as_json:
        return JsonDisplay(stream)
    console = Console(file=stream, highlight=False)
    return LiveDisplay(console) if console.is_terminal and not console.is_dumb_terminal else PlainDisplay(stream)
