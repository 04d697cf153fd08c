"""The work of benchmarks/step.py, done by TRL: the yardstick.

    pip install trl==1.16.0
    python benchmarks/trl_step.py [--steps 4] [--bf16]

Same model, prompts, group size, answer length and alternating rewards; TRL's own defaults elsewhere.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from typing import Any

from datasets import Dataset
from step import with_two_shots
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from verifine.models.provision import cache_folder, provision_model
from verifine.tasks import load_task


class Timer(TrainerCallback):  # type: ignore[misc]
    """Prints how long each step took."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._last = 0.0

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self._last = time.perf_counter()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        now = time.perf_counter()
        self.seconds.append(now - self._last)
        self._last = now
        print(f"step {self.seconds[-1]:5.2f} s", flush=True)


def alternate(completions: list[Any], **_: Any) -> list[float]:
    return [float(index % 2) for index in range(len(completions))]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--bf16", action="store_true")
    options = parser.parse_args()

    folder = provision_model("SmolLM2-135M-Instruct", cache_folder(), lambda *_: None).folder
    task = load_task("largest", seed=0, train_size=200, held_out_size=1)
    examples = [with_two_shots(example) for example in task.train]
    rows = [{"prompt": [{"role": m.role, "content": m.content} for m in example.messages]} for example in examples]
    timer = Timer()
    trainer = GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(folder, dtype="float32"),
        processing_class=AutoTokenizer.from_pretrained(folder),
        reward_funcs=alternate,
        train_dataset=Dataset.from_list(rows),
        callbacks=[timer],
        args=GRPOConfig(
            output_dir=tempfile.mkdtemp(),
            per_device_train_batch_size=64,
            num_generations=8,
            max_completion_length=16,
            max_steps=options.steps,
            learning_rate=1e-6,
            use_cpu=True,
            bf16=options.bf16,
            gradient_checkpointing=False,
            save_strategy="no",
            report_to="none",
            logging_strategy="no",
            disable_tqdm=True,
        ),
    )
    trainer.train()
    print(f"median, without the first step: {statistics.median(timer.seconds[1:]):.2f} s")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20):.2f} GiB")


if __name__ == "__main__":
    main()
