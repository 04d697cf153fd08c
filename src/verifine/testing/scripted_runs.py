"""A run whose engine, grader and learner are fakes: everything around a step is real."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Literal

from verifine.algorithms.algorithm import default_algorithm
from verifine.checkpoints.store import CheckpointStore
from verifine.config import build_config
from verifine.config.memory import MemoryPlan
from verifine.graders import callable_grader
from verifine.insights.diagnosis.monitor import Monitor
from verifine.learner.learner import UpdateOutcome
from verifine.machine.disk import LOCAL_DISK
from verifine.models.chat.prompt import prompt_text
from verifine.models.policy import ModelPolicy
from verifine.runs.directory import RunDirectory
from verifine.runs.events import EvaluationDone, EventSink, RunEvent, StepDone
from verifine.testing.fakes import FakeLearner, ScriptedEngine
from verifine.testing.models import load_tiny_model
from verifine.training.checkpointing import Saver, SavingPlan
from verifine.training.evaluate import EvalSet, eval_sampling
from verifine.training.recorder import Recorder
from verifine.training.run import Plan, Run
from verifine.training.source import PromptSource
from verifine.training.state import RunState
from verifine.training.trainer import Trainer
from verifine.types import Example, Message, Prompt, Sampling

_EXAMPLES = [Example(id=f"e{i}", messages=(Message(role="user", content="?"),), item={}) for i in range(4)]
SHORT_PLAN = Plan(steps=3, seconds=None, eval_interval=None, patience=None, keeps_best=False)
START = RunState(memory=MemoryPlan(micro_batch_tokens=64, cache_bytes=1 << 20, recompute=False))


@dataclass(slots=True)
class Watcher:
    """A listener that remembers evaluations and steps."""

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


def scripted_run(
    folder: Path,
    plan: Plan = SHORT_PLAN,
    outcome: UpdateOutcome = UpdateOutcome.APPLIED,
    clock: Callable[[], float] = lambda: 0.0,
    save_interval: int | Literal["auto"] = "auto",
    keep_best: int = 0,
) -> tuple[Run, Watcher]:
    """A run in `folder`, and a listener of its events. In each group the first answer is right, the others are not."""
    model = load_tiny_model(folder / "base")
    trainer = Trainer(
        source=PromptSource(_EXAMPLES, lambda e: Prompt(id=e.id, token_ids=(5, 6), item={}), seed=0),
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
    directory = RunDirectory.create(folder / "run", "name", datetime(2026, 1, 1, tzinfo=UTC))
    watcher = Watcher()
    moments = itertools.count()
    events = EventSink(directory.events, lambda: datetime.fromtimestamp(next(moments), UTC), listeners=[watcher])
    recorder = Recorder(directory, partial(prompt_text, model), events)
    saving = SavingPlan(interval=save_interval, keep_last=2, keep_best=keep_best)
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
