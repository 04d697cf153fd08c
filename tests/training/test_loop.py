from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Literal

import pytest
from safetensors.torch import load_file

from verifine.algorithms import Loss
from verifine.algorithms.algorithm import default_algorithm
from verifine.checkpoints.store import CheckpointStore
from verifine.config import build_config
from verifine.config.memory import MemoryPlan
from verifine.errors import GraderError, StoppedError, TrainingError
from verifine.graders import callable_grader
from verifine.insights.diagnosis.monitor import Monitor
from verifine.learner.learner import TrainingBatch, UpdateOutcome, UpdateReport
from verifine.machine.disk import LOCAL_DISK
from verifine.models.chat import prompt_text
from verifine.models.policy import ModelPolicy
from verifine.runs.directory import RunDirectory
from verifine.runs.evaluations import read_evaluations
from verifine.runs.events import CheckpointSaved, EvaluationDone, EventSink, RunEvent, StepDone, read_events
from verifine.runs.metrics import read_metrics
from verifine.runs.requests import RunRequest
from verifine.runs.rollouts import read_rollouts, rollouts_path
from verifine.runs.status import Status, find_status
from verifine.testing import FakeLearner, ScriptedEngine, load_tiny_model
from verifine.training.checkpointing import Saver, SavingPlan
from verifine.training.evaluate import EvalSet, eval_sampling
from verifine.training.loop import execute
from verifine.training.recorder import Recorder
from verifine.training.run import Plan, Run
from verifine.training.source import PromptSource
from verifine.training.state import RunState
from verifine.training.trainer import Trainer
from verifine.types import Example, Message, Prompt, Sampling

EXAMPLES = [Example(id=f"e{i}", messages=(Message(role="user", content="?"),), item={}) for i in range(4)]
PLAN = Plan(steps=3, seconds=None, eval_interval=None, patience=None, keeps_best=False)
START = RunState(memory=MemoryPlan(micro_batch_tokens=64, cache_bytes=1 << 20, recompute=False))


@dataclass
class Watcher:
    """Remembers what it is shown."""

    evaluations: list[str] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    etas: list[float | None] = field(default_factory=list)

    def __call__(self, event: RunEvent) -> None:
        match event:
            case EvaluationDone(name=name):
                self.evaluations.append(name)
            case StepDone(report=report, eta_s=eta_s):
                self.steps.append(report.step)
                self.etas.append(eta_s)


def make_run(
    tmp_path: Path,
    plan: Plan = PLAN,
    outcome: UpdateOutcome = UpdateOutcome.APPLIED,
    clock: Callable[[], float] = lambda: 0.0,
    save_interval: int | Literal["auto"] = "auto",
) -> tuple[Run, Watcher]:
    model = load_tiny_model(tmp_path / "base")
    trainer = Trainer(
        source=PromptSource(EXAMPLES, lambda e: Prompt(id=e.id, token_ids=(5, 6), item={}), seed=0),
        engine=ScriptedEngine(lambda _, sample: "yes" if sample == 0 else "no"),
        grader=callable_grader(lambda sample, _: float(sample["output_text"] == "yes")),
        algorithm=default_algorithm("grpo"),
        learner=FakeLearner(outcome),
        canary=None,
        sampling=Sampling(group_size=2, max_new_tokens=8),
        prompts_per_step=2,
        max_resample=0,
        epochs=1,
        mini_batches=1,
        clock=clock,
    )
    directory = RunDirectory.create(tmp_path / "run", "name", datetime(2026, 1, 1, tzinfo=UTC))
    watcher = Watcher()
    moments = itertools.count()
    now = lambda: datetime.fromtimestamp(next(moments), UTC)  # noqa: E731
    recorder = Recorder(directory, partial(prompt_text, model), EventSink(directory.events, now, listeners=[watcher]))
    saving = SavingPlan(interval=save_interval, keep_last=2, keep_best=0)
    saver = Saver(trainer.learner, CheckpointStore(directory.checkpoints, LOCAL_DISK), saving, recorder, clock)
    run = Run(
        trainer=trainer,
        policy=ModelPolicy(model),
        model_name=model.name,
        parameters=model.parameter_count,
        eval_set=EvalSet(
            prompts=[Prompt(id="held-out/1", token_ids=(5,), item={"gt_answer": 7}, question="?")],
            engine=trainer.engine,
            grader=trainer.grader,
            second_grader=None,
            sampling=eval_sampling(trainer.sampling, 1, None),
            pass_score=None,
        ),
        plan=plan,
        directory=directory,
        recorder=recorder,
        saver=saver,
        monitor=Monitor(build_config({"data": {"task": "largest"}})),
        request=lambda: None,
        began=0.0,
    )
    return run, watcher


