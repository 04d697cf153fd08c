"""Everything a run directory says, read at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from verifine.config import RunConfig
from verifine.runs.directory import RunDirectory
from verifine.runs.environment import Environment, read_environment
from verifine.runs.evaluations import Evaluation, read_evaluations, step_of_name
from verifine.runs.events import (
    AttemptBegan,
    EventRecord,
    TrainingResumed,
    TrainingStarted,
    last_end,
    read_events,
)
from verifine.runs.metrics import read_metrics
from verifine.runs.run_config import load_run_config
from verifine.runs.run_file import RunFile, read_run_file
from verifine.runs.status import RunStatus, Status, find_status
from verifine.types import StepReport


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """A run as far as it has come."""

    name: str
    config: RunConfig
    config_text: str
    environment: Environment | None
    """None: not written yet."""
    events: Sequence[EventRecord]
    status: RunStatus
    metrics: Sequence[StepReport]
    evaluations: Sequence[tuple[int, Evaluation]]
    """Each with the number of training steps before it, the earliest first."""
    run_file: RunFile = field(default_factory=RunFile)
    """Its attempts, and what it was made from."""

    @property
    def model_name(self) -> str:
        """The starting model as the user wrote it; the config has the absolute path of a folder."""
        return find_model_name(self.events) or self.config.model.name

    @property
    def baseline(self) -> Evaluation | None:
        return next((evaluation for _, evaluation in self.evaluations if evaluation.name == "baseline"), None)

    @property
    def final(self) -> Evaluation | None:
        return next((evaluation for _, evaluation in self.evaluations if evaluation.name == "final"), None)

    @property
    def steps(self) -> int:
        return self.metrics[-1].step if self.metrics else 0

    @property
    def duration_s(self) -> float | None:
        """From the first event after an attempt began to its last one, over all attempts; None: not known."""
        sessions: list[list[datetime]] = [[]]
        for record in self.events:
            if isinstance(record.event, AttemptBegan | TrainingResumed):
                sessions.append([])
            if not isinstance(record.event, AttemptBegan):
                sessions[-1].append(record.time)
        if sum(map(len, sessions)) < 2:
            return None
        return sum((times[-1] - times[0]).total_seconds() for times in sessions if times)

    @property
    def ending(self) -> Status | None:
        """How the run ended; None: it is still going, or was killed."""
        end = last_end(self.events)
        return None if end is None else end.status

    def series(self, name: str) -> list[float | None]:
        """A metric over the steps; None where a step does not have it."""
        return [report.metrics.get(name) for report in self.metrics]


def find_model_name(events: Sequence[EventRecord]) -> str | None:
    """What the user called the starting model; None: training has not begun."""
    return next((each.event.model for each in events if isinstance(each.event, TrainingStarted)), None)


def read_run(directory: RunDirectory) -> RunRecord:
    """Read a run directory, whether or not the run is over."""
    metrics = read_metrics(directory.metrics)
    last_step = metrics[-1].step if metrics else 0
    evaluations = [
        (_step_of(evaluation, last_step), evaluation) for evaluation in read_evaluations(directory.evaluations).values()
    ]
    return RunRecord(
        name=directory.path.resolve().name,
        config=load_run_config(directory),
        config_text=directory.config.read_text(encoding="utf-8"),
        environment=read_environment(directory.environment) if directory.environment.exists() else None,
        events=read_events(directory.events),
        status=find_status(directory),
        metrics=metrics,
        run_file=read_run_file(directory.path),
        evaluations=sorted(evaluations, key=lambda pair: (pair[0], pair[1].name == "final")),
    )


def _step_of(evaluation: Evaluation, last_step: int) -> int:
    return min(step_of_name(evaluation.name), last_step) if evaluation.step is None else evaluation.step
