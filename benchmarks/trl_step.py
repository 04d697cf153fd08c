"""How long TRL takes for the work of benchmarks/step.py: the yardstick.

    pip install trl==1.16.0
    python benchmarks/trl_step.py [--workload short] [--precision auto] [--steps 2]

The same model, prompts, group size, answer lengths, optimiser and alternating rewards; TRL's own defaults elsewhere,
but for gradient checkpointing, which costs time and is off. `--precision bfloat16` is its `bf16=True`: products
in bfloat16 over weights in float32. `auto` takes the type that this machine multiplies faster, as Verifine's does.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from measuring import Measurement
from model_folders import model_folder
from step import describe, peak_of, step_options, synchronized_clock
from table import publish
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import GRPOConfig, GRPOTrainer
from workloads import (
    BETAS,
    LEARNING_RATE,
    MAX_GRAD_NORM,
    WARMUP_STEPS,
    WEIGHT_DECAY,
    WORKLOADS,
    Workload,
    with_micro_batch,
)

from verifine.models.load import fastest_dtype
from verifine.models.quiet import no_progress_bars


class Timer(TrainerCallback):  # type: ignore[misc]
    """How long each step took."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.seconds: list[float] = []
        self._clock = clock
        self._last = 0.0

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self._last = self._clock()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        now = self._clock()
        self.seconds.append(now - self._last)
        self._last = now


@dataclass(slots=True, kw_only=True)
class Counts:
    """Tokens of each micro-batch that was trained on."""

    prompt: list[int] = field(default_factory=list)
    completion: list[int] = field(default_factory=list)


class CountingTrainer(GRPOTrainer):  # type: ignore[misc]
    """Counts what it trains on, by the masks that its loss uses."""

    counts: Counts

    def compute_loss(self, model: Any, inputs: dict[str, Any], *rest: Any, **named: Any) -> Any:
        self.counts.prompt.append(int(inputs["prompt_mask"].sum()))
        self.counts.completion.append(int(inputs["completion_mask"].sum()))
        return super().compute_loss(model, inputs, *rest, **named)


def alternate(completions: list[Any], **_: Any) -> list[float]:
    return [float(index % 2) for index in range(len(completions))]


def make_trainer(
    workload: Workload, folder: Path, steps: int, precision: str, device: torch.device
) -> tuple[CountingTrainer, Timer]:
    rows = [
        {"prompt": [{"role": message.role, "content": message.content} for message in example.messages]}
        for example in workload.examples(workload.prompts)
    ]
    timer = Timer(synchronized_clock(device))
    with no_progress_bars():
        model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
    trainer = CountingTrainer(
        model=model,
        processing_class=AutoTokenizer.from_pretrained(folder),
        reward_funcs=alternate,
        train_dataset=Dataset.from_list(rows),
        callbacks=[timer],
        args=arguments(workload, steps, precision, device),
    )
    trainer.counts = Counts()
    return trainer, timer


def arguments(workload: Workload, steps: int, precision: str, device: torch.device) -> GRPOConfig:
    assert workload.rollouts % workload.trl_micro_batch == 0, "a micro-batch has to divide the rollouts of a step"
    return GRPOConfig(
        output_dir=tempfile.mkdtemp(),
        max_steps=steps,
        # All answers of a step are sampled at once and are one optimiser step, read in micro-batches.
        per_device_train_batch_size=workload.trl_micro_batch,
        gradient_accumulation_steps=workload.rollouts // workload.trl_micro_batch,
        num_generations=workload.group_size,
        max_completion_length=workload.max_new_tokens,
        generation_kwargs=None if workload.stops else {"min_new_tokens": workload.max_new_tokens},
        loss_type="grpo",
        learning_rate=LEARNING_RATE,
        lr_scheduler_type="constant",
        adam_beta1=BETAS[0],
        adam_beta2=BETAS[1],
        weight_decay=WEIGHT_DECAY,
        max_grad_norm=MAX_GRAD_NORM,
        use_cpu=device.type == "cpu",
        bf16=precision == "bfloat16",
        gradient_checkpointing=False,
        dataloader_pin_memory=device.type == "cuda",
        save_strategy="no",
        report_to="none",
        logging_strategy="no",
        disable_tqdm=True,
    )


def measure(workload: Workload, folder: Path, steps: int, precision: str, device: torch.device) -> Measurement:
    if precision == "auto":
        precision = str(fastest_dtype(device, time.perf_counter)).removeprefix("torch.")
    trainer, timer = make_trainer(workload, folder, WARMUP_STEPS + steps, precision, device)
    trainer.train()
    parts = workload.rollouts // workload.trl_micro_batch
    return Measurement(
        precision=precision,
        step_s=timer.seconds[WARMUP_STEPS:],
        generate_s=None,
        update_s=None,
        prompt_tokens=_sums(trainer.counts.prompt, parts)[WARMUP_STEPS:],
        completion_tokens=_sums(trainer.counts.completion, parts)[WARMUP_STEPS:],
        peak_gib=peak_of(device),
    )


def _sums(values: list[int], size: int) -> list[int]:
    return [sum(values[start : start + size]) for start in range(0, len(values), size)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    step_options(parser)
    parser.add_argument("--micro-batch", type=int, help="rollouts read at a time: fewer take less memory")
    options = parser.parse_args()
    workload = with_micro_batch(WORKLOADS[options.workload], options.micro_batch)
    folder, steps = model_folder(options.model), options.steps or workload.trl_steps
    measured = measure(workload, folder, steps, options.precision, options.device)
    publish(describe(measured), asdict(measured), options.json)


if __name__ == "__main__":
    main()
