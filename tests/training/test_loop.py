from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file

from verifine.algorithms import Loss
from verifine.algorithms.algorithm import default_algorithm
from verifine.checkpoints.store import CheckpointStore
from verifine.errors import EngineError, GraderError, StoppedError, TrainingError
from verifine.graders import callable_grader
from verifine.learner.learner import TrainingBatch, UpdateOutcome, UpdateReport
from verifine.machine.disk import LOCAL_DISK, Disk
from verifine.models.policy import ModelPolicy
from verifine.runs.evaluations import read_evaluations
from verifine.runs.events import CheckpointSaved, read_events
from verifine.runs.metrics import read_metrics
from verifine.runs.requests import RunRequest
from verifine.runs.rollouts import read_rollouts, read_tokens, rollouts_path
from verifine.runs.status import RunStatus, Status, find_status
from verifine.testing import FakeLearner, ScriptedEngine, load_tiny_model
from verifine.testing.scripted_runs import SHORT_PLAN, START, scripted_run
from verifine.training.checkpointing import Saver, SavingPlan
from verifine.training.loop import execute
from verifine.training.schedule import Schedule
from verifine.training.state import RunState
from verifine.types import Group, Prompt, Sampling


def test_a_run_evaluates_trains_evaluates_and_saves(tmp_path: Path) -> None:
    run, watcher = scripted_run(tmp_path)
    summary = execute(run, START)
    assert summary.ending is Status.FINISHED
    assert (summary.progress.step, summary.progress.updates, summary.progress.position) == (3, 3, 6)
    assert watcher.evaluations == ["baseline", "final"]
    assert watcher.steps == [1, 2, 3]
    assert summary.final is not None
    assert summary.final.reward == 1
    assert summary.final.samples[0].gold == "7"
    assert (run.directory.model / "model.safetensors").is_file()
    assert [report.step for report in read_metrics(run.directory.metrics)] == [1, 2, 3]
    assert list(read_evaluations(run.directory.evaluations)) == ["baseline", "final"]
    assert [event.event.kind for event in read_events(run.directory.events)] == [
        "started",
        "evaluation",
        "saved",
        "model_saved",
        "evaluation",
        "ended",
    ]


def test_every_rollout_is_written_with_its_advantage(tmp_path: Path) -> None:
    run, _ = scripted_run(tmp_path)
    execute(run, START)
    records = read_rollouts(rollouts_path(run.directory.rollouts, 2))
    assert [record.text for record in records] == ["yes", "no"] * 2
    expected = 0.5 / (0.5**0.5 + 1e-4)
    assert [record.advantage for record in records] == pytest.approx([expected, -expected] * 2)
    assert records[0].prompt == load_tiny_model(tmp_path / "base").tokenizer.decode([5, 6])
    assert [record.reward for record in records] == [1.0, 0.0] * 2
    assert records[1].tokens == (3, 5)
    tokens = read_tokens(rollouts_path(run.directory.rollouts, 2), *records[1].tokens)
    assert tokens.numbers.advantage.tolist() == pytest.approx([-expected] * 2, abs=1e-3)


class FailsAtTheEnd(ScriptedEngine):
    """An engine that cannot answer once training is over."""

    def __init__(self, steps: int) -> None:
        super().__init__(lambda _, sample: "yes" if sample == 0 else "no")
        self._left = 1 + steps  # the first evaluation

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, samples: Sequence[range] | None = None
    ) -> list[Group]:
        if not self._left:
            raise EngineError("the engine is gone")
        self._left -= 1
        return super().generate(prompts, sampling, samples)


def test_a_last_evaluation_that_fails_comes_after_the_model_is_saved(tmp_path: Path) -> None:
    run, watcher = scripted_run(tmp_path)
    engine = FailsAtTheEnd(steps=3)
    run = replace(run, trainer=replace(run.trainer, engine=engine), eval_set=replace(run.eval_set, engine=engine))
    with pytest.raises(EngineError):
        execute(run, START)
    assert watcher.steps == [1, 2, 3]
    kinds = [event.event.kind for event in read_events(run.directory.events)]
    assert kinds == ["started", "evaluation", "saved", "model_saved", "ended"]
    assert (run.directory.model / "model.safetensors").is_file()