def test_a_run_evaluates_trains_evaluates_and_saves(tmp_path: Path) -> None:
    run, watcher = make_run(tmp_path)
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
        "evaluation",
        "saved",
        "ended",
    ]


def test_every_rollout_is_written_with_its_advantage(tmp_path: Path) -> None:
    run, _ = make_run(tmp_path)
    execute(run, START)
    records = read_rollouts(rollouts_path(run.directory.rollouts, 2))
    assert [record.text for record in records] == ["yes", "no"] * 2
    expected = 0.5 / (0.5**0.5 + 1e-4)
    assert [record.advantage for record in records] == pytest.approx([expected, -expected] * 2)
    assert records[0].prompt == load_tiny_model(tmp_path / "base").tokenizer.decode([5, 6])
    assert len(records[0].logprobs) == len(records[0].token_ids) == 3


def test_an_interrupted_run_saves_and_skips_the_final_evaluation(tmp_path: Path) -> None:
    run, watcher = make_run(tmp_path, replace(PLAN, steps=100))
    summary = execute(replace(run, request=lambda: RunRequest.STOP if len(watcher.steps) == 2 else None), START)
    assert summary.ending is Status.INTERRUPTED
    assert summary.progress.step == 2
    assert summary.final is None
    assert run.directory.model.is_dir()
    assert find_status(run.directory).status == "interrupted"


def test_a_run_interrupted_before_anything_was_learned_saves_nothing(tmp_path: Path) -> None:
    run, _ = make_run(tmp_path)
    with pytest.raises(StoppedError, match="before anything was learned"):
        execute(replace(run, request=lambda: RunRequest.STOP), START)
    assert not run.directory.model.exists()
    assert find_status(run.directory).status == "interrupted"


def test_an_interrupt_during_the_last_evaluation_is_still_an_interrupt(tmp_path: Path) -> None:
    run, watcher = make_run(tmp_path)
    summary = execute(replace(run, request=lambda: RunRequest.STOP if "final" in watcher.evaluations else None), START)
    assert summary.ending is Status.INTERRUPTED
    assert summary.final is not None


def test_a_time_limit_without_time_for_a_step_fails_with_the_way_out(tmp_path: Path) -> None:
    ticks = itertools.count()
    run, _ = make_run(tmp_path, replace(PLAN, steps=None, seconds=5.0), clock=lambda: float(next(ticks)))
    with pytest.raises(TrainingError, match="leaves no time to train.*Raise run.minutes"):
        execute(run, START)


def test_a_run_without_signal_because_nothing_could_be_scored_blames_the_grader(tmp_path: Path) -> None:
    run, _ = make_run(tmp_path, replace(PLAN, steps=100), UpdateOutcome.NO_SIGNAL)
    broken = callable_grader(lambda sample, item: 1 / 0)
    with pytest.raises(GraderError, match="80 of 80 answers"):
        execute(replace(run, trainer=replace(run.trainer, grader=broken)), START)


def test_a_run_ends_before_a_step_that_would_not_fit_its_time(tmp_path: Path) -> None:
    # The clock moves one second a reading, so a step takes ten to twenty.
    ticks = itertools.count()
    run, watcher = make_run(tmp_path, replace(PLAN, steps=None, seconds=100.0), clock=lambda: float(next(ticks)))
    summary = execute(run, START)
    assert summary.ending is Status.OUT_OF_TIME
    assert 3 <= summary.progress.step <= 9
    assert next(ticks) < 100
    etas = [eta for eta in watcher.etas if eta is not None]
    assert len(etas) == summary.progress.step
    assert etas == sorted(etas, reverse=True)


