"""Jobs without trainers: processes that are only counted, and runs whose files are written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from verifine.checkpoints.manifest import MANIFEST
from verifine.checkpoints.names import checkpoint_folder
from verifine.machine.disk import LOCAL_DISK
from verifine.runs.directory import RunDirectory
from verifine.runs.events import (
    AttemptBegan,
    CheckpointSaved,
    EvaluationDone,
    EventSink,
    ModelSaved,
    RunEvent,
    TrainingResumed,
    TrainingStarted,
)
from verifine.runs.heartbeat import HeartbeatWriter
from verifine.runs.metrics import MetricLog
from verifine.runs.rewind import rewind
from verifine.runs.run_file import Attempt, Provenance, RunFile, read_run_file, write_run_file
from verifine.types import StepReport


@dataclass(slots=True)
class FakeProcesses:
    """Processes of jobs that do nothing: a test writes what they would, and ends them."""

    started: list[list[str]] = field(default_factory=list)
    alive: set[Path] = field(default_factory=set)
    killed: int = 0
    resident: int = 0
    """What each has of the memory."""

    def start(self, folder: Path, words: Sequence[str]) -> None:
        assert folder not in self.alive, "two processes of one job"
        self.started.append(list(words))
        self.alive.add(folder)

    def is_alive(self, folder: Path) -> bool:
        return folder in self.alive

    def kill(self, folder: Path) -> None:
        self.killed += 1
        self.alive.discard(folder)

    def resident_bytes(self, folder: Path) -> int:
        return self.resident if folder in self.alive else 0

    def why_ended(self, folder: Path) -> str:  # noqa: ARG002
        return "out of memory"


@dataclass(slots=True, kw_only=True)
class FakeRun:
    """What a trainer writes into a run directory, when a test wants it."""

    directory: RunDirectory
    attempt: int = 0

    def begin(self, from_step: int = 0) -> None:
        """A process takes up the run, at a checkpoint if one is given."""
        self.directory.path.mkdir(parents=True, exist_ok=True)
        self.directory.config.touch()
        self.attempt += 1
        if from_step:
            rewind(self.directory, from_step)
        attempt = Attempt(
            number=self.attempt, started=datetime.now(UTC), host="h", pid=1, versions={}, from_step=from_step
        )
        provenance = Provenance(model="m", data="d", grader="g")
        known = read_run_file(self.directory.path)
        write_run_file(
            self.directory.path, RunFile(attempts=known.attempts, provenance=provenance).with_latest(attempt)
        )
        self.write(AttemptBegan(number=self.attempt))
        self.write(TrainingResumed(step=from_step, steps=10) if from_step else TrainingStarted(model="tiny", steps=10))

    def write(self, *events: RunEvent) -> None:
        sink = EventSink(self.directory.events, lambda: datetime.now(UTC))
        for event in events:
            sink.emit(event)

    def beat(self, stage: str, step: int) -> HeartbeatWriter:
        """This process says what it does; the caller closes the writer, which writes when it is told."""
        writer = HeartbeatWriter(self.directory.heartbeat, self.attempt, step, interval_s=3600)
        writer.note(stage)
        writer.write()
        return writer

    def checkpoint(self, step: int) -> None:
        """It is complete, as far as a look from outside can tell."""
        folder = checkpoint_folder(self.directory.checkpoints, step)
        folder.mkdir(parents=True)
        (folder / MANIFEST).write_text(f"{step}\n")
        self.write(CheckpointSaved(step=step))

    def evaluate(self, name: str, reward: float | None, **numbers: float) -> None:
        self.write(EvaluationDone(name=name, numbers={"reward": reward, **numbers}))

    def save_model(self, step: int) -> None:
        self.directory.model.mkdir(exist_ok=True)
        LOCAL_DISK.write(self.directory.model / "model.safetensors", [save({"weight": np.zeros(3, dtype=np.float32)})])
        self.write(ModelSaved(step=step))

    def steps(self, first: int, last: int) -> None:
        """These steps are taken, both included."""
        log = MetricLog(self.directory.metrics)
        for step in range(first, last + 1):
            log.append(StepReport(step=step, metrics={"reward": step / 10, "step_time": 2.0}))