class FailingPolicy(ModelPolicy):
    """A policy that cannot be saved."""

    def export(self, folder: Path, disk: Disk) -> None:
        assert (folder.parent / "checkpoints" / "step-000003").is_dir(), "it is on the disk by now"
        raise RuntimeError("a fault of the exporter")


def test_saving_is_tried_when_the_last_checkpoint_is_on_the_disk(tmp_path: Path) -> None:
    run, _ = scripted_run(tmp_path)
    with pytest.raises(RuntimeError, match="a fault of the exporter"):
        execute(replace(run, policy=FailingPolicy(load_tiny_model(tmp_path / "base"))), START)
    kinds = [event.event.kind for event in read_events(run.directory.events)]
    assert kinds == ["started", "evaluation", "saved", "ended"]
    assert find_status(run.directory).reason == "internal"


def test_an_interrupted_run_saves_and_skips_the_final_evaluation(tmp_path: Path) -> None:
    run, watcher = scripted_run(tmp_path, replace(SHORT_PLAN, steps=100))
    summary = execute(replace(run, request=lambda: RunRequest.STOP if len(watcher.steps) == 2 else None), START)
    assert summary.ending is Status.INTERRUPTED
    assert summary.progress.step == 2
    assert summary.final is None
    assert run.directory.model.is_dir()
    assert find_status(run.directory).status == "interrupted"


def test_a_run_interrupted_before_anything_was_learned_saves_nothing(tmp_path: Path) -> None:
    run, _ = scripted_run(tmp_path)
    with pytest.raises(StoppedError, match="before anything was learned"):
        execute(replace(run, request=lambda: RunRequest.STOP), START)
    assert not run.directory.model.exists()
    assert find_status(run.directory).status == "interrupted"


def test_an_interrupt_during_the_last_evaluation_is_still_an_interrupt(tmp_path: Path) -> None:
    run, watcher = scripted_run(tmp_path)
    summary = execute(replace(run, request=lambda: RunRequest.STOP if "final" in watcher.evaluations else None), START)
    assert summary.ending is Status.INTERRUPTED
    assert summary.final is not None


def test_a_time_limit_without_time_for_a_step_fails_with_the_way_out(tmp_path: Path) -> None:
    ticks = itertools.count()
    run, _ = scripted_run(tmp_path, replace(SHORT_PLAN, steps=None, seconds=5.0), clock=lambda: float(next(ticks)))
    with pytest.raises(TrainingError, match="leaves no time to train.*Raise run.minutes"):
        execute(run, START)


def test_a_run_without_signal_because_nothing_could_be_scored_blames_the_grader(tmp_path: Path) -> None:
    run, _ = scripted_run(tmp_path, replace(SHORT_PLAN, steps=100), UpdateOutcome.NO_SIGNAL)
    broken = callable_grader(lambda sample, item: 1 / 0)
    with pytest.raises(GraderError, match="80 of 80 answers"):
        execute(replace(run, trainer=replace(run.trainer, grader=broken)), START)


def test_a_run_ends_before_a_step_that_would_not_fit_its_time(tmp_path: Path) -> None:
    # The clock moves one second a reading, so a step takes ten to twenty.
    ticks = itertools.count()
    run, watcher = scripted_run(
        tmp_path, replace(SHORT_PLAN, steps=None, seconds=100.0), clock=lambda: float(next(ticks))
    )
    summary = execute(run, START)
    assert summary.ending is Status.OUT_OF_TIME
    assert 3 <= summary.progress.step <= 9
    assert next(ticks) < 100
    etas = [eta for eta in watcher.etas if eta is not None]
    assert len(etas) == summary.progress.step
    assert etas == sorted(etas, reverse=True)


