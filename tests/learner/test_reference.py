from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from verifine.algorithms.algorithm import default_algorithm
from verifine.batch import Advantages
from verifine.learner.local import LocalLearner
from verifine.learner.reference import FrozenModel, WithoutAdapters
from verifine.models.network.lora import attach_lora
from verifine.testing import load_tiny_model
from verifine.testing.training_batches import SETTINGS, make_learner, make_training_batch, sample_groups


@pytest.mark.parametrize("name", ["grpo", "reinforce_pp_baseline"])
def test_a_kl_penalty_in_the_loss_pulls_back_to_the_reference(name: str, tmp_path: Path) -> None:
    reference = load_tiny_model(tmp_path)
    model = load_tiny_model(tmp_path)
    groups = sample_groups(model)
    away = make_learner(model, replace(SETTINGS, learning_rate=1e-2))
    away.update(make_training_batch(away, groups), default_algorithm("grpo").loss)
    row = default_algorithm(name)
    assert row.loss.kl is not None
    loss = replace(row.loss, kl=replace(row.loss.kl, beta=0.5))
    learner = LocalLearner(model, SETTINGS, 1.0, reference=FrozenModel(reference))
    training_batch = make_training_batch(learner, groups)
    reference_logprobs = training_batch.estimates.reference_logprobs
    assert reference_logprobs is not None
    torch.testing.assert_close(reference_logprobs, training_batch.batch.behaviour_logprobs, rtol=0, atol=1e-4)
    nothing_to_gain = replace(
        training_batch, advantages=Advantages(advantages=torch.zeros(len(training_batch.batch.tokens)))
    )
    distances = [learner.update(nothing_to_gain, loss).metrics["kl"] for _ in range(20)]
    assert distances[0] > 0.01
    assert distances[-1] < distances[0] / 2


def test_with_lora_the_reference_is_the_model_without_its_adapters(tmp_path: Path) -> None:
    start = load_tiny_model(tmp_path)
    model = attach_lora(load_tiny_model(tmp_path), rank=4, alpha=32, targets="all-linear", seed=0)
    groups = sample_groups(model)
    learner = LocalLearner(model, replace(SETTINGS, learning_rate=1e-2), 1.0, reference=WithoutAdapters(model))
    training_batch = make_training_batch(learner, groups)
    for _ in range(3):
        learner.update(training_batch, default_algorithm("grpo").loss)
    estimates = learner.estimate(training_batch.batch)
    frozen = LocalLearner(start, SETTINGS, 1.0, reference=FrozenModel(start)).estimate(training_batch.batch)
    assert estimates.reference_logprobs is not None
    assert frozen.reference_logprobs is not None
    torch.testing.assert_close(estimates.reference_logprobs, frozen.reference_logprobs, rtol=0, atol=1e-6)
    own = LocalLearner(model, SETTINGS, 1.0, estimates_old=True).estimate(training_batch.batch).old_logprobs
    assert own is not None
    assert (own - estimates.reference_logprobs).abs().max() > 0.01, "the adapters have learned"


def test_a_kl_penalty_without_a_reference_is_refused(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    learner = make_learner(model)
    row = default_algorithm("grpo")
    assert row.loss.kl is not None
    loss = replace(row.loss, kl=replace(row.loss.kl, beta=0.5))
    with pytest.raises(ValueError, match="needs the reference"):
        learner.update(make_training_batch(learner, sample_groups(model)), loss)
