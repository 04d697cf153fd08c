"""TRL's side of benchmarks/learning.py. What it takes from Verifine is imported and loaded off the clock."""

from __future__ import annotations

import math
import statistics
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets import Dataset
from learning_curve import Clock, Recorder, Setup
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback, TrainerControl
from trl import GRPOConfig, GRPOTrainer

if TYPE_CHECKING:
    from learning_task import LearningTask

    from verifine.config.resolve import ResolvedConfig

ENDLESS = 1_000_000
"""Steps. The clock ends training long before."""


class Reporting(TrainerCallback):  # type: ignore[misc]
    """Tells the recorder of each step, and ends training when the recorder has its last measurement."""

    def __init__(self, recorder: Recorder, rewards: Sequence[float | None]) -> None:
        """`rewards` has the mean reward of each step that was sampled."""
        self._recorder = recorder
        self._rewards = rewards

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self._recorder.begin()

    def on_step_end(self, _args: Any, _state: Any, control: TrainerControl, **_: Any) -> None:
        control.should_training_stop = self._recorder.step_done(self._rewards[-1])


def learn(setup: Setup, seed: int, clock: Clock) -> tuple[Recorder, str]:
    """Trains with TRL; returns what was measured, and the precision."""
    with ExitStack() as stack:
        with clock.stopped():
            from learning_task import open_task

            task = stack.enter_context(open_task(setup, seed))
        trainer, recorder = make_trainer(task, setup, clock, Path(stack.enter_context(tempfile.TemporaryDirectory())))
        trainer.train()
    return recorder, task.config.model.precision


def make_trainer(task: LearningTask, setup: Setup, clock: Clock, folder: Path) -> tuple[GRPOTrainer, Recorder]:
    """The trainer writes to `folder`."""
    rewards: list[float | None] = []

    def grader(completion_ids: Sequence[Sequence[int]], position: Sequence[int], **_: Any) -> list[float | None]:
        scores = task.score(position, completion_ids)
        known = [score for score in scores if score is not None]
        rewards.append(statistics.fmean(known) if known else None)
        return scores

    rows = [
        {"prompt": [{"role": each.role, "content": each.content} for each in example.messages], "position": position}
        for position, example in enumerate(task.examples)
    ]
    model = AutoModelForCausalLM.from_pretrained(task.folder, dtype="float32")
    recorder = Recorder(clock, setup.marks, lambda: task.accuracy_of(model.state_dict()))
    trainer = GRPOTrainer(
        model=model,
        processing_class=AutoTokenizer.from_pretrained(task.folder),
        reward_funcs=grader,
        train_dataset=Dataset.from_list(rows),
        callbacks=[Reporting(recorder, rewards)],
        args=arguments(task.config, setup.trl_micro_batch, folder),
    )
    return trainer, recorder


def arguments(config: ResolvedConfig, most_read: int, folder: Path) -> GRPOConfig:
    """What benchmarks/learning.py says of TRL's settings. At most `most_read` rollouts are read at a time."""
    sampling, optim = config.sampling, config.optim
    rollouts = sampling.prompts_per_step * sampling.group_size
    micro_batch = math.gcd(rollouts, most_read)
    return GRPOConfig(
        output_dir=str(folder),
        seed=config.run.seed,
        max_steps=ENDLESS,
        shuffle_dataset=False,
        # All answers of a step are sampled at once and are one optimiser step, read in micro-batches.
        per_device_train_batch_size=micro_batch,
        gradient_accumulation_steps=rollouts // micro_batch,
        num_generations=sampling.group_size,
        max_completion_length=sampling.max_new_tokens,
        temperature=sampling.temperature,
        scale_rewards={"std": "group", "batch": "batch", "none": "none"}[config.reward.scaling or "std"],
        learning_rate=optim.learning_rate,
        lr_scheduler_type="constant",
        adam_beta1=optim.betas[0],
        adam_beta2=optim.betas[1],
        weight_decay=optim.weight_decay,
        max_grad_norm=optim.max_grad_norm,
        use_cpu=True,
        bf16=config.model.precision == "bfloat16",
        gradient_checkpointing=False,
        dataloader_pin_memory=False,
        save_strategy="no",
        report_to="none",
        logging_strategy="no",
        disable_tqdm=True,
    )
