from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from verifine.graders import callable_grader
from verifine.runs.evaluations import read_evaluations
from verifine.runs.events import CheckpointSaved, read_events
from verifine.testing.scripted_runs import SHORT_PLAN, START, scripted_run
from verifine.training.run import Run
from verifine.training.state import RunState
from verifine.training.trainer import Progress
from verifine.training.validation import evaluate, evaluate_if_due, evaluate_now, finish_with_best, save


def after(step: int) -> RunState:
    return replace(START, progress=Progress(step=step, updates=step))


def scoring(run: Run, score: float) -> Run:
    """The run, with held-out answers that all get `score`."""
    grader = callable_grader(lambda sample, item: score)
    return replace(run, eval_set=replace(run.eval_set, grader=grader))


@pytest.mark.parametrize(("step", "is_due"), [(1, False), (2, True), (4, True), (6, False)])
def test_an_evaluation_comes_at_its_interval_but_not_after_the_last_step(
    step: int, is_due: bool, tmp_path: Path
) -> None:
    run, watcher = scripted_run(tmp_path, replace(SHORT_PLAN, steps=6, eval_interval=2))
    evaluate_if_due(run, after(step))
    assert watcher.evaluations == ([f"step-{step}"] if is_due else [])


def test_without_an_interval_no_evaluation_is_due(tmp_path: Path) -> None:
    run, watcher = scripted_run(tmp_path)
    assert evaluate_if_due(run, after(2)) == after(2)
    assert watcher.evaluations == []


def test_an_evaluation_is_written_and_changes_the_best(tmp_path: Path) -> None:
    run, watcher = scripted_run(tmp_path)
    state = evaluate(run, after(2), "step-2")
    assert state.best.scores == {2: 1.0}
    assert watcher.evaluations == list(read_evaluations(run.directory.evaluations)) == ["step-2"]


def test_without_held_out_prompts_there_is_no_result(tmp_path: Path) -> None:
    run, watcher = scripted_run(tmp_path)
    run = replace(run, eval_set=replace(run.eval_set, prompts=[]))
    assert evaluate_now(run, "baseline") is None
    assert evaluate(run, START, "baseline") == START
    assert watcher.evaluations == []


@pytest.mark.parametrize(("keeps_best", "kept"), [(True, ["step-000001", "step-000003"]), (False, [])])
def test_weights_that_are_better_than_all_before_are_saved_where_the_best_are_kept(
    keeps_best: bool, kept: list[str], tmp_path: Path
) -> None:
    run, _ = scripted_run(tmp_path, replace(SHORT_PLAN, keeps_best=keeps_best))
    state = START
    for step, score in ((1, 0.5), (2, 0.4), (3, 0.8)):
        state = evaluate(scoring(run, score), replace(state, progress=Progress(step=step)), f"step-{step}")
        run.saver.finish()
    assert sorted(path.name for path in run.directory.checkpoints.glob("step-*")) == kept


def test_evaluations_among_the_best_that_are_kept_save_their_weights(tmp_path: Path) -> None:
    run, _ = scripted_run(tmp_path, keep_best=2)
    state = START
    for step, score in ((0, 0.9), (1, 0.5), (2, 0.2), (3, 0.2), (4, 0.8)):
        state = evaluate(scoring(run, score), replace(state, progress=Progress(step=step)), f"step-{step}")
        run.saver.finish()
    events = [record.event for record in read_events(run.directory.events)]
    assert [event.step for event in events if isinstance(event, CheckpointSaved)] == [1, 2, 4]
    assert sorted(path.name for path in run.directory.checkpoints.glob("step-*")) == [
        "step-000001",
        "step-000002",
        "step-000004",
    ]


def test_the_best_evaluation_becomes_the_final_one(tmp_path: Path) -> None:
    run, watcher = scripted_run(tmp_path, replace(SHORT_PLAN, keeps_best=True))
    state = evaluate(scoring(run, 0.8), after(1), "step-1")
    final = finish_with_best(scoring(run, 0.3), replace(state, progress=Progress(step=3, updates=3)))
    assert final is not None
    assert (final.name, final.step, final.reward) == ("final", 1, 0.8)
    assert watcher.evaluations == ["step-1", "step-3", "final"]


def test_saving_a_step_twice_makes_one_checkpoint(tmp_path: Path) -> None:
    run, _ = scripted_run(tmp_path)
    for _ in range(2):
        save(run, after(1))
    run.saver.finish()
    assert [path.name for path in run.directory.checkpoints.iterdir()] == ["step-000001"]
