"""A run that runs out of memory in the middle of a step continues."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from verifine.config import build_config
from verifine.config.memory import MAX_TOKENS
from verifine.config.resolve import DataFacts
from verifine.graders import callable_grader
from verifine.launch.build import RunModels, assemble_trainer
from verifine.launch.facts import RunFacts, describe_model, find_machine_facts
from verifine.launch.inputs import RunInputs
from verifine.learner.learner import UpdateOutcome
from verifine.models.load import LanguageModel
from verifine.runs.metrics import explain_metrics
from verifine.testing import load_tiny_model
from verifine.training.step import StepResult, train_step
from verifine.training.trainer import Progress
from verifine.training.updates import merge_metrics
from verifine.types import Example, Message

EXAMPLES = [Example(id=str(n), messages=(Message(role="user", content=f"Say {n}"),), item={}) for n in range(12)]


def vowels(sample: dict[str, Any], item: dict[str, Any]) -> float:
    text = sample["output_text"]
    return sum(character in "aeiou" for character in text) / max(len(text), 1)


def take_steps(model: LanguageModel, count: int, tokens: int | str = "auto") -> list[StepResult]:
    config = build_config(
        {
            "data": {"task": "add"},
            "model": {"precision": "float32"},
            "sampling": {"prompts_per_step": 4, "group_size": 4, "max_new_tokens": 8},
            "optim": {"learning_rate": 1e-3, "warmup_steps": 0, "micro_batch_tokens": tokens},
            "algorithm": {"name": "grpo", "epochs": 2, "mini_batches": 2},
        }
    )
    inputs = RunInputs(config=config, train=EXAMPLES, held_out=[], grader=None, answer_tokens=8)
    facts = RunFacts(
        model=describe_model(model.network.config, model.name, None),
        machine=find_machine_facts(),
        data=DataFacts(answer_tokens=8, longest_prompt=0),
    )
    grader = callable_grader(vowels)
    trainer = assemble_trainer(inputs, facts, RunModels(policy=model), grader, clock=lambda: 0.0).trainer
    results, progress = [], Progress()
    for _ in range(count):
        results.append(train_step(trainer, progress))
        progress = results[-1].progress
    return results


def texts(result: StepResult) -> list[list[str]]:
    return [[rollout.text for rollout in group.rollouts] for group in result.rollouts.groups]


@pytest.mark.slow
def test_a_run_continues_in_smaller_parts_and_says_so(tmp_path: Path) -> None:
    free = load_tiny_model(tmp_path)
    undisturbed = take_steps(free, 3)
    model = load_tiny_model(tmp_path)

    def run_out(module: nn.Module, args: tuple[torch.Tensor]) -> None:
        if args[0].numel() > 28:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    model.network.get_input_embeddings().register_forward_pre_hook(run_out)
    results = take_steps(model, 3)
    metrics = [result.report.metrics for result in results]
    assert [each["updates"] + each["update_skipped"] for each in metrics] == [4, 4, 4]
    assert metrics[-1]["memory/shortages"] == metrics[0]["memory/shortages"] > 0
    assert metrics[-1]["memory/micro_batch_tokens"] < 100
    assert undisturbed[0].report.metrics["memory/micro_batch_tokens"] >= MAX_TOKENS
    assert texts(results[0]) == texts(undisturbed[0])
    assert metrics[0]["loss"] == pytest.approx(undisturbed[0].report.metrics["loss"], abs=1e-5)
    ends = [torch.cat([each.flatten() for each in one.network.state_dict().values()]) for one in (free, model)]
    assert ((ends[0] - ends[1]).norm() / ends[0].norm()).item() < 1e-4
    assert {"memory/shortages", "memory/micro_batch_tokens"} <= {each.name for each in explain_metrics(metrics[0])}


def test_a_step_tells_what_its_last_update_was_left_with() -> None:
    updates = [
        {"memory/micro_batch_tokens": tokens, "memory/shortages": shortages, "loss": 1.0}
        for tokens, shortages in ((2048.0, 0.0), (512.0, 2.0))
    ]
    merged = merge_metrics([UpdateOutcome.APPLIED] * 2, updates)
    assert (merged["memory/micro_batch_tokens"], merged["memory/shortages"]) == (512, 2)
