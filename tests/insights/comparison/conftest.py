"""Runs made of fixed numbers, in memory and on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from verifine.config import build_config, dump_config
from verifine.runs.directory import RunDirectory, write_text
from verifine.runs.environment import Environment
from verifine.runs.evaluations import EvaluatedSample, Evaluation, write_evaluation
from verifine.runs.events import EvaluationDone, EventRecord, EventSink, RunEnded, TrainingStarted
from verifine.runs.metrics import MetricLog
from verifine.runs.record import RunRecord
from verifine.runs.status import RunStatus, Status
from verifine.types import StepReport

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
MakeRun = Callable[..., RunRecord]
WriteRun = Callable[[RunRecord], Path]


def make_evaluation(name: str, right: str, first_problem: int) -> Evaluation:
    """A letter a problem: `1` right, `0` wrong, `?` not judged and scored 0.5."""
    samples = (
        EvaluatedSample(
            prompt_id=f"held-out/{number}",
            prompt=f"What is {number} + 1?",
            text="an answer",
            score=0.5 if letter == "?" else float(letter),
            format_ok=None if letter == "?" else True,
            answer_ok=None if letter == "?" else letter == "1",
        )
        for number, letter in enumerate(right, start=first_problem)
    )
    return Evaluation(name=name, samples=tuple(samples))


@pytest.fixture
def make_run() -> MakeRun:
    """`right` and `before` say which held-out problems were solved; None: no such evaluation."""

    def make(
        name: str,
        *,
        algorithm: str = "grpo",
        seed: int = 0,
        rewards: Sequence[float] = (0.0, 1.0),
        right: str | None = "1100",
        before: str | None = "0000",
        first_problem: int = 0,
        cores: int = 2,
        metric: str = "answer_accuracy",
        sections: Mapping[str, object] = {},
    ) -> RunRecord:
        run = {"seed": seed, "directory": f"runs/{name}"}
        values: dict[str, object] = {"data": {"task": "add"}, "algorithm": {"name": algorithm}, "run": run, **sections}
        evaluations = [] if before is None else [(0, make_evaluation("baseline", before, first_problem))]
        if right is not None:
            evaluations.append((len(rewards), make_evaluation("final", right, first_problem)))
        is_over = right is not None
        last = RunEnded(status=Status.FINISHED) if is_over else EvaluationDone(name="baseline")
        return RunRecord(
            name=name,
            config=build_config(values),
            config_text="",
            environment=Environment(
                python="3.12.1",
                verifine="0.1.0",
                torch="2.8.0",
                transformers="5.16",
                platform="Linux",
                cpu="Some CPU",
                cores=cores,
                memory_bytes=2**34,
            ),
            events=[
                EventRecord(time=START, event=TrainingStarted()),
                EventRecord(time=START + timedelta(minutes=1.5), event=last),
            ],
            metrics=[
                StepReport(step=step, metrics={"reward": reward, metric: reward, "completions/mean_length": 10.0})
                for step, reward in enumerate(rewards, start=1)
            ],
            evaluations=evaluations,
            status=RunStatus(status=Status.FINISHED if is_over else Status.RUNNING),
        )

    return make


@pytest.fixture
def write_run(tmp_path: Path) -> WriteRun:
    """Writes a run into a directory of its name."""

    def write(run: RunRecord) -> Path:
        directory = RunDirectory.create(tmp_path / run.name, "any", START)
        write_text(directory.config, dump_config(run.config))
        times = iter([record.time for record in run.events])
        events = EventSink(directory.events, lambda: next(times))
        for record in run.events:
            events.emit(record.event)
        metrics = MetricLog(directory.metrics)
        for report in run.metrics:
            metrics.append(report)
        for _, evaluation in run.evaluations:
            write_evaluation(directory.evaluations, evaluation)
        return directory.path

    return write
