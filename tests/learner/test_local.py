from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from verifine.algorithms.algorithm import default_algorithm
from verifine.batch import Advantages, RolloutBatch, collate
from verifine.config.recipes import RECIPES
from verifine.learner.learner import TrainingBatch, UpdateOutcome, UpdateReport
from verifine.learner.local import LocalLearner
from verifine.models.load import LanguageModel
from verifine.rollout.native.native_engine import NativeEngine
from verifine.testing import load_tiny_model
from verifine.testing.training_batches import SETTINGS, make_learner, make_training_batch, sample_groups
from verifine.types import Group, Sampling

SAMPLING = Sampling(group_size=1, max_new_tokens=1)


def update(model: LanguageModel, groups: Sequence[Group], temperature: float = 1.0) -> UpdateReport:
    learner = LocalLearner(model, SETTINGS, temperature)
    return learner.update(make_training_batch(learner, groups), default_algorithm("grpo").loss)


def with_advantages(training_batch: TrainingBatch, advantages: torch.Tensor) -> TrainingBatch:
    return replace(training_batch, advantages=Advantages(advantages=advantages))


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_the_learner_agrees_with_the_engine_on_every_logprob(temperature: float, tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    report = update(model, sample_groups(model, temperature), temperature=temperature)
    assert report.metrics["mismatch/max"] < 1e-4
    wrong = update(model, sample_groups(model, 0.5), temperature=1.0)
    assert wrong.metrics["mismatch/max"] > 1e-2, "another temperature must show"


def test_in_bfloat16_engine_and_learner_still_agree_closely(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path).with_compute_dtype(torch.bfloat16)
    groups = sample_groups(model)
    before = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    report = update(model, groups)
    assert report.outcome is UpdateOutcome.APPLIED
    # bfloat16 keeps 8 bits: the same products in another order differ in the last of them, a wrong token by far more.
    assert 0 < report.metrics["mismatch/mean"] < 0.05
    assert {tensor.dtype for tensor in model.network.state_dict().values()} == {torch.float32}
    assert any(not torch.equal(before[name], tensor) for name, tensor in model.network.state_dict().items())


@pytest.mark.parametrize("name", RECIPES)
def test_a_batch_of_nothing_is_no_update(name: str, tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    groups = sample_groups(model)
    batch = collate(replace(RolloutBatch.of(groups), keeps=torch.zeros(len(groups), dtype=torch.bool)), max_tokens=8)
    learner = make_learner(model, algorithm=default_algorithm(name))
    estimates = learner.estimate(batch)
    training_batch = TrainingBatch(
        batch=batch, estimates=estimates, advantages=default_algorithm(name).advantages(batch, estimates)
    )
    report = learner.update(training_batch, default_algorithm(name).loss)
    assert report.outcome is UpdateOutcome.NO_SIGNAL


def test_an_update_raises_the_logprob_of_better_answers(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    groups = sample_groups(model)
    best, worst = groups[0].rollouts[0], groups[0].rollouts[1]
    engine = NativeEngine(model)
    before = [sum(row) for row in engine.logprobs([best, worst], SAMPLING)]
    report = update(model, groups)
    after = [sum(row) for row in engine.logprobs([best, worst], SAMPLING)]
    assert report.outcome is UpdateOutcome.APPLIED
    assert after[0] - after[1] > before[0] - before[1]


def test_groups_without_signal_are_no_work_and_leave_the_weights_alone(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    before = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    report = update(model, sample_groups(model)[2:3])
    assert report.outcome is UpdateOutcome.NO_SIGNAL
    assert report.metrics["update_skipped"] == 1
    assert all(torch.equal(before[name], tensor) for name, tensor in model.network.state_dict().items())


@pytest.mark.parametrize("broken", [float("inf"), float("nan")])
def test_a_loss_that_is_not_finite_leaves_the_weights_alone(broken: float, tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    before = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    learner = make_learner(model)
    good = make_training_batch(learner, sample_groups(model))
    bad = with_advantages(good, torch.full_like(good.advantages.advantages, broken))
    report = learner.update(bad, default_algorithm("grpo").loss)
    assert report.outcome is UpdateOutcome.NOT_FINITE
    assert report.metrics["update_skipped"] == 1
    assert all(torch.equal(before[name], tensor) for name, tensor in model.network.state_dict().items())
    # The next update starts from a clean gradient.
    assert learner.update(good, default_algorithm("grpo").loss).outcome is UpdateOutcome.APPLIED
    assert all(tensor.isfinite().all() for tensor in model.network.state_dict().values())


def test_the_learning_rate_warms_up_and_stays(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    learner = make_learner(model, replace(SETTINGS, warmup_steps=4, learning_rate=4e-4))
    training_batch = make_training_batch(learner, sample_groups(model))
    rates = [learner.update(training_batch, default_algorithm("grpo").loss).metrics["learning_rate"] for _ in range(6)]
    assert rates == pytest.approx([1e-4, 2e-4, 3e-4, 4e-4, 4e-4, 4e-4])


def test_a_rate_factor_scales_what_an_update_moves(tmp_path: Path) -> None:
    moved = []
    for factor in (1.0, 0.25, 0.0):
        model = load_tiny_model(tmp_path / str(factor))
        before = {name: each.clone() for name, each in model.network.state_dict().items()}
        learner = make_learner(model, SETTINGS)
        report = learner.update(
            make_training_batch(learner, sample_groups(model)), default_algorithm("grpo").loss, factor
        )
        assert report.metrics["learning_rate"] == pytest.approx(factor * SETTINGS.learning_rate)
        moved.append(
            torch.stack([(each - before[name]).abs().max() for name, each in model.network.state_dict().items()])
        )
    whole, quarter, none = moved
    torch.testing.assert_close(quarter, whole / 4, rtol=1e-3, atol=1e-7)
    assert none.count_nonzero() == 0


def test_old_logprobs_are_estimated_before_the_first_update(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    learner = LocalLearner(model, replace(SETTINGS, learning_rate=1e-2), 1.0, estimates_old=True)
    training_batch = make_training_batch(learner, sample_groups(model))
    assert training_batch.estimates.old_logprobs is not None
    torch.testing.assert_close(
        training_batch.estimates.old_logprobs, training_batch.batch.behaviour_logprobs, rtol=0, atol=1e-4
    )
    reports = [learner.update(training_batch, default_algorithm("grpo").loss) for _ in range(3)]
    assert reports[0].metrics["ratio/max"] == pytest.approx(1, abs=1e-4)
    assert reports[2].metrics["ratio/max"] > 1.2 > 0.9 > reports[2].metrics["ratio/min"]
    assert reports[2].metrics["clip_ratio/region_mean"] > 0


def test_ratios_are_of_the_old_logprobs_where_there_are_some(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    learner = make_learner(model)
    training_batch = make_training_batch(learner, sample_groups(model))
    shifted = replace(training_batch.estimates, old_logprobs=training_batch.batch.behaviour_logprobs - 0.5)
    report = learner.update(replace(training_batch, estimates=shifted), default_algorithm("grpo").loss)
    assert report.metrics["ratio/mean"] == pytest.approx(2.718281828**0.5, rel=1e-3)
    assert report.metrics["clip_ratio/high_mean"] > 0
    assert report.metrics["clip_ratio/low_mean"] == 0


def test_the_importance_cap_weighs_what_another_engine_sampled(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    learner = make_learner(model)
    training_batch = make_training_batch(learner, sample_groups(model))
    foreign = replace(training_batch.batch, behaviour_logprobs=training_batch.batch.behaviour_logprobs - 1.0)
    loss = replace(default_algorithm("grpo").loss, importance_cap=2.0)
    metrics = learner.update(replace(training_batch, batch=foreign), loss).metrics
    assert metrics["importance/mean"] == pytest.approx(2.718281828, rel=1e-3)
    assert metrics["importance/capped_mean"] == 1
    assert metrics["mismatch/mean"] == pytest.approx(1.0, rel=1e-3)


def test_an_entropy_bonus_keeps_the_policy_undecided(tmp_path: Path) -> None:
    entropies = []
    for bonus in (0.0, 1.0):
        model = load_tiny_model(tmp_path)
        groups = sample_groups(model)
        learner = make_learner(model)
        loss = replace(default_algorithm("grpo").loss, entropy_bonus=bonus)
        training_batch = make_training_batch(learner, groups)
        for _ in range(10):
            report = learner.update(training_batch, loss)
        entropies.append(report.metrics["entropy"])
    assert entropies[1] > entropies[0] + 0.1


def test_entropy_is_that_of_plausible_tokens_where_only_they_count(tmp_path: Path) -> None:
    entropies = []
    for min_p in (0.0, 0.5):
        model = load_tiny_model(tmp_path)
        learner = LocalLearner(model, SETTINGS, 1.0, entropy_min_p=min_p)
        training_batch = make_training_batch(learner, sample_groups(model))
        entropies.append(learner.update(training_batch, default_algorithm("grpo").loss).metrics["entropy"])
    everything, plausible = entropies
    assert 0 < plausible < everything
