"""The memory that training takes, beside what the formula says (config/memory.py).

    python benchmarks/training_memory.py [--model NAME] [--steps 2] [--json FILE]

Each row is a process of its own that trains two prompts of about 190 tokens with 4 answers of 16 tokens each: every
weight, adapters, or adapters on a base in 8 or 4 bits, in float32 or bfloat16. `planned` is what a run plans with the
memory that is free; `least` does one answer at a time and computes activations again, which is what `verifine models`
tells, there for accelerators. CPU seconds are those of all threads, and do not count what other programs take.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import product
from typing import Literal

import torch
from measuring import GIB, run_child
from model_folders import model_folder
from step import Alternating, load, peak_of, take_steps
from table import add_json_option, publish, render
from workloads import MODEL, Workload, numbers

from verifine.cli.memory import keep_freed_memory
from verifine.config import RunConfig, build_config
from verifine.config.memory import MemoryPlan, peak_bytes, resident_bytes
from verifine.config.memory import Workload as Lengths
from verifine.config.resolve import DataFacts
from verifine.launch.build import RunModels, assemble_trainer
from verifine.launch.facts import RunFacts, find_machine_facts, read_model_facts
from verifine.launch.inputs import RunInputs
from verifine.models.network.lora import attach_lora, hold_frozen_weights

LEAST = MemoryPlan(micro_batch_tokens=1, cache_bytes=1, recompute=True)
PROMPTS, GROUP, ANSWER = 2, 4, 16
WORK = Workload(
    name="memory", prompts=PROMPTS, group_size=GROUP, max_new_tokens=ANSWER, stops=False,
    examples=partial(numbers, 40), steps=2, trl_steps=0, trl_micro_batch=1,
)  # fmt: skip

Mode = Literal["full", "LoRA", "LoRA-8", "LoRA-4"]
"""What learns, and the bits that its base is held in."""

_LORA: Mapping[Mode, dict[str, int] | None] = {
    "full": None, "LoRA": {}, "LoRA-8": {"base_bits": 8}, "LoRA-4": {"base_bits": 4}
}  # fmt: skip
Manner = Literal["planned", "least"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryRow:
    """One run: what it was estimated to take, and what it took."""

    mode: Mode
    precision: str
    manner: Manner
    estimated_gib: float
    measured_gib: float
    step_cpu_s: float
    """The mean of all steps, the first of them included."""

    @property
    def off_by(self) -> float:
        return self.estimated_gib / self.measured_gib - 1


def configure(mode: Mode, precision: str) -> RunConfig:
    return build_config(
        {
            "data": {"task": "largest"},
            "model": {"precision": precision, "lora": _LORA[mode]},
            "sampling": {"prompts_per_step": PROMPTS, "group_size": GROUP, "max_new_tokens": ANSWER},
            "optim": {"warmup_steps": 0},
        }
    )


def measure(name: str, mode: Mode, precision: str, manner: Manner, steps: int, device: torch.device) -> MemoryRow:
    """Trains in this process."""
    config = configure(mode, precision)
    folder, lora = model_folder(name), config.model.lora
    model_facts = read_model_facts(folder, folder.name, lora)
    model = load(folder, precision, device, None if lora is None else lora.base_bits)
    policy = model if lora is None else attach_lora(model, lora.rank, lora.alpha, lora.targets, seed=0)
    hold_frozen_weights(policy)
    policy = replace(policy, stop_token_ids=frozenset())
    examples = WORK.examples(PROMPTS)
    inputs = RunInputs(config=config, train=examples, held_out=[], grader=None, answer_tokens=ANSWER)
    machine = find_machine_facts(device, precision=config.model.precision)
    facts = RunFacts(model=model_facts, machine=machine, data=DataFacts(answer_tokens=ANSWER, longest_prompt=0))
    memory = LEAST if manner == "least" else None
    assembly = assemble_trainer(inputs, facts, RunModels(policy=policy), Alternating(), memory=memory)
    needs = assembly.config.memory_needs(model_facts.shape)
    began = time.process_time()
    results = take_steps(assembly.trainer, steps)
    step_cpu_s = (time.process_time() - began) / steps
    training_batch = results[0].training_batch
    assert training_batch is not None, "alternating grades give every group signal"
    prompt = max(len(group.prompt.token_ids) for group in training_batch.batch.groups)
    resident = sum(resident_bytes(needs, is_main=machine.memory.is_main).values())
    step = peak_bytes(needs, Lengths(prompt=prompt, answer=ANSWER), assembly.config.memory)
    return MemoryRow(
        mode=mode,
        precision=precision,
        manner=manner,
        estimated_gib=(resident + step) / GIB,
        measured_gib=peak_of(device),
        step_cpu_s=step_cpu_s,
    )


def rows(model: str, steps: int, device: str) -> Iterator[MemoryRow]:
    """A process for each, since memory that was freed counts."""
    for mode, precision, manner in product(_LORA, ("float32", "bfloat16"), ("planned", "least")):
        words = [mode, precision, manner, "--model", model, "--steps", str(steps), "--device", device]
        yield MemoryRow(**run_child("training_memory.py", words))


def describe(measured: list[MemoryRow]) -> str:
    cells = [
        (row.mode, row.precision, row.manner, row.estimated_gib, row.measured_gib, f"{row.off_by:+.0%}", row.step_cpu_s)
        for row in measured
    ]
    return render(("trains", "products", "manner", "estimated GiB", "measured GiB", "off by", "CPU s a step"), cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "row", nargs="*", help="one row alone: full, LoRA, LoRA-8 or LoRA-4, float32 or bfloat16, planned or least"
    )
    parser.add_argument("--model", default=MODEL, help="a catalogue name, a folder, or tiny")
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    add_json_option(parser)
    options = parser.parse_args()
    if options.row:
        keep_freed_memory()
        mode, precision, manner = options.row
        row = measure(options.model, mode, precision, manner, options.steps, torch.device(options.device))
        publish(describe([row]), asdict(row), options.json)
    else:
        measured = list(rows(options.model, options.steps, options.device))
        publish(describe(measured), [asdict(row) for row in measured], options.json)


if __name__ == "__main__":
    main()
