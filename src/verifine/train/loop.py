"""A whole run: evaluate, train until it is enough, evaluate again, save."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from verifine.errors import StoppedError, TrainingError, VerifineError
from verifine.learner.learner import UpdateOutcome
from verifine.models.export import save_model
from verifine.models.load import LanguageModel
from verifine.runs.directory import RunDirectory
from verifine.runs.evaluation import Evaluation
from verifine.train.budget import UnscorableBudget
from verifine.train.evaluate import evaluate
from verifine.train.recorder import Recorder
from verifine.train.step import StepResult, train_step
from verifine.train.trainer import Progress, Trainer
from verifine.types import Prompt, StepReport

NO_SIGNAL_LIMIT = 20
NOT_FINITE_LIMIT = 3
REPORT_S = 5.0
"""Kept of a time limit for writing the report."""
SAVED_PARAMETERS_PER_S = 5e7
"""How fast a model is saved, on the safe side."""


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


class Ending(StrEnum):
    """Why training ended."""

    FINISHED = "finished"
    """All steps were taken."""
    OUT_OF_TIME = "out_of_time"
    """The next step would not have fitted the time limit."""
    INTERRUPTED = "interrupted"
    """Somebody asked it to stop."""
    NO_SIGNAL = "no_signal"
    """Too many steps in a row had nothing to learn from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How long a run goes on, and what it does on the way."""

    steps: int | None
    """None: until the deadline."""
    deadline: float | None
    """On the trainer's clock; None: none."""
    eval_interval: int | None
    save_interval: int | None


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
    held_out: Sequence[Prompt]
    plan: Plan
    directory: RunDirectory
    recorder: Recorder
    observer: Observer
    is_interrupted: Callable[[], bool]


def execute(run: Run) -> Summary:
    """Carries a run out; its directory then holds the model and the story.

    Raises:
        TrainingError: the gradient stayed infinite, or the time limit left no time for a step.
        GraderError: the grader failed too often.
        StoppedError: interrupted before anything was learned.
    """
    run.recorder.event("started", model=run.model.name, steps=run.plan.steps)
    try:
        start = run.trainer.clock()
        baseline = _evaluate(run, "baseline")
        ending, progress = _train(run, evaluation_s=run.trainer.clock() - start)
        final = None if ending is Ending.INTERRUPTED else _evaluate(run, "final")
        run.observer.stage("saving the model")
        save_model(run.model, run.directory.model)
    except (KeyboardInterrupt, StoppedError):
        run.recorder.event(Ending.INTERRUPTED.value)
        raise
    except BaseException as error:
        known = isinstance(error, VerifineError)
        run.recorder.event("failed", error=str(error) if known else f"{type(error).__name__}: {error}")
        raise
    if run.is_interrupted():
        ending = Ending.INTERRUPTED
    run.recorder.event(ending.value, steps=progress.step, updates=progress.updates, tokens=progress.tokens)
    return Summary(ending=ending, progress=progress, baseline=baseline, final=final)


def _train(run: Run, evaluation_s: float) -> tuple[Ending, Progress]:
    progress, budget, patience = Progress(), UnscorableBudget(), _Patience()
    saving_s = run.model.parameter_count / SAVED_PARAMETERS_PER_S
    pace = _Pace(run.plan, run.trainer.clock, evaluation_s, saving_s)
    while True:
        if run.is_interrupted():
            if progress.updates == 0:
                raise StoppedError("stopped before anything was learned; no model was saved")
            return Ending.INTERRUPTED, progress
        if run.plan.steps is not None and progress.step >= run.plan.steps:
            return Ending.FINISHED, progress
        if not pace.has_time_for_a_step():
            if progress.step == 0:
                raise TrainingError(
                    f"the time limit leaves no time to train: the first evaluation took {evaluation_s:.0f} s, and as "
                    "much is needed after it. Raise run.minutes (--minutes), or lower data.eval_size."
                )
            return Ending.OUT_OF_TIME, progress
        result = train_step(run.trainer, progress)
        progress = result.progress
        run.recorder.step(result)
        pace.note(result.report.metrics["step_time"])
        run.observer.stepped(result.report, pace.eta_s(progress.step))
        budget.spend(result.harvest.sampled)
        patience.note(result.outcomes)
        if patience.has_no_signal:
            budget.settle()
            return Ending.NO_SIGNAL, progress
        if patience.is_not_finite:
            dump = run.recorder.dump(result)
            raise TrainingError(
                f"the loss or its gradient was infinite or not a number in {NOT_FINITE_LIMIT} updates in a row, so "
                f"the weights were left as they were; what the last step learned from is in {dump}. "
                "Lower optim.learning_rate, or set model.precision to float32."
            )
        _keep_up(run, result)


