"""Readers that go on from a cursor say what readers from the start say."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from verifine.runs.directory import RunDirectory
from verifine.runs.evaluations import EvaluatedSample, Evaluation, write_evaluation
from verifine.runs.events import CheckpointSaved, EventRecord, EventSink
from verifine.runs.following import (
    START,
    Cursor,
    News,
    Rewound,
    read_evaluations_since,
    read_events_since,
    read_metrics_since,
    read_rollouts_since,
)
from verifine.runs.metrics import MetricLog, read_metrics
from verifine.runs.rewind import rewind
from verifine.runs.rollouts import rollouts_path
from verifine.runs.run_file import Attempt, Provenance, read_run_file, write_run_file
from verifine.types import StepReport

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Trainer:
    """Writes what a trainer writes, in its order; `value` tells what is written twice apart."""

    directory: RunDirectory
    step: int = 0
    value: float = 0.0

    def begin(self, step: int) -> None:
        rewind(self.directory, step)
        run_file = read_run_file(self.directory.path)
        number = len(run_file.attempts) + 1
        attempt = Attempt(number=number, started=NOW, host="h", pid=1, versions={}, from_step=step)
        write_run_file(self.directory.path, run_file.with_latest(attempt))
        self.step = step
        if step == 0:
            self.evaluate("baseline")

    def train(self) -> None:
        self.step += 1
        self.value += 1
        rollouts_path(self.directory.rollouts, self.step).parent.mkdir(exist_ok=True)
        rollouts_path(self.directory.rollouts, self.step).write_text(f"{self.value}\n")
        MetricLog(self.directory.metrics).append(StepReport(step=self.step, metrics={"reward": self.value}))
        EventSink(self.directory.events, lambda: NOW).emit(CheckpointSaved(step=self.step))
        if self.step % 2 == 0:
            self.evaluate(f"step-{self.step}")

    def evaluate(self, name: str) -> None:
        sample = EvaluatedSample(
            prompt_id="a", prompt="", text=str(self.value), score=self.value, format_ok=None, answer_ok=None
        )
        write_evaluation(self.directory.evaluations, Evaluation(name=name, samples=(sample,)))

    def crash_in_a_line(self) -> None:
        for path in (self.directory.metrics, self.directory.events):
            with path.open("a") as file:
                file.write('{"step": 9')


@dataclass
class Follower:
    """Keeps what it was told, and forgets what was rewound."""

    read: Callable[[RunDirectory, Cursor], News[Any]]
    step_of: Callable[[Any], float]
    rows: list[Any] = field(default_factory=list)
    cursor: Cursor = START

    def look_at_all(self, directory: RunDirectory) -> None:
        before = None
        while before != self.cursor:
            before = self.cursor
            self.look(directory)

    def look(self, directory: RunDirectory) -> None:
        news = self.read(directory, self.cursor)
        for row in news.rows:
            if isinstance(row, Rewound):
                self.rows = [each for each in self.rows if 0 < row.step >= self.step_of(each)]
            else:
                self.rows.append(row)
        self.cursor = news.cursor


def step_of_evaluation(evaluation: Evaluation) -> float:
    return 0 if evaluation.name == "baseline" else int(evaluation.name.removeprefix("step-"))


def followers() -> list[Follower]:
    return [
        Follower(read=read_metrics_since, step_of=lambda report: report.step),
        Follower(read=read_rollouts_since, step_of=lambda step: step),
        Follower(read=read_evaluations_since, step_of=step_of_evaluation),
        Follower(read=read_events_since, step_of=lambda _: 0),
        Follower(read=partial(read_metrics_since, max_bytes=30), step_of=lambda report: report.step),
        Follower(read=partial(read_evaluations_since, limit=1), step_of=step_of_evaluation),
    ]


ACTIONS = st.lists(
    st.one_of(
        st.sampled_from(["train", "train", "train", "crash", "look"]),
        st.integers(min_value=0, max_value=6),
        st.integers(min_value=0, max_value=5).map(lambda number: ("look", number)),
    ),
    max_size=40,
)


@given(ACTIONS)
def test_a_follower_ends_with_what_a_reader_from_the_start_finds(
    actions: Sequence[str | int | tuple[str, int]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(RunDirectory(path=Path(folder)))
        trainer.begin(0)
        every = followers()
        for action in actions:
            match action:
                case "train":
                    trainer.train()
                case "crash":
                    trainer.crash_in_a_line()
                    trainer.begin(trainer.step)
                case "look":
                    for follower in every:
                        follower.look(trainer.directory)
                case int() as step:
                    trainer.begin(min(step, trainer.step))
                case (_, int() as number):
                    every[number].look(trainer.directory)
        for follower, fresh in zip(every, followers(), strict=True):
            follower.look_at_all(trainer.directory)
            fresh.look_at_all(trainer.directory)
            assert follower.rows == fresh.rows
        assert every[0].rows == read_metrics(trainer.directory.metrics)


def test_a_half_written_line_is_read_once_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    directory = RunDirectory(path=tmp_path)
    row = '{"time": "2026-01-01T00:00:00+00:00", "type": "saved", "step": 1}'
    path.write_text(row[:30])
    first = read_events_since(directory)
    assert (first.rows, first.cursor) == ((), START)
    path.write_text(row + "\n")
    second = read_events_since(directory, first.cursor)
    assert second.rows == (EventRecord(time=NOW, event=CheckpointSaved(step=1)),)
    assert read_events_since(directory, second.cursor).rows == ()


def test_a_reader_is_told_how_far_a_resume_went_back(tmp_path: Path) -> None:
    trainer = Trainer(RunDirectory(path=tmp_path))
    trainer.begin(0)
    for _ in range(5):
        trainer.train()
    cursor = read_metrics_since(trainer.directory).cursor
    trainer.begin(4)
    trainer.begin(2)
    trainer.train()
    told = read_metrics_since(trainer.directory, cursor).rows
    assert told == (Rewound(step=2), StepReport(step=3, metrics={"reward": 6.0}))
    assert read_rollouts_since(trainer.directory, Cursor(attempt=1, offset=5)).rows == (Rewound(step=2), 3)


def test_a_run_of_the_first_format_that_is_resumed_is_rewound_too(tmp_path: Path) -> None:
    trainer = Trainer(RunDirectory(path=tmp_path))
    trainer.train()
    trainer.train()
    (tmp_path / "origins.json").write_text('{"model": "a", "data": "b", "grader": null}')
    assert read_run_file(tmp_path).provenance == Provenance(model="a", data="b", grader=None)
    cursor = read_metrics_since(trainer.directory).cursor
    trainer.begin(1)
    trainer.train()
    assert read_metrics_since(trainer.directory, cursor).rows[0] == Rewound(step=1)
