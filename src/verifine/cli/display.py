"""How a run looks while it goes on: live on a terminal, plain lines elsewhere, JSON Lines for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Protocol, Self, TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from verifine.insights.diagnosis.describe import describe_finding
from verifine.insights.findings import Finding, finding_numbers
from verifine.insights.held_out import Interval, evaluation_numbers, interval_of, pass_at, pass_interval
from verifine.insights.outcome import describe_duration, describe_interval
from verifine.insights.sparkline import sparkline
from verifine.preflight.numbers import to_numbers
from verifine.preflight.report import Report
from verifine.preflight.words import describe_report
from verifine.runs.evaluations import Evaluation, Measure
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
    ("no signal", "frac_reward_zero_std", 11, "{:.0%}"),
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
    """A step's numbers under `HEADER`; a number that the step does not have is a dash."""
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


def _in_brackets(interval: Interval | None) -> str:
    return "" if interval is None else f" ({describe_interval(interval)})"


class Display(Protocol):
    """Shows a run; a `launch.Observer` that can also be told things."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...

    def note(self, text: str) -> None:
        """A line of prose."""
        ...

    def stage(self, text: str) -> None: ...
    def progress(self, text: str, done: int, total: int) -> None: ...
    def checked(self, report: Report) -> None: ...
    def evaluated(self, evaluation: Evaluation) -> None: ...
    def stepped(self, report: StepReport, eta_s: float | None) -> None: ...
    def found(self, finding: Finding) -> None: ...

    def done(self, row: Mapping[str, Json]) -> None:
        """The run's outcome, for programs."""
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

    def stage(self, text: str) -> None:
        self._last_text = text

    def progress(self, text: str, done: int, total: int) -> None:  # noqa: ARG002 - a pipe wants no moving bar
        if text != self._last_text:
            self._last_text = text
            self.note(f"{text} ...")

    def checked(self, report: Report) -> None:
        self.note(f"\n{describe_report(report)}\n")

    def evaluated(self, evaluation: Evaluation) -> None:
        self.note(evaluation_line(evaluation))

    def stepped(self, report: StepReport, eta_s: float | None) -> None:  # noqa: ARG002 - a log wants no countdown
        if self._steps % HEADER_EVERY == 0:
            self.note(HEADER)
        self._steps += 1
        self.note(step_line(report))

    def found(self, finding: Finding) -> None:
        self.note(describe_finding(finding))

    def done(self, row: Mapping[str, Json]) -> None: ...


class LiveDisplay:
    """Lines that scroll, over a footer that says what is going on, how the reward runs and how long it will take."""

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

    def stage(self, text: str) -> None:
        self._live.update(Text(f"{text} ...", style="dim"))

    def progress(self, text: str, done: int, total: int) -> None:
        if total == 0:
            self.stage(text)
            return
        share = min(done / total, 1.0)
        filled = round(share * SPARKLINE_WIDTH)
        bar = "█" * filled + "░" * (SPARKLINE_WIDTH - filled)
        self._live.update(Text(f"{text}  {bar}  {done / 1e6:.0f} of {total / 1e6:.0f} MB"))

    def checked(self, report: Report) -> None:
        self.note(f"\n{describe_report(report)}\n")

    def evaluated(self, evaluation: Evaluation) -> None:
        self._console.print(Text(evaluation_line(evaluation), style="bold"))

    def stepped(self, report: StepReport, eta_s: float | None) -> None:
        if not self._rewards:
            self._console.print(Text(HEADER, style="dim"))
        self._rewards.append(report.metrics.get("reward"))
        self._console.print(Text(step_line(report)))
        left = "" if eta_s is None else f"   about {describe_duration(eta_s)} left"
        self._live.update(Text(f"reward {sparkline(self._rewards, SPARKLINE_WIDTH)}{left}   Ctrl-C saves and stops"))

    def found(self, finding: Finding) -> None:
        self._console.print(Text(describe_finding(finding), style="yellow"))

    def done(self, row: Mapping[str, Json]) -> None: ...


class JsonDisplay:
    """JSON Lines: one object a stage, evaluation and step, and at last the outcome."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._last_text = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def note(self, text: str) -> None: ...

    def stage(self, text: str) -> None:
        self._last_text = text
        self._write({"type": "stage", "text": text})

    def progress(self, text: str, done: int, total: int) -> None:  # noqa: ARG002 - the stage is enough
        if text != self._last_text:
            self.stage(text)

    def checked(self, report: Report) -> None:
        self._write({"type": "check", **to_numbers(report)})

    def evaluated(self, evaluation: Evaluation) -> None:
        self._write({"type": "evaluation", "name": evaluation.name, **evaluation_numbers(evaluation)})

    def stepped(self, report: StepReport, eta_s: float | None) -> None:
        self._write({"type": "step", "step": report.step, "eta_s": eta_s, **report.metrics})

    def found(self, finding: Finding) -> None:
        self._write({"type": "finding", **finding_numbers(finding)})

    def done(self, row: Mapping[str, Json]) -> None:
        self._write(row)

    def _write(self, row: Mapping[str, Json]) -> None:
        print(json.dumps(finite(row), allow_nan=False), file=self._stream, flush=True)


def make_display(stream: TextIO, *, as_json: bool) -> Display:
    """The display that fits where the output goes. NO_COLOR and TERM=dumb are honoured by rich."""
    if as_json:
        return JsonDisplay(stream)
    console = Console(file=stream, highlight=False)
    return LiveDisplay(console) if console.is_terminal and not console.is_dumb_terminal else PlainDisplay(stream)
