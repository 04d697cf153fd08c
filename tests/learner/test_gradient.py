from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from verifine.algorithms import group_normalized
from verifine.algorithms.algorithm import Algorithm, default_algorithm
from verifine.batch import RolloutBatch
from verifine.config.recipes import RECIPES
from verifine.learner.optim import OptimSettings
from verifine.models.load import LanguageModel
from verifine.testing import ARCHITECTURES, Architecture, load_tiny_model
from verifine.testing.training_batches import SETTINGS, make_learner, make_training_batch, sample_groups
from verifine.types import Group


def gradients(
    model: LanguageModel, groups: Sequence[Group], algorithm: Algorithm, settings: OptimSettings = SETTINGS
) -> dict[str, torch.Tensor]:
    """The gradient of one update by parameter, read off AdamW's first moment, which is then (1 - beta1) times it."""
    learner = make_learner(model, settings, algorithm)
    learner.update(make_training_batch(learner, groups, algorithm), algorithm.loss)
    tensors = learner.state().tensors
    return {
        f"{owner}/{name}": tensor / (1 - settings.betas[0])
        for owner, moment, name in (key.split("/", 2) for key in tensors)
        if moment == "exp_avg"
        for tensor in (tensors[f"{owner}/{moment}/{name}"],)
    }


def flat(tensors: Mapping[str, torch.Tensor]) -> torch.Tensor:
    return torch.cat([tensors[name].flatten() for name in sorted(tensors)])


def naive_loss(model: LanguageModel, groups: Sequence[Group], name: str) -> torch.Tensor:
    """The papers' formulas as loops, at ratio 1, through transformers' own forward pass."""
    rollouts = RolloutBatch.of(groups)
    advantages = group_normalized(rollouts.rewards, rollouts.valid)
    valid = [(p, g) for p in range(len(groups)) for g in range(4) if rollouts.valid[p, g]]
    all_tokens = sum(len(groups[p].rollouts[g].token_ids) for p, g in valid)
    total = torch.zeros(())
    for p, g in valid:
        rollout = groups[p].rollouts[g]
        start = len(rollout.prompt.token_ids)
        sequence = torch.tensor([[*rollout.prompt.token_ids, *rollout.token_ids]])
        logprobs = model.network(input_ids=sequence).logits[0].log_softmax(dim=-1)
        for t, token in enumerate(rollout.token_ids):
            logprob = logprobs[start + t - 1, token]
            term = -torch.exp(logprob - logprob.detach()) * advantages[p, g]
            total = total + term / (len(valid) * len(rollout.token_ids) if name == "grpo" else all_tokens)
    return total


@pytest.mark.parametrize("name", ["grpo", "dapo"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_gradient_is_that_of_the_papers_loss(name: str, architecture: Architecture, tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path, architecture)
    groups = sample_groups(model)
    ours = gradients(model, groups, default_algorithm(name))
    fresh = load_tiny_model(tmp_path, architecture)
    fresh.network.set_attn_implementation("eager")
    naive_loss(fresh, groups, name).backward()
    for parameter, theirs in fresh.network.named_parameters():
        assert theirs.grad is not None
        torch.testing.assert_close(ours[f"policy/{parameter}"], theirs.grad, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", RECIPES)
def test_neither_micro_batches_nor_order_change_the_gradient(name: str, tmp_path: Path) -> None:
    groups = sample_groups(load_tiny_model(tmp_path))
    results = []
    for budget, order in ((10_000, groups), (60, groups), (1, groups), (10_000, groups[::-1])):
        model = load_tiny_model(tmp_path)
        model.network.double()
        exact = model.with_compute_dtype(torch.float64)
        results.append(
            flat(gradients(exact, order, default_algorithm(name), replace(SETTINGS, micro_batch_tokens=budget)))
        )
    for other in results[1:]:
        # transformers' norms round to float32 inside; everything else is float64.
        assert ((other - results[0]).norm() / results[0].norm()).item() < 1e-6


def test_the_gradient_norm_is_limited(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    groups = sample_groups(model)
    free = flat(gradients(load_tiny_model(tmp_path), groups, default_algorithm("grpo"))).norm().item()
    held = (
        flat(gradients(model, groups, default_algorithm("grpo"), replace(SETTINGS, max_grad_norm=0.01))).norm().item()
    )
    assert free > 0.01
    assert held == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("name", RECIPES)
def test_eight_times_the_micro_batch_leads_to_the_same_weights(name: str, tmp_path: Path) -> None:
    ends = []
    for budget in (40, 320):
        model = load_tiny_model(tmp_path)
        settings = replace(SETTINGS, learning_rate=1e-4, micro_batch_tokens=budget)
        learner = make_learner(model, settings, default_algorithm(name))
        for _ in range(3):
            learner.update(
                make_training_batch(learner, sample_groups(model), default_algorithm(name)),
                default_algorithm(name).loss,
            )
        ends.append(torch.cat([tensor.flatten() for tensor in model.network.state_dict().values()]))
    assert ((ends[0] - ends[1]).norm() / ends[0].norm()).item() < 1e-5
