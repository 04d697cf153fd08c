"""Tokens that a thinking budget wrote are read and not learned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from verifine.algorithms import group_normalized
from verifine.algorithms.algorithm import default_algorithm
from verifine.batch import RolloutBatch, sampled_entropy
from verifine.config.recipes import RECIPES
from verifine.models.load import LanguageModel
from verifine.testing import load_tiny_model
from verifine.testing.training_batches import SETTINGS, make_batch, make_learner, make_training_batch, sample_groups
from verifine.types import Group


@pytest.fixture
def model(tmp_path: Path) -> LanguageModel:
    return load_tiny_model(tmp_path / "model")


def with_forced(groups: Sequence[Group], *places: int) -> list[Group]:
    """The same groups as if these tokens of every answer had been forced, those at its ends included."""

    def forced(group: Group) -> Group:
        rollouts = [
            replace(
                rollout,
                forced=(own := tuple(place for place in places if place < len(rollout.token_ids) - 1)),
                behaviour_logprobs=tuple(
                    0.0 if place in own else value for place, value in enumerate(rollout.behaviour_logprobs)
                ),
            )
            for rollout in group.rollouts
        ]
        return replace(group, rollouts=tuple(rollouts))

    return [forced(group) for group in groups]


def gradients(
    model: LanguageModel, groups: Sequence[Group], name: str, micro_batch_tokens: int = 10_000
) -> dict[str, torch.Tensor]:
    """The gradient of one update by parameter, read off AdamW's first moment."""
    algorithm = default_algorithm(name)
    learner = make_learner(model, replace(SETTINGS, micro_batch_tokens=micro_batch_tokens), algorithm)
    learner.update(make_training_batch(learner, groups, algorithm), algorithm.loss)
    moments, prefix = learner.state().tensors, "policy/exp_avg/"
    first = {key.removeprefix(prefix): value for key, value in moments.items() if key.startswith(prefix)}
    return {name: moment / (1 - SETTINGS.betas[0]) for name, moment in first.items()}


def naive_loss(model: LanguageModel, groups: Sequence[Group], name: str) -> torch.Tensor:
    """The loss as loops, at ratio 1, through transformers' own forward pass; a forced token is in no sum and count."""
    rollouts = RolloutBatch.of(groups)
    advantages = group_normalized(rollouts.rewards, rollouts.valid)
    valid = [(p, g) for p, g in rollouts.valid.nonzero().tolist()]
    chosen = {(p, g): set(range(len(r.token_ids))) - set(r.forced) for p, g in valid for r in [groups[p].rollouts[g]]}
    total = torch.zeros(())
    for p, g in valid:
        rollout = groups[p].rollouts[g]
        start = len(rollout.prompt.token_ids)
        sequence = torch.tensor([[*rollout.prompt.token_ids, *rollout.token_ids]])
        logprobs = model.network(input_ids=sequence).logits[0].log_softmax(dim=-1)
        for t in chosen[p, g]:
            logprob = logprobs[start + t - 1, rollout.token_ids[t]]
            term = -torch.exp(logprob - logprob.detach()) * advantages[p, g]
            own = len(chosen[p, g])
            total = total + term / (len(valid) * own if name == "grpo" else sum(map(len, chosen.values())))
    return total


@pytest.mark.parametrize("name", ["grpo", "dapo"])
def test_the_gradient_is_that_of_the_chosen_tokens_behind_all_that_was_written(
    name: str, model: LanguageModel, tmp_path: Path
) -> None:
    groups = with_forced(sample_groups(model, scores=((1.0, 0.0, 0.5, 0.0), (0.0, 0.0, 0.0, 1.0))), 0, 2, 3)
    ours = gradients(model, groups, name)
    fresh = load_tiny_model(tmp_path / "model")
    fresh.network.set_attn_implementation("eager")
    naive_loss(fresh, groups, name).backward()
    for parameter, theirs in fresh.network.named_parameters():
        assert theirs.grad is not None
        torch.testing.assert_close(ours[parameter], theirs.grad, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", RECIPES)
def test_micro_batches_change_nothing(name: str, model: LanguageModel, tmp_path: Path) -> None:
    groups = with_forced(sample_groups(model), 1, 2, 6)
    whole = gradients(model, groups, name)
    parts = gradients(load_tiny_model(tmp_path / "model"), groups, name, micro_batch_tokens=30)
    for parameter, gradient in whole.items():
        torch.testing.assert_close(parts[parameter], gradient, rtol=1e-3, atol=1e-5)


def test_a_forced_token_is_on_no_axis_and_in_no_estimate(model: LanguageModel) -> None:
    free = sample_groups(model)
    bound = with_forced(free, 1, 2)
    batch = make_batch(bound)
    kept = [
        rollout for group in bound for rollout, grade in zip(group.rollouts, group.grades, strict=True) if grade.valid
    ]
    assert batch.tokens.tolist() == [rollout.token_ids[place] for rollout in kept for place in rollout.actions]
    assert (batch.behaviour_logprobs < 0).all()
    chosen = [r.behaviour_logprobs[place] for g in bound for r in g.rollouts for place in r.actions]
    assert sampled_entropy(bound) == pytest.approx(-sum(chosen) / len(chosen))
    # Its length counts: the answer was as long as that.
    assert RolloutBatch.of(bound).lengths().tolist() == RolloutBatch.of(free).lengths().tolist()
