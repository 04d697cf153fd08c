"""A whole run: evaluate, train until it is enough, evaluate again, save."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

from verifine.errors import DiskError, StoppedError, TrainingError, VerifineError
from verifine.models.export import save_model
from verifine.models.load import LanguageModel
from verifine.runs.diagnosis.finding import Finding
from verifine.runs.diagnosis.live import Watch
from verifine.runs.diagnosis.numbers import finding_numbers
from verifine.runs.directory import RunDirectory
from verifine.runs.evaluation import Evaluation
from verifine.train.evaluate import Exam, examine
from verifine.train.patience import NOT_FINITE_LIMIT
from verifine.train.recorder import Recorder
from verifine.train.saver import Saver
from verifine.train.state import RunState
from verifine.train.step import train_step
from verifine.train.trainer import Progress, Trainer
from verifine.types import StepReport

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
    exam: Exam
    plan: Plan
    directory: RunDirectory
    recorder: Recorder
    saver: Saver
    watch: Watch
    observer: Observer
    request: Callable[[], Request | None]
    """Asked before each step what somebody wants."""
    began: float
    """When this sitting began, on the trainer's clock."""


def execute(run: Run, start: RunState) -> Summary:
    """Carries a run out from `start`; its directory then holds the model and the story.

    Raises:
        TrainingError: the gradient stayed infinite, or the time limit left no time for a step.
        GraderError: the grader failed too often.
        DiskError: a file could not be written; what was saved before still is.
        StoppedError: interrupted before anything was learned.
    """
    try:
        summary = _execute(run, start)
    except (KeyboardInterrupt, StoppedError):
        run.recorder.event(Ending.INTERRUPTED.value)
        raise
    except DiskError as error:
        with suppress(DiskError):  # there may be room again, for what could not be written was removed
            if error.is_full:
                run.recorder.event(Ending.PAUSED.value, reason="disk_full", error=str(error))
            else:
                run.recorder.event("failed", error=str(error))
        raise
    except BaseException as error:
        known = isinstance(error, VerifineError)
        run.recorder.event("failed", error=str(error) if known else f"{type(error).__name__}: {error}")
        raise
    progress = summary.progress
    run.recorder.event(summary.ending.value, steps=progress.step, updates=progress.updates, tokens=progress.tokens)
    return summary


def _execute(run: Run, start: RunState) -> Summary:
    _check_engine(run, start)
    if start.progress.step == 0:
        run.recorder.event("started", model=run.model.name, steps=run.plan.steps)
        began = run.trainer.clock()
        start = _evaluate(run, start, "baseline")
        start = replace(start, evaluation_s=run.trainer.clock() - began)
    else:
        run.recorder.event("resumed", step=start.progress.step, steps=run.plan.steps)
        if start.progress.step not in start.best.scores:  # the run was to end here, and is to go on now
            start = _evaluate_if_due(run, start)
    baseline = run.recorder.find_evaluation("baseline")
    ending, state = _train(run, start)
    _save(run, state)
    run.saver.finish()
    if ending is Ending.PAUSED:
        return Summary(ending=ending, progress=state.progress, baseline=baseline, final=None)
    final = None
    if ending is not Ending.INTERRUPTED:
        final = _finish_with_best(run, state) if run.plan.keeps_best else _examine(run, "final")
    run.observer.stage("saving the model")
    save_model(run.model, run.directory.model, run.directory.disk)
    if run.request() is not None:
        ending = Ending.INTERRUPTED
    return Summary(ending=ending, progress=state.progress, baseline=baseline, final=final)


def _train(run: Run, state: RunState) -> tuple[Ending, RunState]:
    pace = _Pace(run, state)
    while True:
        ending = _ending(run, state, pace)
        if ending is not None:
            return ending, state
        result = train_step(run.trainer, state.progress)
        run.recorder.step(result)
        state = replace(
            state,
            progress=result.progress,
            patience=state.patience.note(result.outcomes),
            grading=state.grading.spend(result.harvest.sampled),
            seconds=pace.note(result.report.metrics["step_time"]),
        )
        run.observer.stepped(result.report, pace.eta_s(state.progress.step))
        _tell(run, run.watch.stepped(result.report))
        if state.patience.has_no_signal:
            state.grading.settle()
            return Ending.NO_SIGNAL, state
        if state.patience.is_not_finite:
            dump = run.recorder.dump(result)
            raise TrainingError(
                f"the loss or its gradient was infinite or not a number in {NOT_FINITE_LIMIT} updates in a row, so "
                f"the weights were left as they were; what the last step learned from is in {dump}. "
                "Lower optim.learning_rate, or set model.precision to float32."
            )
        state = _keep_up(run, state)


def _check_engine(run: Run, state: RunState) -> None:
    """Before anything is sampled: an engine that is set up wrongly would teach nothing, or the wrong thing."""
    engine, updates = run.trainer.engine, state.progress.updates
    engine.load_weights(run.trainer.learner.weights(), updates)
    if run.trainer.canary is not None:
        run.trainer.canary.check(engine, updates, probe=True)


