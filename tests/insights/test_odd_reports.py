"""Whatever a run's numbers and texts are, its report can be made: it comes last, after hours of training."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from verifine.config import build_config
from verifine.insights.report import write_report
from verifine.runs.directory import RunDirectory
from verifine.runs.environment import describe_environment
from verifine.runs.evaluations import EvaluatedSample, Evaluation, write_evaluation
from verifine.runs.events import EventSink, RunEnded, TrainingStarted
from verifine.runs.metrics import MetricLog
from verifine.runs.record import read_run
from verifine.runs.run_config import write_run_config
from verifine.runs.status import Status
from verifine.types import StepReport

NOW = datetime(2026, 1, 2, tzinfo=UTC)
METRICS = ("reward", "format_accuracy", "answer_accuracy", "completions/mean_length", "frac_reward_zero_std", "entropy")

NUMBERS = {
    "none": [],
    "one step": [0.5],
    "not a number": [math.nan] * 40,
    "infinite": [math.inf, -math.inf] * 20,
    "once not a number": [0.5, math.nan, 0.5],
    "the largest": [1.7e308, -1.7e308] * 20,
    "larger than a plot takes": [1e300] * 40,
    "the smallest": [5e-324, -5e-324] * 20,
    "zero": [0.0] * 40,
    "whole and huge": [1e17, 1e17 + 16] * 20,
}


def write_run(folder: Path, values: list[float], text: str = "x", name: str = "run") -> RunDirectory:
    directory = RunDirectory(path=folder / name)
    directory.path.mkdir(parents=True)
    write_run_config(directory, build_config({"data": {"task": "add"}}), describe_environment())
    events, metrics = EventSink(directory.events, lambda: NOW), MetricLog(directory.metrics)
    events.emit(TrainingStarted(model=text, steps=3))
    for step, value in enumerate(values, start=1):
        metrics.append(StepReport(step=step, metrics=dict.fromkeys(METRICS, value)))
    sample = EvaluatedSample(
        prompt_id="1",
        prompt=text,
        text=text,
        score=values[0] if values else None,
        format_ok=None,
        answer_ok=None,
        gold=text,
    )
    for when in ("baseline", "final"):
        write_evaluation(directory.evaluations, Evaluation(name=when, samples=(sample,)))
    events.emit(RunEnded(status=Status.FAILED, error=text))
    return directory


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_of_any_size_are_drawn(name: str, tmp_path: Path) -> None:
    page = write_report(write_run(tmp_path, NUMBERS[name])).read_text(encoding="utf-8")
    assert "</html>" in page
    assert page.count("<svg") == (2 if NUMBERS[name] else 1)


HOSTILE = {
    "markup": "</pre><script>alert(1)</script>",
    "half a character": "before \ud83d after",
    "a template": "{{ config }} {% raw %} {# x #}",
    "control characters": "\x00\x1b[31m\x07\u202e",
    "mathematics": "$x_{$ \\frac",
    "long": "x" * 200_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_texts_of_any_kind_are_shown_as_text(name: str, tmp_path: Path) -> None:
    page = write_report(write_run(tmp_path, [0.5], HOSTILE[name])).read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "</html>" in page


@pytest.mark.parametrize("name", ["$x_{", "<b>run</b>", 'a "quoted" name', "ü & é", "100%s"])
def test_a_run_directory_of_any_name_has_a_report(name: str, tmp_path: Path) -> None:
    directory = write_run(tmp_path, [0.1, 0.2, 0.3], name=name)
    page = write_report(directory).read_text(encoding="utf-8")
    assert "<b>run" not in page
    assert "</html>" in page


def test_a_long_name_of_a_data_file_makes_a_name_that_file_systems_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    directory = RunDirectory.create(None, "rows" * 100 + "-grpo", NOW)
    assert directory.path.is_dir()
    assert len(directory.path.name) < 130


def test_the_report_names_the_model_as_the_user_wrote_it(tmp_path: Path) -> None:
    directory = write_run(tmp_path, [0.5], "./model")
    record = read_run(directory)
    resolved = record.config.model_copy(update={"model": record.config.model.model_copy(update={"name": "/abs/model"})})
    assert replace(record, config=resolved).model_name == "./model"
    assert replace(record, config=resolved, events=[]).model_name == "/abs/model"