def test_evaluations_and_checkpoints_come_at_their_intervals(tmp_path: Path) -> None:
    run, watcher = make_run(tmp_path, replace(PLAN, steps=7, eval_interval=2), save_interval=3)
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

    run, _ = make_run(tmp_path, replace(PLAN, steps=20), clock=lambda: now[0])
    saving = SavingPlan(interval="auto", keep_last=2, keep_best=0)
    store = CheckpointStore(run.directory.checkpoints, LOCAL_DISK)
    patient = Patient(run.trainer.learner, store, saving, run.recorder, run.trainer.clock)
    execute(replace(run, saver=patient, request=next_step), START)
    saved = [
        record.event.step for record in read_events(run.directory.events) if isinstance(record.event, CheckpointSaved)
    ]
    assert saved == [4, 8, 12, 16, 20]


def test_a_paused_run_leaves_a_checkpoint_and_nothing_that_comes_at_the_end(tmp_path: Path) -> None:
    run, watcher = make_run(tmp_path)
    summary = execute(replace(run, request=lambda: RunRequest.PAUSE if len(watcher.steps) == 2 else None), START)
    assert (summary.ending, summary.progress.step, summary.final) == (Status.PAUSED, 2, None)
    assert [path.name for path in run.directory.checkpoints.iterdir()] == ["step-000002"]
    assert not run.directory.model.exists()
    assert find_status(run.directory).status == "paused"


def test_twenty_steps_without_signal_end_a_run(tmp_path: Path) -> None:
    run, _ = make_run(tmp_path, replace(PLAN, steps=100), UpdateOutcome.NO_SIGNAL)
    summary = execute(run, START)
    assert summary.ending is Status.NO_SIGNAL
    assert summary.progress.step == 20
    assert summary.progress.updates == 0


@pytest.mark.parametrize("name", ["grpo", "ppo"])
def test_a_grader_that_never_tells_answers_apart_ends_a_run(name: str, tmp_path: Path) -> None:
    run, watcher = make_run(tmp_path, replace(PLAN, steps=100))
    same = replace(run.trainer, grader=callable_grader(lambda sample, item: 0.0), algorithm=default_algorithm(name))
    assert execute(replace(run, trainer=same), START).ending is Status.NO_SIGNAL
    assert watcher.steps == list(range(1, 21))


def test_mini_batches_without_signal_do_not_hide_a_gradient_that_stays_infinite(tmp_path: Path) -> None:
    class Alternating(FakeLearner):
        def update(self, training_batch: TrainingBatch, loss: Loss) -> UpdateReport:
            report = super().update(training_batch, loss)
            silent = len(self.training_batches) % 2 == 0
            return replace(report, outcome=UpdateOutcome.NO_SIGNAL if silent else UpdateOutcome.NOT_FINITE)

    run, watcher = make_run(tmp_path, replace(PLAN, steps=100))
    broken = replace(run, trainer=replace(run.trainer, learner=Alternating(), mini_batches=2))
    with pytest.raises(TrainingError, match="3 updates in a row"):
        execute(broken, START)
    assert watcher.steps == [1, 2, 3]


def test_a_gradient_that_stays_infinite_fails_a_run(tmp_path: Path) -> None:
    run, watcher = make_run(tmp_path, replace(PLAN, steps=100), UpdateOutcome.NOT_FINITE)
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
    run, _ = make_run(tmp_path, replace(PLAN, steps=1000))
    broken = callable_grader(lambda sample, item: 1 / 0)
    with pytest.raises(GraderError, match=r"80 of 80 answers(.|\n)*ZeroDivisionError: division by zero"):
        execute(replace(run, trainer=replace(run.trainer, grader=broken)), START)


def test_without_held_out_prompts_nothing_is_evaluated(tmp_path: Path) -> None:
    run, watcher = make_run(tmp_path)
    summary = execute(replace(run, eval_set=replace(run.eval_set, prompts=[])), START)
    assert (summary.baseline, summary.final, watcher.evaluations) == (None, None, [])
