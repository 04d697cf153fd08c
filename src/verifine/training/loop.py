"""A whole run: evaluate, train, evaluate again, save."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace

from verifine.errors import DiskError, StoppedError, TrainingError
from verifine.runs.evaluations import Evaluation
from verifine.runs.events import ModelSaved, RunEnded, StageBegan, StepDone, TrainingResumed, TrainingStarted, ended_by
from verifine.runs.requests import RunRequest
from verifine.runs.status import CANCELLED, MAX_MINUTES, MAX_STEPS, SOLVED, Status
from verifine.training.health import NOT_FINITE_LIMIT
from verifine.training.pace import REPORT_S, SAVED_PARAMETERS_PER_S, Pace
from verifine.training.run import Run, Summary
from verifine.training.state import RunState
from verifine.training.step import train_step
from verifine.training.validation import evaluate, evaluate_if_due, evaluate_now, finish_with_best, raise_findings, save


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    """Why there is no further step."""

    status: Status
    reason: str | None = None


def execute(run: Run, start: RunState) -> Summary:
    """Carries a run out from `start`; its directory then holds the model and all that happened.

    Raises:
        TrainingError: the gradient stayed infinite, or the time limit left no time for a step.
        GraderError: the grader failed too often.
        DiskError: a file could not be written; what was saved before still is.
        StoppedError: interrupted before anything was learned.
    """
    try:
        summary = _execute(run, start)
    except BaseException as error:
        with suppress(Exception):  # what was being saved may well be saved, and `error` matters more if not
            run.saver.finish()
        with suppress(DiskError):  # there may be space again, since what could not be written was removed
            run.recorder.emit(ended_by(error))
        raise
    progress = summary.progress
    run.recorder.emit(
        RunEnded(
            status=summary.ending,
            reason=summary.reason,
            steps=progress.step,
            updates=progress.updates,
            tokens=progress.tokens,
        )
    )
    return summary


def _execute(run: Run, start: RunState) -> Summary:
    _check_engine(run, start)
    if start.progress.step == 0:
        run.recorder.emit(TrainingStarted(model=run.model_name, steps=run.plan.steps))
        began = run.trainer.clock()
        start = evaluate(run, start, "baseline")
        start = replace(start, evaluation_s=run.trainer.clock() - began)
    else:
        run.recorder.emit(TrainingResumed(step=start.progress.step, steps=run.plan.steps))
        if start.progress.step not in start.best.scores:  # the run ended here, and has been made longer
            start = evaluate_if_due(run, start)
    baseline = run.recorder.find_evaluation("baseline")
    ending, state = _train(run, start)
    save(run, state)
    run.saver.finish()  # what follows can fail, and must not take the trained weights with it
    if ending.status is Status.PAUSED or ending.reason == CANCELLED:
        return Summary(
            ending=ending.status, reason=ending.reason, progress=state.progress, baseline=baseline, final=None
        )
    final = _conclude(run, state, evaluates=ending.status is not Status.INTERRUPTED)
    if run.request() is not None:
        ending = _End(status=Status.INTERRUPTED)
    return Summary(ending=ending.status, reason=ending.reason, progress=state.progress, baseline=baseline, final=final)


def _conclude(run: Run, state: RunState, *, evaluates: bool) -> Evaluation | None:
    """Saves the model and returns its evaluation, which comes first only where it decides which weights are saved."""
    final = finish_with_best(run, state) if evaluates and run.plan.keeps_best else None
    run.recorder.emit(StageBegan(text="saving the model"))
    run.policy.export(run.directory.model, run.directory.disk)
    step = state.progress.step if final is None or final.step is None else final.step
    run.recorder.emit(ModelSaved(step=step))
    return evaluate_now(run, "final") if evaluates and not run.plan.keeps_best else final


def _train(run: Run, state: RunState) -> tuple[_End, RunState]:
    pace = _pace(run, state)
    while True:
        ending = _ending(run, state, pace)
        if ending is not None:
            return ending, replace(state, seconds=pace.spent_s())
        rate_factor = run.plan.schedule.factor(pace.share_done(state.progress.step))
        result = train_step(run.trainer, state.progress, run.saver.copy_unwritten, rate_factor)
        run.recorder.step(result)
        pace.note(result.report.metrics["step_time"])
        state = replace(
            state,
            progress=result.progress,
            health=state.health.note(
                result.outcomes,
                has_signal=result.has_signal,
                all_right=result.report.metrics.get("groups/frac_all_right", 0.0),
            ),
            grading=state.grading.spend(result.rollouts.groups),
            seconds=pace.spent_s(),
        )
        run.recorder.emit(StepDone(report=result.report, eta_s=pace.eta_s(state.progress.step)))
        raise_findings(run, run.monitor.stepped(result.report))
        if state.health.has_no_signal:
            state.grading.settle()
            return _End(status=Status.NO_SIGNAL, reason=SOLVED if state.health.is_solved else None), state
        if state.health.is_not_finite:
            dump = run.recorder.dump(result)
            raise TrainingError(
                f"the loss or its gradient was infinite or not a number in {NOT_FINITE_LIMIT} updates in a row, so "
                f"the weights were left as they were; what the last step learned from is in {dump}. "
                "Lower optim.learning_rate, or set model.precision to float32."
            )
        state = _keep_up(run, state, pace)


def _pace(run: Run, state: RunState) -> Pace:
    after_training_s = 1.2 * state.evaluation_s + run.parameters / SAVED_PARAMETERS_PER_S + REPORT_S
    return Pace(
        plan=run.plan,
        clock=run.trainer.clock,
        began=run.began - state.seconds,
        first_step_s=state.evaluation_s,
        reserve_s=lambda: after_training_s + run.saver.cost_s,
    )


def _check_engine(run: Run, state: RunState) -> None:
    """Compares engine and learner before anything is sampled: samples of a wrong engine would teach nothing useful."""
    engine, updates = run.trainer.engine, state.progress.updates
    engine.load_weights(run.trainer.learner.weights(), updates)
    if run.trainer.canary is not None:
        run.trainer.canary.check(engine, updates, probe=True)


def _asked_end(request: RunRequest, updates: int) -> _End:
    match request:
        case RunRequest.CANCEL:
            return _End(status=Status.INTERRUPTED, reason=CANCELLED)
        case RunRequest.PAUSE:
            return _End(status=Status.PAUSED)
        case RunRequest.STOP:
            if updates == 0:
                raise StoppedError("stopped before anything was learned; no model was saved")
            return _End(status=Status.INTERRUPTED)


def _ending(run: Run, state: RunState, pace: Pace) -> _End | None:
    """Why there is no further step; None: there is one."""
    progress, request = state.progress, run.request()
    if request is not None:
        return _asked_end(request, progress.updates)
    if run.plan.steps is not None and progress.step >= run.plan.steps:
        return _End(status=Status.FINISHED)
    if state.best.is_over(run.plan.patience):
        return _End(status=Status.NO_PROGRESS)
    if run.plan.max_steps is not None and progress.step >= run.plan.max_steps:
        return _End(status=Status.PAUSED, reason=MAX_STEPS)
    if not pace.has_budget_for_a_step():
        return _End(status=Status.PAUSED, reason=MAX_MINUTES)
    if not pace.has_time_for_a_step():
        if progress.step == 0:
            raise TrainingError(
                f"the time limit leaves no time to train: the first evaluation took {state.evaluation_s:.0f} s, and "
                "as much is needed after it. Raise run.minutes (--minutes), or lower data.eval_size."
            )
        return _End(status=Status.OUT_OF_TIME)
    return None


def _keep_up(run: Run, state: RunState, pace: Pace) -> RunState:
    """Evaluates and saves if it is due."""
    state = replace(evaluate_if_due(run, state), seconds=pace.spent_s())
    if run.saver.is_due(state.progress.step):
        save(run, state)
    return state
