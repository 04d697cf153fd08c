"""What supervised learning makes of a task: how fast a model could learn it if every prompt came with its right answer.

    python benchmarks/supervised.py --prompts 64 --learning-rate 1e-4 --steps 20       # 5 minutes on two cores

Each step takes new prompts of the task in the order of a run, with the right answer in its tags as the only answer,
and makes one update of Verifine's learner with an advantage of 1, which is the gradient of supervised fine-tuning.
Reinforcement learning has to find the right answers first, so it needs at least as many prompts for the same accuracy.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass

import torch
from model_folders import model_folder
from table import add_json_option, publish, render
from workloads import MODEL

from verifine.batch import Advantages, RolloutBatch, collate
from verifine.cli.memory import keep_freed_memory
from verifine.config import RunConfig, build_config
from verifine.launch.build import BuiltRun, build_run, fetch_model
from verifine.launch.facts import find_facts
from verifine.launch.inputs import load_inputs
from verifine.launch.options import DEFAULT_OPTIONS
from verifine.launch.run_graders import open_graders
from verifine.learner.learner import TrainingBatch
from verifine.runs.events import ignore
from verifine.training.evaluate import evaluate_policy
from verifine.types import FinishReason, Grade, Group, Prompt, Rollout


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """Greedy answers after some steps."""

    steps: int
    prompts: int
    """That were learned from."""
    accuracy: float


def learn(built: BuiltRun, steps: int, marks: Sequence[int]) -> Iterator[HeldOut]:
    """Takes `steps` supervised steps, and evaluates after those in `marks` and the last."""
    trainer, count = built.trainer, built.config.sampling.prompts_per_step
    for step in range(1, steps + 1):
        prompts = trainer.source.draw((step - 1) * count, count)
        rollouts = RolloutBatch.of([_answered(built, prompt) for prompt in prompts])
        batch = collate(rollouts, built.config.sampling.max_new_tokens)
        advantages = Advantages(advantages=torch.ones(len(batch.tokens)))
        trainer.learner.update(
            TrainingBatch(batch=batch, estimates=trainer.learner.estimate(batch), advantages=advantages),
            trainer.algorithm.loss,
        )
        if step in marks or step == steps:
            trainer.engine.load_weights(trainer.learner.weights(), version=step)
            samples = evaluate_policy(built.eval_set, "held-out").samples
            accuracy = sum(bool(sample.answer_ok) for sample in samples) / len(samples)
            yield HeldOut(steps=step, prompts=step * count, accuracy=accuracy)


def _answered(built: BuiltRun, prompt: Prompt) -> Group:
    tokenizer = built.model.tokenizer
    text = f"<answer>{prompt.item['gt_answer']}</answer>"
    ids = (*tokenizer.encode(text, add_special_tokens=False), tokenizer.eos_token_id)
    rollout = Rollout(
        prompt=prompt,
        token_ids=ids,
        behaviour_logprobs=(0.0,) * len(ids),
        text=text,
        finish_reason=FinishReason.STOP,
    )
    return Group(prompt=prompt, rollouts=(rollout,), grades=(Grade(score=1.0),))


def configured(options: argparse.Namespace) -> RunConfig:
    return build_config(
        {
            "model": {"name": str(model_folder(options.model))},
            "data": {"task": options.task, "eval_size": options.problems},
            "algorithm": {"name": "grpo"},
            "sampling": {"prompts_per_step": options.prompts},
            "optim": {"learning_rate": options.learning_rate, "warmup_steps": 5},
            "run": {"seed": options.seed},
        }
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="largest")
    parser.add_argument("--model", default=MODEL, help="a catalogue name, a folder, or tiny")
    parser.add_argument("--prompts", type=int, default=64, help="of a step")
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--marks", type=int, nargs="*", default=[10], help="steps after which to evaluate as well")
    parser.add_argument("--problems", type=int, default=400, help="held-out problems of an evaluation")
    parser.add_argument("--seed", type=int, default=0)
    add_json_option(parser)
    options = parser.parse_args()
    keep_freed_memory()
    inputs = load_inputs(configured(options))
    files = fetch_model(inputs.config, ignore)
    with (
        open_graders(inputs, None, DEFAULT_OPTIONS.services()) as graders,
        closing(build_run(inputs, graders, files, find_facts(inputs, files), ignore)) as built,
    ):
        rows = list(learn(built, options.steps, options.marks))
    table = render(("steps", "prompts", "held-out accuracy"), [(row.steps, row.prompts, row.accuracy) for row in rows])
    publish(table, [asdict(row) for row in rows], options.json)


if __name__ == "__main__":
    main()
