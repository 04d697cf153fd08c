from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from verifine.algorithms import ValueTerm
from verifine.algorithms.algorithm import default_algorithm
from verifine.learner.critic import Critic, CriticModel, ValueHead, explained_variance
from verifine.learner.learner import UpdateOutcome
from verifine.learner.local import LocalLearner
from verifine.models.load import LanguageModel
from verifine.testing import load_tiny_model
from verifine.testing.training_batches import SETTINGS, make_training_batch, sample_groups

PPO = default_algorithm("ppo")
FREE = replace(PPO.loss, value=ValueTerm(clip=1e9, coefficient=0.5))
"""Without a clip, so that values may go where they should."""


def make_critic(kind: str, model: LanguageModel, folder: Path) -> Critic:
    settings = replace(SETTINGS, learning_rate=1e-2)
    return ValueHead(model, settings) if kind == "head" else CriticModel(load_tiny_model(folder), settings)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["head", "model"])
def test_a_critic_learns_what_to_expect(kind: str, tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    learner = LocalLearner(model, replace(SETTINGS, learning_rate=0.0), 1.0, critic=make_critic(kind, model, tmp_path))
    groups = sample_groups(model)
    explained: list[float] = []
    for _ in range(60):
        training_batch = make_training_batch(learner, groups, PPO)
        assert learner.update(training_batch, FREE).outcome is UpdateOutcome.APPLIED
        explained.append(training_batch.explained_variance() or 0.0)
    assert explained[0] == pytest.approx(0, abs=1e-6), "it starts at 0 everywhere"
    assert explained[-1] > 0.5


@pytest.mark.parametrize(("kind", "moves"), [("head", True), ("model", False)])
def test_a_heads_loss_moves_the_trunk_and_a_models_does_not(kind: str, moves: bool, tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    learner = LocalLearner(model, SETTINGS, 1.0, critic=make_critic(kind, model, tmp_path))
    groups = sample_groups(model)
    first = make_training_batch(learner, groups, PPO)
    nothing_to_gain = torch.zeros_like(first.advantages.advantages)
    start = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    learner.update(replace(first, advantages=replace(first.advantages, advantages=nothing_to_gain)), FREE)
    # A head that is 0 everywhere has no gradient to pass on.
    assert all(torch.equal(start[name], tensor) for name, tensor in model.network.state_dict().items())
    training_batch = make_training_batch(learner, groups, PPO)
    report = learner.update(
        replace(training_batch, advantages=replace(training_batch.advantages, advantages=nothing_to_gain)), FREE
    )
    assert (report.metrics["grad_norm"] > 0) == moves
    assert report.metrics["critic/grad_norm"] > 0


def test_the_critics_numbers_are_those_of_its_values(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    learner = LocalLearner(model, SETTINGS, 1.0, critic=make_critic("head", model, tmp_path))
    training_batch = make_training_batch(learner, sample_groups(model), PPO)
    returns = training_batch.advantages.returns
    assert returns is not None
    # Values that are far above the old ones and above the returns: the clipped loss is the smaller one.
    assert training_batch.estimates.values is not None
    old = replace(training_batch.estimates, values=returns + 5)
    training_batch = replace(training_batch, estimates=old)
    metrics = learner.update(training_batch, PPO.loss).metrics
    assert metrics["critic/value_mean"] == pytest.approx(returns.mean().item() + 5)
    assert metrics["critic/return_mean"] == pytest.approx(returns.mean().item())
    assert training_batch.explained_variance() == pytest.approx(1, abs=1e-5), "a constant too high explains all"
    # V is 0, V_old + 5 lies beyond R: |clip(V) - R| = 4.8 > |V - R|, so the clip holds it.
    assert metrics["critic/clip_ratio"] == 1


def test_explained_variance_is_that_of_the_textbook() -> None:
    returns = torch.tensor([1.0, 2.0, 3.0, 4.0])
    assert explained_variance(returns, returns) == 1
    assert explained_variance(torch.full((4,), 2.5), returns) == pytest.approx(0)
    assert explained_variance(-returns, returns) == pytest.approx(-3)
    assert explained_variance(returns, torch.ones(4)) is None
