"""What a run is made of: the parts, the plan, who watches, and how it can end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from verifine.insights.diagnosis.monitor import Monitor
from verifine.insights.findings import Finding
from verifine.models.load import LanguageModel
from verifine.runs.directory import RunDirectory
from verifine.runs.evaluations import Evaluation
from verifine.training.checkpointing import Saver
from verifine.training.evaluate import EvalSet
from verifine.training.recorder import Recorder
from verifine.training.trainer import Progress, Trainer
from verifine.types import StepReport


class Observer(Protocol):
    """Somebody who watches a run."""

    def stage(self, text: str) -> None:
        """Something that is not a step begins."""
        ...

    def progress(self, text: str, done: int, total: int) -> None:
        """Something is being fetched, in bytes; `total` is 0 while nobody knows it."""
        ...

    def evaluated(self, evaluation: Evaluation) -> None: ...

    def stepped(self, report: StepReport, eta_s: float | None) -> None:
        """A step is done; `eta_s` is how long training may still take, None if nobody can tell."""
        ...

    def found(self, finding: Finding) -> None:
        """Something stands out that had not before."""
        ...


class Ending(StrEnum):
    """Why training ended."""

    FINISHED = "finished"
    """All steps were taken."""
    OUT_OF_TIME = "out_of_time"
    """The next step would not have fitted the time limit."""
    INTERRUPTED = "interrupted"
    """Somebody asked it to stop."""
    PAUSED = "paused"
    """Somebody asked it to pause: there is a checkpoint, and nothing else was begun."""
    NO_SIGNAL = "no_signal"
    """Too many steps in a row had nothing to learn from."""
    NO_PROGRESS = "no_progress"
    """Too many evaluations in a row brought nothing better."""


class Request(StrEnum):
    """What somebody wants of a run at the next step boundary."""

    STOP = "stop"
    """To save the model as it is and end."""
    PAUSE = "pause"
    """To end at once, to be resumed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How long a run goes on, and what it does on the way."""

    steps: int | None
    """None: until the time is over."""
    seconds: float | None
    """What the run may take, evaluations and earlier sittings included; None: no limit."""
    eval_interval: int | None
    patience: int | None
    """Evaluations in a row without a new best that end training; None: they never do."""
    keeps_best: bool
    """Whether the weights of the best evaluation become the model, and not the last ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """How a run ended."""

    ending: Ending
    progress: Progress
    baseline: Evaluation | None
    final: Evaluation | None
    """None: there is no held-out data, or the run was interrupted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A trainer, the model it trains, and all that is around them."""

    trainer: Trainer
    model: LanguageModel
    eval_set: EvalSet
    plan: Plan
    directory: RunDirectory
    recorder: Recorder
    saver: Saver
    watch: Monitor
    observer: Observer
    request: Callable[[], Request | None]
    """Asked before each step what somebody wants."""
    began: float
    """When this sitting began, on the trainer's clock."""
