"""How long one training step of Verifine takes when every group has signal, and where the time goes.

    python benchmarks/step.py [--workload short] [--precision auto] [--steps 5]

Prints each step, the medians, and the peak memory of the process. The grader alternates between 0 and 1, so that no
group is free. The first step is left out: memory is fresh in it. Run it with nothing else on the machine.
`benchmarks/against_trl.py` runs this and the same work by TRL.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch
from measuring import GIB, Measurement, peak_gib
from model_folders import model_folder
from table import add_json_option, publish, render
from workloads import (
    BETAS,
    LEARNING_RATE,
    MAX_GRAD_NORM,
    MODEL,
    WARMUP_STEPS,
    WEIGHT_DECAY,
    WORKLOADS,
    Workload,
)

from verifine.cli.memory import keep_freed_memory
from verifine.config import RunConfig, build_config
from verifine.config.resolve import DataFacts
from verifine.launch.build import RunModels, assemble_trainer
from verifine.launch.facts import RunFacts, decide_precision, describe_model, find_machine_facts
from verifine.launch.inputs import RunInputs
from verifine.models.load import LanguageModel, load_model
from verifine.models.network.quantized_linear import BaseBits
from verifine.models.provision.stored import ProvisionedModel
from verifine.training.step import StepResult, train_step
from verifine.training.trainer import Progress, Trainer
from verifine.types import Grade, Sample


class Alternating:
    """Scores 0, 1, 0, 1, ..., whatever the answers are."""

    def grade(self, samples: Sequence[Sample]) -> list[Grade]:
        return [Grade(score=float(index % 2)) for index in range(len(samples))]

    def close(self) -> None: ...


def load(folder: Path, precision: str, device: torch.device, base_bits: BaseBits | None = None) -> LanguageModel:
    provisioned = ProvisionedModel(name=folder.name, folder=folder, source="benchmark")
    decided = decide_precision(configured(precision, {}).model.precision, device)
    return load_model(provisioned, decided, device, base_bits=base_bits)


def configured(precision: str, sampling: dict[str, int]) -> RunConfig:
    return build_config(
        {
            "data": {"task": "largest"},
            "model": {"precision": precision},
            "sampling": sampling,
            "optim": {
                "learning_rate": LEARNING_RATE,
                "warmup_steps": 0,
                "betas": BETAS,
                "weight_decay": WEIGHT_DECAY,
                "max_grad_norm": MAX_GRAD_NORM,
            },
        }
    )


def make_trainer(workload: Workload, model: LanguageModel, clock: Callable[[], float] = time.perf_counter) -> Trainer:
    """The trainer that the command line would make for `workload`."""
    config = configured(
        "auto",
        {
            "prompts_per_step": workload.prompts,
            "group_size": workload.group_size,
            "max_new_tokens": workload.max_new_tokens,
        },
    )
    inputs = RunInputs(
        config=config,
        train=workload.examples(workload.prompts),
        held_out=[],
        grader=None,
        answer_tokens=workload.max_new_tokens,
    )
    facts = RunFacts(
        model=describe_model(model.network.config, model.name, None),
        machine=find_machine_facts(model.device),
        data=DataFacts(answer_tokens=workload.max_new_tokens, longest_prompt=0),
    )
    asked = model if workload.stops else replace(model, stop_token_ids=frozenset())
    return assemble_trainer(inputs, facts, RunModels(policy=asked), Alternating(), clock=clock).trainer


def take_steps(trainer: Trainer, count: int) -> list[StepResult]:
    """`count` steps, without those that warm up."""
    progress, results = Progress(), []
    for _ in range(WARMUP_STEPS + count):
        result = train_step(trainer, progress)
        progress = result.progress
        results.append(result)
    return results[WARMUP_STEPS:]


def synchronized_clock(device: torch.device) -> Callable[[], float]:
    """Seconds at which everything asked of `device` has been done."""
    if device.type != "cuda":
        return time.perf_counter

    def clock() -> float:
        torch.cuda.synchronize(device)
        return time.perf_counter()

    return clock


def peak_of(device: torch.device) -> float:
    """GiB of the device's memory, or of the process where the device is the processor."""
    return torch.cuda.max_memory_allocated(device) / GIB if device.type == "cuda" else peak_gib()


def measure(workload: Workload, model: LanguageModel, steps: int) -> Measurement:
    results = take_steps(make_trainer(workload, model, synchronized_clock(model.device)), steps)
    metrics = [result.report.metrics for result in results]
    minibatches = [result.training_batch for result in results if result.training_batch is not None]
    assert len(minibatches) == steps, "alternating grades give every group signal"
    return Measurement(
        precision=str(model.compute_dtype).removeprefix("torch."),
        step_s=[each["step_time"] for each in metrics],
        generate_s=[each["timing/generate_s"] for each in metrics],
        update_s=[each["timing/update_s"] for each in metrics],
        prompt_tokens=[
            sum(len(group.prompt.token_ids) * len(group.rollouts) for group in training_batch.batch.groups)
            for training_batch in minibatches
        ],
        completion_tokens=[len(training_batch.batch.tokens) for training_batch in minibatches],
        peak_gib=peak_of(model.device),
    )


def step_options(parser: argparse.ArgumentParser) -> None:
    """What both sides of a comparison are told."""
    parser.add_argument("--workload", choices=tuple(WORKLOADS), default="short")
    parser.add_argument("--model", default=MODEL, help="a catalogue name, a folder, or tiny")
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
    parser.add_argument("--steps", type=int, help="measured steps; the workload says how many unless this does")
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    add_json_option(parser)


def describe(measured: Measurement) -> str:
    """A line a step, and the peak."""
    nothing = [None] * len(measured.step_s)
    columns = (
        measured.step_s,
        measured.generate_s or nothing,
        measured.update_s or nothing,
        measured.prompt_tokens,
        measured.completion_tokens,
    )
    header = ("step s", "generate s", "update s", "prompt tokens", "completion tokens")
    return (
        f"{render(header, list(zip(*columns, strict=True)))}\n"
        f"median {measured.median_s:.2f} s, products in {measured.precision}, peak memory {measured.peak_gib:.2f} GiB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    step_options(parser)
    options = parser.parse_args()
    keep_freed_memory()
    workload = WORKLOADS[options.workload]
    model = load(model_folder(options.model), options.precision, options.device)
    measured = measure(workload, model, options.steps or workload.steps)
    publish(describe(measured), asdict(measured), options.json)


if __name__ == "__main__":
    main()
