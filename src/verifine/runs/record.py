"""Everything a run directory says, read at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

from verifine.config import RunConfig, load_config
from verifine.runs.directory import RunDirectory
from verifine.runs.environment import Environment, read_environment
from verifine.runs.evaluations import Evaluation, read_evaluations
from verifine.runs.events import Event, ending_of, read_events
from verifine.runs.metrics import read_metrics
from verifine.types import StepReport


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """A run as far as it has come."""

    name: str
    config: RunConfig
    config_text: str
    environment: Environment | None
    """None: not written yet."""
    events: Sequence[Event]
    metrics: Sequence[StepReport]
    evaluations: Sequence[tuple[int, Evaluation]]
    """Each with the number of training steps before it, the earliest first."""

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
        """From the first event of each sitting to its last, added up; None: there are not two events."""
        if len(self.events) < 2:
            return None
        total, began = timedelta(), self.events[0].time
        for before, event in pairwise(self.events):
            if event.type == "resumed":
                total, began = total + (before.time - began), event.time
        return (total + (self.events[-1].time - began)).total_seconds()

    @property
    def ending(self) -> str | None:
        """The event that ended the run; None: it is still going, or was killed."""
        return ending_of(self.events)

    def series(self, name: str) -> list[float | None]:
        """A metric over the steps; None where a step does not have it."""
        return [report.metrics.get(name) for report in self.metrics]


def read_run(directory: RunDirectory) -> RunRecord:
    """Read a run directory, whether or not the run is over."""
    metrics = read_metrics(directory.metrics)
    last_step = metrics[-1].step if metrics else 0
    evaluations = [
        (_step_of(evaluation, last_step), evaluation) for evaluation in read_evaluations(directory.evaluations).values()
    ]
    return RunRecord(
        name=directory.path.resolve().name,
        config=load_config(directory.config),
        config_text=directory.config.read_text(encoding="utf-8"),
        environment=read_environment(directory.environment) if directory.environment.exists() else None,
        events=read_events(directory.events),
        metrics=metrics,
        evaluations=sorted(evaluations, key=lambda pair: (pair[0], pair[1].name == "final")),
    )


def _step_of(evaluation: Evaluation, last_step: int) -> int:
    if evaluation.step is not None:
        return evaluation.step
    if evaluation.name == "baseline":
        return 0
    number = evaluation.name.removeprefix("step-")
    return int(number) if number.isdecimal() else last_step
