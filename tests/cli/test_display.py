from __future__ import annotations

import io
import json
import math
import re
from dataclasses import replace

import pytest
from rich.console import Console

from verifine.cli.display import (
    HEADER,
    HEADER_EVERY,
    Display,
    JsonDisplay,
    LiveDisplay,
    PlainDisplay,
    evaluation_line,
    make_display,
    step_line,
    trouble_line,
)
from verifine.insights.held_out import evaluation_numbers
from verifine.runs.evaluations import EvaluatedSample, Evaluation
from verifine.runs.events import EvaluationDone, FetchProgress, KernelsChanged, StageBegan, StepDone
from verifine.types import StepReport

REPORT = StepReport(
    step=12,
    metrics={
        "reward": 0.525,
        "format_accuracy": 1.0,
        "answer_accuracy": 0.25,
        "completions/mean_length": 14.25,
        "frac_reward_zero_std": 0.375,
        "groups/frac_all_wrong": 0.25,
        "completions/entropy_estimate": 4.128,
        "step_time": 3.14,
    },
)
BARE = StepReport(step=1, metrics={"reward": 0.5})


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def make_evaluation(right: int, total: int, *, is_judged: bool = True) -> Evaluation:
    samples = (
        EvaluatedSample(
            prompt_id=str(number),
            prompt="",
            text="",
            score=float(number < right),
            format_ok=None,
            answer_ok=number < right if is_judged else None,
        )
        for number in range(total)
    )
    return Evaluation(name="baseline", samples=tuple(samples))


def evaluation_done(evaluation: Evaluation) -> EvaluationDone:
    return EvaluationDone(name=evaluation.name, numbers=evaluation_numbers(evaluation), evaluation=evaluation)


def show_everything(display: Display) -> None:
    with display:
        display.note("a note about [bold]models[/bold]")
        display(StageBegan(text="loading the model"))
        display(FetchProgress(text="fetching", done_bytes=5_000_000, total_bytes=100_000_000))
        display(FetchProgress(text="fetching", done_bytes=100_000_000, total_bytes=100_000_000))
        display(FetchProgress(text="fetching more", done_bytes=3, total_bytes=0))
        display(evaluation_done(make_evaluation(32, 64)))
        display(StepDone(report=BARE, eta_s=None))
        display(StepDone(report=REPORT, eta_s=75.0))
        display.done({"type": "done", "steps": 2})


def shown_live(width: int = 120) -> str:
    stream = Terminal()
    show_everything(LiveDisplay(Console(file=stream, force_terminal=True, width=width, color_system="truecolor")))
    return stream.getvalue()


def test_a_step_stands_under_its_header() -> None:
    assert HEADER == " step  reward  format  answer  length  all alike  all wrong  entropy  seconds"
    assert step_line(REPORT) == "   12    0.53    1.00    0.25    14.2        38%        25%     4.13      3.1"
    assert len(step_line(REPORT)) == len(HEADER)


def test_what_a_step_does_not_measure_is_a_dash() -> None:
    assert step_line(BARE).split() == ["1", "0.50", "-", "-", "-", "-", "-", "-", "-"]
    assert len(step_line(BARE)) == len(HEADER)


def test_an_evaluation_is_a_line_with_its_interval() -> None:
    assert evaluation_line(make_evaluation(32, 64)) == (
        "baseline     answer 0.50 (0.38 to 0.62)   reward 0.50   64 held-out problems, greedy"
    )
    assert "answer" not in evaluation_line(make_evaluation(1, 2, is_judged=False))


def test_an_evaluation_with_a_second_grader_and_several_answers_says_so() -> None:
    judged = make_evaluation(3, 4)
    samples = [
        replace(sample, sample=place, second_score=0.25, passed=sample.answer_ok and place == 0)
        for sample in judged.samples
        for place in (0, 1)
    ]
    line = evaluation_line(replace(judged, samples=tuple(samples), temperature=1.0))
    assert re.split("   +", line) == [
        "baseline",
        "second grader 0.25",
        "answer 0.75 (0.30 to 0.95)",
        "reward 0.75",
        "pass@2 0.75 (0.30 to 0.95)",
        "4 held-out problems, 2 answers each",
    ]


def test_plain_output_is_lines_without_control_characters() -> None:
    stream = io.StringIO()
    show_everything(PlainDisplay(stream))
    lines = stream.getvalue().splitlines()
    assert re.search(r"[\x00-\x09\x0b-\x1f]", stream.getvalue()) is None
    assert lines[0] == "a note about [bold]models[/bold]"
    assert lines.count("fetching ...") == 1
    assert lines[-3:] == [HEADER, step_line(BARE), step_line(REPORT)]


def test_plain_output_repeats_its_header_rarely() -> None:
    stream = io.StringIO()
    display = PlainDisplay(stream)
    for step in range(1, HEADER_EVERY + 2):
        display(StepDone(report=StepReport(step=step, metrics={}), eta_s=None))
    lines = stream.getvalue().splitlines()
    assert [number for number, line in enumerate(lines) if line == HEADER] == [0, HEADER_EVERY + 1]


def test_json_output_is_one_object_a_line_and_nothing_else() -> None:
    stream = io.StringIO()
    show_everything(JsonDisplay(stream))
    rows = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [row["type"] for row in rows] == ["stage", "stage", "stage", "evaluation", "step", "step", "done"]
    assert rows[3]["answer_accuracy"] == 0.5
    assert rows[4] == {"type": "step", "step": 1, "eta_s": None, "reward": 0.5}
    assert rows[5]["completions/mean_length"] == 14.25
    assert rows[6] == {"type": "done", "steps": 2}


def test_json_output_has_null_for_a_number_that_is_not_finite() -> None:
    stream = io.StringIO()
    report = StepReport(step=1, metrics={"grad_norm": math.inf, "kl": math.nan})
    JsonDisplay(stream)(StepDone(report=report, eta_s=None))
    assert json.loads(stream.getvalue()) == {"type": "step", "step": 1, "eta_s": None, "grad_norm": None, "kl": None}


def test_a_terminal_sees_every_line_and_takes_no_markup_from_text() -> None:
    shown = shown_live()
    for line in ("a note about [bold]models[/bold]", HEADER, step_line(BARE), step_line(REPORT)):
        assert line in shown
    assert "64 held-out problems, greedy" in shown


def test_a_terminal_has_its_cursor_back_after_a_failure() -> None:
    stream = Terminal()
    display = LiveDisplay(Console(file=stream, force_terminal=True, width=80))
    with pytest.raises(RuntimeError, match="boom"), display:
        raise RuntimeError("boom")
    assert stream.getvalue().rindex("\x1b[?25h") > stream.getvalue().rindex("\x1b[?25l")


def test_where_the_output_goes_decides_how_it_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    assert isinstance(make_display(Terminal(), as_json=False), LiveDisplay)
    assert isinstance(make_display(io.StringIO(), as_json=False), PlainDisplay)
    assert isinstance(make_display(Terminal(), as_json=True), JsonDisplay)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(make_display(Terminal(), as_json=False), PlainDisplay)


def test_a_session_that_computes_otherwise_names_what_differs() -> None:
    line = trouble_line(KernelsChanged(before={"threads": "2"}, now={"threads": "4"}))
    assert "threads 2 before and 4 now" in line
