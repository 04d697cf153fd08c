"""A whole run: evaluate, train until it is enough, evaluate again, save."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from verifine.errors import DiskError, StoppedError, TrainingError, VerifineError
from verifine.models.export import save_model
from verifine.training.health import NOT_FINITE_LIMIT
from verifine.training.pace import Pace
from verifine.training.recorder import Recorder
from verifine.training.run import Ending, Request, Run, Summary
from verifine.training.state import RunState
from verifine.training.step import train_step
from verifine.training.validation import evaluate, evaluate_if_due, evaluate_now, finish_with_best, save, tell


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
    except BaseException as error:
        with suppress(DiskError):  # what was being saved may well be saved
            run.saver.finish()
        with suppress(DiskError):  # there may be room again, for what could not be written was removed
            _tell_failure(run.recorder, error)
        raise
    progress = summary.progress
    run.recorder.event(summary.ending.value, steps=progress.step, updates=progress.updates, tokens=progress.tokens)
    return summary


def _tell_failure(recorder: Recorder, error: BaseException) -> None:
    match error:
        case KeyboardInterrupt() | StoppedError():
            recorder.event(Ending.INTERRUPTED.value)
        case DiskError(is_full=True):
            recorder.event(Ending.PAUSED.value, reason="disk_full", error=str(error))
        case VerifineError():
            recorder.event("failed", error=str(error))
        case _:
            recorder.event("failed", error=f"{type(error).__name__}: {error}")


def _execute(run: Run, start: RunState) -> Summary:
    _check_engine(run, start)
    if start.progress.step == 0:
        run.recorder.event("started", model=run.model.name, steps=run.plan.steps)
        began = run.trainer.clock()
        start = evaluate(run, start, "baseline")
        start = replace(start, evaluation_s=run.trainer.clock() - began)
    else:
        run.recorder.event("resumed", step=start.progress.step, steps=run.plan.steps)
        if start.progress.step not in start.best.scores:  # the run was to end here, and is to go on now
            start = evaluate_if_due(run, start)
    baseline = run.recorder.find_evaluation("baseline")
    ending, state = _train(run, start)
    save(run, state)
    if ending is Ending.PAUSED:
        run.saver.finish()
        return Summary(ending=ending, progress=state.progress, baseline=baseline, final=None)
    final = None
    if ending is not Ending.INTERRUPTED:
        final = finish_with_best(run, state) if run.plan.keeps_best else evaluate_now(run, "final")
    run.observer.stage("saving the model")
    save_model(run.model, run.directory.model, run.directory.disk)
    run.saver.finish()
    if run.request() is not None:
        ending = Ending.INTERRUPTED
    return Summary(ending=ending, progress=state.progress, baseline=baseline, final=final)


def _train(run: Run, state: RunState) -> tuple[Ending, RunState]:
    pace = Pace(run, state)
    while True:
        ending = _ending(run, state, pace)
        if ending is not None:
            return ending, state
        result = train_step(run.trainer, state.progress, run.saver.take_back)
        run.recorder.step(result)
        state = replace(
            state,
            progress=result.progress,
            patience=state.patience.note(result.outcomes),
            grading=state.grading.spend(result.rollouts.groups),
            seconds=pace.note(result.report.metrics["step_time"]),
        )
        run.observer.stepped(result.report, pace.eta_s(state.progress.step))
        tell(run, run.watch.stepped(result.report))
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


def _ending(run: Run, state: RunState, pace: Pace) -> Ending | None:
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
    state = evaluate_if_due(run, state)
    if run.saver.is_due(state.progress.step):
        save(run, state)
    return state