def _ending(run: Run, state: RunState, pace: _Pace) -> Ending | None:
    """Whether there is a step to take; and if not, why."""
    progress, request = state.progress, run.request()
    if request is Request.PAUSE:
        return Ending.PAUSED
    if request is Request.STOP:
        if progress.updates == 0:
            raise StoppedError("stopped before anything was learned; no model was saved")
        return Ending.INTERRUPTED
    if run.plan.steps is not None and progress.step >= run.plan.steps:
        return Ending.FINISHED
    if state.best.is_over(run.plan.patience):
        return Ending.NO_PROGRESS
    if not pace.has_time_for_a_step():
        if progress.step == 0:
            raise TrainingError(
                f"the time limit leaves no time to train: the first evaluation took {state.evaluation_s:.0f} s, and "
                "as much is needed after it. Raise run.minutes (--minutes), or lower data.eval_size."
            )
        return Ending.OUT_OF_TIME
    return None


def _keep_up(run: Run, state: RunState) -> RunState:
    """Evaluates and saves where the plan says so."""
    state = _evaluate_if_due(run, state)
    if run.saver.is_due(state.progress.step):
        _save(run, state)
    return state


def _evaluate_if_due(run: Run, state: RunState) -> RunState:
    step, interval = state.progress.step, run.plan.eval_interval
    is_last = step == run.plan.steps
    return _evaluate(run, state, _name_of(step)) if interval and step % interval == 0 and not is_last else state


def _save(run: Run, state: RunState) -> None:
    run.saver.save(state, state.best.scores)


def _evaluate(run: Run, state: RunState, name: str) -> RunState:
    """With its result, and with a checkpoint of weights that are better than all before and may be kept."""
    evaluation = _examine(run, name)
    if evaluation is None:
        return state
    step = state.progress.step
    state = replace(state, best=state.best.note(evaluation, step))
    if run.plan.keeps_best and state.best.step == step:
        _save(run, state)
    return state


def _examine(run: Run, name: str) -> Evaluation | None:
    """None: there is nothing to ask."""
    if not run.exam.prompts:
        return None
    run.observer.stage(f"asking {len(run.exam.prompts)} held-out problems")
    evaluation = examine(run.exam, name)
    _record(run, evaluation)
    return evaluation


def _record(run: Run, evaluation: Evaluation) -> None:
    run.recorder.evaluation(evaluation)
    run.observer.evaluated(evaluation)
    _tell(run, run.watch.evaluated(evaluation))


def _finish_with_best(run: Run, state: RunState) -> Evaluation | None:
    """Goes back to the weights of the best evaluation. Asked again they would answer the same, so they are not."""
    last = state.progress.step
    if run.recorder.find_evaluation(_name_of(last)) is None:
        state = _evaluate(run, state, _name_of(last))
    best = state.best.step
    if best is None:
        return None
    if best != last:
        run.saver.finish()
        run.saver.restore(best)
        run.trainer.engine.load_weights(run.trainer.learner.weights(), state.progress.updates)
    found = run.recorder.find_evaluation(_name_of(best))
    assert found is not None, "the best evaluation was recorded"
    final = replace(found, name="final", step=best)
    _record(run, final)
    return final


def _name_of(step: int) -> str:
    """What the evaluation after `step` is called."""
    return "baseline" if step == 0 else f"step-{step}"


def _tell(run: Run, findings: Iterable[Finding]) -> None:
    for finding in findings:
        run.recorder.event("finding", **finding_numbers(finding))
        run.observer.found(finding)


class _Pace:
    """Tells how long training may still take."""

    def __init__(self, run: Run, state: RunState) -> None:
        self._plan = run.plan
        self._clock = run.trainer.clock
        self._began = run.began - state.seconds
        saving_s = run.model.parameter_count / SAVED_PARAMETERS_PER_S
        self._evaluation_s = state.evaluation_s
        self._reserve_s = 1.2 * state.evaluation_s + saving_s + REPORT_S
        self._recent: list[float] = []

    def note(self, step_s: float) -> float:
        """Returns the seconds that the run has taken so far."""
        self._recent = [*self._recent[-9:], step_s]
        return self._clock() - self._began

    def has_time_for_a_step(self) -> bool:
        left = self._left_s()
        # The slowest recent step is a guess on the safe side; before the first one, sampling is all there is to go by.
        return left is None or max(self._recent, default=self._evaluation_s) <= left

    def eta_s(self, step: int) -> float | None:
        """The sooner of the time limit and the last step at the recent pace."""
        left = self._left_s()
        guesses = [] if left is None else [left]
        if self._plan.steps is not None and self._recent:
            guesses.append((self._plan.steps - step) * sum(self._recent) / len(self._recent))
        return max(min(guesses), 0.0) if guesses else None

    def _left_s(self) -> float | None:
        """What the time limit leaves for steps; None: there is none."""
        if self._plan.seconds is None:
            return None
        return self._plan.seconds - self._reserve_s - (self._clock() - self._began)
