"""How long one training step takes when every group has signal, and where the time goes.

    python benchmarks/step.py [--steps 6] [--precision auto]

The work: SmolLM2-135M-Instruct, 8 prompts of about 100 tokens x 8 answers of up to 16 tokens, two worked examples in
each prompt. The grader alternates between 0 and 1, so that no group is free. Prints each step, the medians, and the
peak memory of the process. Run it with nothing else on the machine.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Mapping, Sequence

from verifine.assemble import Copies, Materials, assemble
from verifine.cli.memory import keep_freed_memory
from verifine.config import build_config
from verifine.models.load import load_model
from verifine.models.provision import cache_folder, provision_model
from verifine.tasks import load_task
from verifine.train.step import train_step
from verifine.train.trainer import Progress
from verifine.types import Example, Grade, Message, Sample

SHOTS = (("Largest of 4, 17, 9", "<answer>17</answer>"), ("Largest of 90, 12, 55", "<answer>90</answer>"))


class Alternating:
    """Scores 0, 1, 0, 1, ..., whatever the answers are."""

    def grade(self, samples: Sequence[Sample]) -> list[Grade]:
        return [Grade(score=float(index % 2)) for index in range(len(samples))]

    def close(self) -> None: ...


def with_two_shots(example: Example) -> Example:
    """The task's example with a second worked answer: about 100 tokens."""
    shots = [
        message
        for question, answer in SHOTS
        for message in (Message(role="user", content=question), Message(role="assistant", content=answer))
    ]
    return Example(id=example.id, messages=(example.messages[0], *shots, example.messages[-1]), item=example.item)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
    options = parser.parse_args()

    keep_freed_memory()
    config = build_config(
        {
            "data": {"task": "largest"},
            "sampling": {"max_new_tokens": 16},
            "optim": {"learning_rate": 1e-6},
            "model": {"precision": options.precision},
        }
    )
    task = load_task("largest", seed=0, train_size=200, held_out_size=1)
    examples = [with_two_shots(example) for example in task.train]
    materials = Materials(config=config, train=examples, held_out=[], grader=None)
    model = load_model(provision_model(config.model.name, cache_folder(), lambda *_: None), config.model.precision)
    trainer, _ = assemble(materials, model, Alternating(), Copies(), time.perf_counter)
    prompt_tokens = [len(prompt.token_ids) for prompt in trainer.source.draw(0, 8)]
    print(f"prompts of {statistics.mean(prompt_tokens):.0f} tokens, products in {model.compute_dtype}")

    progress, rows = Progress(), []
    for _ in range(options.steps):
        result = train_step(trainer, progress)
        progress = result.progress
        rows.append(result.report.metrics)
        print(describe(rows[-1]))
    print("median, without the first two steps (fresh memory):")
    print(describe({name: statistics.median(row[name] for row in rows[2:]) for name in rows[-1]}))
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20):.2f} GiB")


def describe(row: Mapping[str, float]) -> str:
    return (
        f"step {row['step_time']:5.2f} s   generate {row['timing/generate_s']:5.2f} s   update "
        f"{row['timing/update_s']:5.2f} s   {row['completions/mean_length']:.1f} tokens an answer"
    )


if __name__ == "__main__":
    main()