def _keep_up(run: Run, result: StepResult) -> None:
    """Evaluates and saves where the plan says so."""
    step, plan = result.progress.step, run.plan
    is_last = step == plan.steps
    if plan.eval_interval and step % plan.eval_interval == 0 and not is_last:
        _evaluate(run, f"step-{step}")
    if plan.save_interval and step % plan.save_interval == 0:
        save_model(run.model, run.directory.checkpoints / f"step-{step:06d}")
        run.recorder.event("saved", step=step)


def _evaluate(run: Run, name: str) -> Evaluation | None:
    if not run.held_out:
        return None
    run.observer.stage(f"asking {len(run.held_out)} held-out problems")
    evaluation = evaluate(run.trainer, run.held_out, name)
    run.recorder.evaluation(evaluation)
    run.observer.evaluated(evaluation)
    return evaluation


class _Patience:
    """Counts steps that taught nothing, and updates that could not be made."""

    def __init__(self) -> None:
        self._silent_steps = 0
        self._not_finite = 0
        self.is_not_finite = False
        """Whether the gradient was not finite several times in a row."""

    def note(self, outcomes: Sequence[UpdateOutcome]) -> None:
        """Counts the updates of a step."""
        is_silent = all(outcome is UpdateOutcome.NO_SIGNAL for outcome in outcomes)
        self._silent_steps = self._silent_steps + 1 if is_silent else 0
        for outcome in outcomes:
            if outcome is not UpdateOutcome.NO_SIGNAL:
                self._not_finite = self._not_finite + 1 if outcome is UpdateOutcome.NOT_FINITE else 0
            self.is_not_finite |= self._not_finite >= NOT_FINITE_LIMIT

    @property
    def has_no_signal(self) -> bool:
        """Whether there has been nothing to learn from for too long."""
        return self._silent_steps >= NO_SIGNAL_LIMIT


class _Pace:
    """Tells how long training may still take."""

    def __init__(self, plan: Plan, clock: Callable[[], float], evaluation_s: float, saving_s: float) -> None:
        self._plan = plan
        self._clock = clock
        self._evaluation_s = evaluation_s
        self._reserve_s = 1.2 * evaluation_s + saving_s + REPORT_S
        self._recent: list[float] = []

    def note(self, step_s: float) -> None:
        self._recent = [*self._recent[-9:], step_s]

    def has_time_for_a_step(self) -> bool:
        if self._plan.deadline is None:
            return True
        # The slowest recent step is a guess on the safe side; before the first one, sampling is all there is to go by.
        expected = max(self._recent, default=self._evaluation_s)
        return self._clock() + expected + self._reserve_s <= self._plan.deadline

    def eta_s(self, step: int) -> float | None:
        """The sooner of the deadline and the last step at the recent pace."""
        guesses = []
        if self._plan.deadline is not None:
            guesses.append(self._plan.deadline - self._reserve_s - self._clock())
        if self._plan.steps is not None and self._recent:
            guesses.append((self._plan.steps - step) * sum(self._recent) / len(self._recent))
        return max(min(guesses), 0.0) if guesses else None