@pytest.mark.parametrize(("most", "reason"), [({"max_steps": 2}, "max_steps"), ({"max_seconds": 100.0}, "max_minutes")])
def test_a_run_that_has_used_its_budget_pauses_with_a_checkpoint(
    tmp_path: Path, most: dict[str, float], reason: str
) -> None:
    ticks = itertools.count()
    plan = replace(SHORT_PLAN, steps=50, **most)  # type: ignore[arg-type]
    run, watcher = scripted_run(tmp_path, plan, clock=lambda: float(next(ticks)))
    summary = execute(run, START)
    assert (summary.ending, summary.reason) == (Status.PAUSED, reason)
    assert summary.progress.step == 2 if reason == "max_steps" else 3 <= summary.progress.step <= 9
    assert (run.directory.checkpoints / f"step-{summary.progress.step:06}").is_dir()
    assert watcher.evaluations == ["baseline"]
    assert not run.directory.model.exists()


@pytest.mark.parametrize("step", [0, 2])
def test_a_paused_run_has_counted_all_its_time_also_that_of_evaluations(tmp_path: Path, step: int) -> None:
    class Remembering(Saver):
        def save(self, state: RunState, scores: Mapping[int, float]) -> None:
            saved.append(state)
            super().save(state, scores)

    saved: list[RunState] = []
    now = [100.0]

    def pause_after_the_evaluation() -> RunRequest | None:
        now[0] += 15.0
        return RunRequest.PAUSE if len(watcher.steps) == step else None

    plan = replace(SHORT_PLAN, eval_interval=2)
    run, watcher = scripted_run(tmp_path, plan, clock=lambda: now[0])
    store = CheckpointStore(run.directory.checkpoints, LOCAL_DISK)
    saving = SavingPlan(interval=10, keep_last=1, keep_best=0)
    saver = Remembering(run.trainer.learner, store, saving, run.recorder, run.trainer.clock)
    summary = execute(replace(run, saver=saver, request=pause_after_the_evaluation), START)
    assert (summary.ending, summary.progress.step) == (Status.PAUSED, step)
    assert saved[-1].seconds == now[0] - run.began > 0


def test_evaluations_and_checkpoints_come_at_their_intervals(tmp_path: Path) -> None:
    run, watcher = scripted_run(tmp_path, replace(SHORT_PLAN, steps=7, eval_interval=2), save_interval=3)
    execute(run, START)
    assert watcher.evaluations == ["baseline", "step-2", "step-4", "step-6", "final"]
    saved = [
        record.event.step for record in read_events(run.directory.events) if isinstance(record.event, CheckpointSaved)
    ]
    assert saved == [3, 6, 7]
    assert sorted(path.name for path in run.directory.checkpoints.iterdir()) == ["step-000006", "step-000007"]


def test_checkpoints_come_once_a_minute_where_nobody_says_how_often(tmp_path: Path) -> None:
    class Patient(Saver):
        """Waits until a checkpoint is written, so that it takes no time on a clock that only steps move."""

        def save(self, state: RunState, scores: Mapping[int, float]) -> None:
            super().save(state, scores)
            self.finish()

    now = [0.0]

    def next_step() -> None:
        now[0] += 15.0

    run, _ = scripted_run(tmp_path, replace(SHORT_PLAN, steps=20), clock=lambda: now[0])
    saving = SavingPlan(interval="auto", keep_last=2, keep_best=0)
    store = CheckpointStore(run.directory.checkpoints, LOCAL_DISK)
    patient = Patient(run.trainer.learner, store, saving, run.recorder, run.trainer.clock)
    execute(replace(run, saver=patient, request=next_step), START)
    saved = [
        record.event.step for record in read_events(run.directory.events) if isinstance(record.event, CheckpointSaved)
    ]
    assert saved == [4, 8, 12, 16, 20]


def test_a_paused_run_leaves_a_checkpoint_and_nothing_that_comes_at_the_end(tmp_path: Path) -> None:
    run, watcher = scripted_run(tmp_path)
    summary = execute(replace(run, request=lambda: RunRequest.PAUSE if len(watcher.steps) == 2 else None), START)
    assert (summary.ending, summary.progress.step, summary.final) == (Status.PAUSED, 2, None)
    assert [path.name for path in run.directory.checkpoints.iterdir()] == ["step-000002"]
    assert not run.directory.model.exists()
    assert find_status(run.directory).status == "paused"


def test_twenty_steps_without_signal_end_a_run(tmp_path: Path) -> None:
    run, _ = scripted_run(tmp_path, replace(SHORT_PLAN, steps=100), UpdateOutcome.NO_SIGNAL)
    summary = execute(run, START)
    assert summary.ending is Status.NO_SIGNAL
    assert summary.progress.step == 20
    assert summary.progress.updates == 0


