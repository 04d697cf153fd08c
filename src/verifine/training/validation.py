"""A run's evaluations: when they are made, what follows from them, and which weights become the model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from verifine.errors import CheckpointError
from verifine.insights.findings import Finding, to_event
from verifine.runs.evaluations import Evaluation
from verifine.runs.events import CheckpointDamaged, StageBegan
from verifine.training.evaluate import evaluate_policy
from verifine.training.run import Run
from verifine.training.state import RunState


def evaluate_if_due(run: Run, state: RunState) -> RunState:
    """Evaluates at the plan's interval, but not after the last step: there the final evaluation follows."""
    step, interval = state.progress.step, run.plan.eval_interval
    is_last = step == run.plan.steps
    return evaluate(run, state, _name_of(step)) if interval and step % interval == 0 and not is_last else state


def save(run: Run, state: RunState) -> None:
    """Begins a checkpoint, unless this step has one."""
    run.saver.save(state, state.best.scores)


def evaluate(run: Run, state: RunState, name: str) -> RunState:
    """The state with the result. Weights that are among the best so far are saved if these are to be kept."""
    evaluation = evaluate_now(run, name)
    if evaluation is None:
        return state
    step = state.progress.step
    state = replace(state, best=state.best.note(evaluation, step))
    is_best = run.plan.keeps_best and state.best.step == step
    if is_best or run.saver.keeps(step, state.best.scores):
        save(run, state)
    return state


def evaluate_now(run: Run, name: str) -> Evaluation | None:
    """Evaluates the policy, and records the result. None: there are no held-out prompts."""
    if not run.eval_set.prompts:
        return None
    run.recorder.emit(StageBegan(text=f"asking {len(run.eval_set.prompts)} held-out problems"))
    evaluation = evaluate_policy(run.eval_set, name)
    _record(run, evaluation)
    return evaluation


def _record(run: Run, evaluation: Evaluation) -> None:
    run.recorder.evaluation(evaluation)
    raise_findings(run, run.monitor.evaluated(evaluation))


def finish_with_best(run: Run, state: RunState) -> Evaluation | None:
    """Restores the weights of the best evaluation, and records that evaluation as the final one.

    They would give the same answers again, so nothing is sampled. None: no answer could be scored.
    """
    last = state.progress.step
    if run.recorder.find_evaluation(_name_of(last)) is None:
        state = evaluate(run, state, _name_of(last))
    best = _restore_best(run, state)
    if best is None:
        return None
    found = run.recorder.find_evaluation(_name_of(best))
    assert found is not None, "the best evaluation was recorded"
    final = replace(found, name="final", step=best)
    _record(run, final)
    return final


def _restore_best(run: Run, state: RunState) -> int | None:
    """Gives the learner the best weights that there are, and returns their step. None: no evaluation was scored.

    A checkpoint that was damaged meanwhile is passed over: the next best weights are better than none.
    """
    last, best = state.progress.step, state.best.step
    run.saver.finish()
    for step in state.best.ranking:
        if step == last:
            return step
        if step != best and step not in run.saver.saved_steps():
            continue
        try:
            run.saver.restore(step)
        except CheckpointError as error:
            run.recorder.emit(CheckpointDamaged(error=str(error)))
            continue
        run.trainer.engine.load_weights(run.trainer.learner.weights(), state.progress.updates)
        return step
    return None


def _name_of(step: int) -> str:
    """What the evaluation after `step` is called."""
    return "baseline" if step == 0 else f"step-{step}"


def raise_findings(run: Run, findings: Iterable[Finding]) -> None:
    """Records findings as events."""
    for finding in findings:
        run.recorder.emit(to_event(finding))
