"""What a run is made of: the parts, the plan and the summary."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from verifine.insights.diagnosis.monitor import Monitor
from verifine.models.policy import Policy
from verifine.runs.directory import RunDirectory
from verifine.runs.evaluations import Evaluation
from verifine.runs.requests import RunRequest
from verifine.runs.status import Status
from verifine.training.checkpointing import Saver
from verifine.training.evaluate import EvalSet
from verifine.training.recorder import Recorder
from verifine.training.schedule import CONSTANT, Schedule
from verifine.training.trainer import Progress, Trainer


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How long a run lasts, and what it does on the way."""

    steps: int | None
    """None: until the time is over."""
    seconds: float | None
    """The time limit, which evaluations and earlier sessions count towards; None: no limit."""
    max_steps: int | None = None
    """After how many steps the run pauses; None: it does not."""
    max_seconds: float | None = None
    """The time before which it pauses, counted as `seconds`; None: it does not."""
    eval_interval: int | None
    patience: int | None
    """How many evaluations in a row without a new best end training; None: training is not ended."""
    keeps_best: bool
    """Whether the weights of the best evaluation become the model, rather than the last ones."""
    schedule: Schedule = CONSTANT


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """How a run ended."""

    ending: Status
    reason: str | None = None
    """As in `runs.status`."""
    progress: Progress
    baseline: Evaluation | None
    final: Evaluation | None
    """None: there is no held-out data, or the run was interrupted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A trainer, the policy it trains, and all that is around them."""

    trainer: Trainer
    policy: Policy
    """What the learner of `trainer` updates."""
    model_name: str
    parameters: int
    """The number of the policy's parameters."""
    eval_set: EvalSet
    plan: Plan
    directory: RunDirectory
    recorder: Recorder
    saver: Saver
    monitor: Monitor
    request: Callable[[], RunRequest | None]
    """Asked before each step what the run is to do."""
    began: float
    """When this session began, on the trainer's clock."""