@pytest.mark.parametrize("name", ["grpo", "ppo"])
def test_a_grader_that_never_tells_answers_apart_ends_a_run(name: str, tmp_path: Path) -> None:
    run, watcher = scripted_run(tmp_path, replace(SHORT_PLAN, steps=100))
    same = replace(run.trainer, grader=callable_grader(lambda sample, item: 0.0), algorithm=default_algorithm(name))
    summary = execute(replace(run, trainer=same), START)
    assert (summary.ending, summary.reason) == (Status.NO_SIGNAL, None)
    assert watcher.steps == list(range(1, 21))


def test_a_linear_schedule_lowers_the_learning_rate_step_by_step(tmp_path: Path) -> None:
    run, _ = scripted_run(tmp_path, replace(SHORT_PLAN, steps=4, schedule=Schedule(final_share=0.2)))
    learner = FakeLearner()
    execute(replace(run, trainer=replace(run.trainer, learner=learner)), START)
    assert learner.rate_factors == pytest.approx([1.0, 0.8, 0.6, 0.4])


def test_a_run_that_gets_everything_right_ends_as_solved(tmp_path: Path) -> None:
    run, _ = scripted_run(tmp_path, replace(SHORT_PLAN, steps=100))
    right = replace(run.trainer, grader=callable_grader(lambda sample, item: 1.0))
    summary = execute(replace(run, trainer=right), START)
    assert (summary.ending, summary.reason, summary.progress.step) == (Status.NO_SIGNAL, "solved", 20)
    assert summary.final is not None
    assert find_status(run.directory) == RunStatus(status=Status.NO_SIGNAL, reason="solved")


def test_mini_batches_without_signal_do_not_hide_a_gradient_that_stays_infinite(tmp_path: Path) -> None:
    class Alternating(FakeLearner):
        def update(self, training_batch: TrainingBatch, loss: Loss, rate_factor: float = 1.0) -> UpdateReport:
            report = super().update(training_batch, loss)
            silent = len(self.training_batches) % 2 == 0
            return replace(report, outcome=UpdateOutcome.NO_SIGNAL if silent else UpdateOutcome.NOT_FINITE)

    run, watcher = scripted_run(tmp_path, replace(SHORT_PLAN, steps=100))
    broken = replace(run, trainer=replace(run.trainer, learner=Alternating(), mini_batches=2))
    with pytest.raises(TrainingError, match="3 updates in a row"):
        execute(broken, START)
    assert watcher.steps == [1, 2, 3]


def test_a_gradient_that_stays_infinite_fails_a_run(tmp_path: Path) -> None:
    run, watcher = scripted_run(tmp_path, replace(SHORT_PLAN, steps=100), UpdateOutcome.NOT_FINITE)
    with pytest.raises(TrainingError, match="3 updates in a row"):
        execute(run, START)
    assert watcher.steps == [1, 2, 3]
    status = find_status(run.directory)
    assert status.status is Status.FAILED
    assert "optim.learning_rate" in (status.message or "")
    dumped = load_file(run.directory.dumps / "step-000003.safetensors")
    assert {"tokens", "row", "behaviour_logprobs", "rewards", "valid", "advantages"} <= dumped.keys()
    assert dumped["rewards"].tolist() == [[1.0, 0.0]] * 2


def test_a_grader_that_keeps_failing_fails_a_run(tmp_path: Path) -> None:
    run, _ = scripted_run(tmp_path, replace(SHORT_PLAN, steps=1000))
    broken = callable_grader(lambda sample, item: 1 / 0)
    with pytest.raises(GraderError, match=r"80 of 80 answers(.|\n)*ZeroDivisionError: division by zero"):
        execute(replace(run, trainer=replace(run.trainer, grader=broken)), START)


def test_without_held_out_prompts_nothing_is_evaluated(tmp_path: Path) -> None:
    run, watcher = scripted_run(tmp_path)
    summary = execute(replace(run, eval_set=replace(run.eval_set, prompts=[])), START)
    assert (summary.baseline, summary.final, watcher.evaluations) == (None, None, [])
