from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from verifine.algorithms import RECIPES, Algorithm
from verifine.batch import Batch, Estimates, collate, score
from verifine.learner.learner import UpdateOutcome, UpdateReport
from verifine.learner.local import LocalLearner
from verifine.learner.optim import OptimSettings
from verifine.models.load import LanguageModel
from verifine.rollout.native import NativeEngine
from verifine.testing import Architecture, load_tiny_model
from verifine.types import Grade, Group, Prompt, Sampling

SETTINGS = OptimSettings(
    learning_rate=1e-3,
    warmup_steps=0,
    betas=(0.9, 0.99),
    weight_decay=0.0,
    max_grad_norm=1e9,
    micro_batch_tokens=10_000,
)
PROMPTS = ["Largest of 3, 4", "Largest of 31, 4, 77", "Largest of 3", "x"]


def sample(model: LanguageModel, temperature: float = 1.0, texts: Sequence[str] = PROMPTS) -> list[Group]:
    """Groups of four, graded by hand: signal, an unscorable answer, no signal, signal."""
    prompts = [Prompt(id=text, token_ids=tuple(model.tokenizer(text).input_ids), item={}) for text in texts]
    groups = NativeEngine(model).generate(prompts, Sampling(group_size=4, max_new_tokens=8, temperature=temperature))
    scores: list[list[float | None]] = [
        [1.0, 0.0, 0.5, 0.0],
        [None, 1.0, 0.0, 0.0],
        [1.0, 1.0, 1.0, 1.0],
        [0.0, 0.0, 0.0, 1.0],
    ]
    return [
        group.graded([Grade.unscorable("broken") if value is None else Grade(score=value) for value in row])
        for group, row in zip(groups, scores, strict=False)
    ]


def to_batch(groups: Sequence[Group]) -> Batch:
    scores = score(groups)
    return collate(groups, scores.rewards, scores.valid)


def update(
    model: LanguageModel,
    groups: Sequence[Group],
    settings: OptimSettings = SETTINGS,
    algorithm: Algorithm = RECIPES["grpo"],
    temperature: float = 1.0,
) -> UpdateReport:
    batch = to_batch(groups)
    learner = LocalLearner(model, settings, temperature)
    advantages = algorithm.credit(batch.rewards, batch.valid)
    return learner.update(batch, learner.estimate(batch), batch.spread(advantages), algorithm.loss)


def gradients(
    model: LanguageModel, groups: Sequence[Group], micro_batch_tokens: int, algorithm: Algorithm
) -> list[torch.Tensor]:
    """The gradient of one update, read off plain gradient descent's step (AdamW's would hide its scale)."""
    batch = to_batch(groups)
    learner = LocalLearner(model, replace(SETTINGS, micro_batch_tokens=micro_batch_tokens), 1.0)
    found: list[torch.Tensor] = []
    learner._optimizer.register_step_pre_hook(
        lambda optimizer, *_: found.extend(p.grad.clone() for g in optimizer.param_groups for p in g["params"])
    )
    advantages = algorithm.credit(batch.rewards, batch.valid)
    learner.update(batch, learner.estimate(batch), batch.spread(advantages), algorithm.loss)
    return found


def naive_loss(model: LanguageModel, groups: Sequence[Group], name: str) -> torch.Tensor:
    """The papers' formulas as loops, at ratio 1, through transformers' own forward pass."""
    algorithm = RECIPES[name]
    scores = score(groups)
    advantages = algorithm.credit(scores.rewards, scores.valid)
    valid = [(p, g) for p in range(len(groups)) for g in range(4) if scores.valid[p, g]]
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
@pytest.mark.parametrize("architecture", ["llama", "qwen3"])
def test_the_gradient_is_that_of_the_papers_loss(name: str, architecture: Architecture, tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path, architecture)
    groups = sample(model)
    ours = gradients(model, groups, 10_000, RECIPES[name])
    fresh = load_tiny_model(tmp_path, architecture)
    fresh.network.set_attn_implementation("eager")
    theirs = torch.autograd.grad(naive_loss(fresh, groups, name), list(fresh.network.parameters()))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", ["grpo", "dapo"])
def test_micro_batches_do_not_change_the_gradient(name: str, tmp_path: Path) -> None:
    groups = sample(load_tiny_model(tmp_path))
    results = []
    for budget in (10_000, 60, 1):
        model = load_tiny_model(tmp_path)
        model.network.double()
        model = replace(model, compute_dtype=torch.float64)
        results.append(torch.cat([gradient.flatten() for gradient in gradients(model, groups, budget, RECIPES[name])]))
    for other in results[1:]:
        # transformers' norms round to float32 inside; everything else is float64.
        assert ((other - results[0]).norm() / results[0].norm()).item() < 1e-6


def test_the_order_of_groups_does_not_change_the_gradient(tmp_path: Path) -> None:
    groups = sample(load_tiny_model(tmp_path))
    one, other = (
        torch.cat([g.flatten() for g in gradients(load_tiny_model(tmp_path), order, 10_000, RECIPES["grpo"])])
        for order in (groups, groups[::-1])
    )
    assert ((one - other).norm() / one.norm()).item() < 1e-5


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_the_learner_agrees_with_the_engine_on_every_logprob(temperature: float, tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    report = update(model, sample(model, temperature), temperature=temperature)
    assert report.metrics["mismatch/max"] < 1e-4
    wrong = update(model, sample(model, 0.5), temperature=1.0)
    assert wrong.metrics["mismatch/max"] > 1e-2, "another temperature must show"


def test_in_bfloat16_engine_and_learner_still_agree_closely(tmp_path: Path) -> None:
    model = replace(load_tiny_model(tmp_path), compute_dtype=torch.bfloat16)
    groups = sample(model)
    before = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    report = update(model, groups)
    assert report.outcome is UpdateOutcome.APPLIED
    # bfloat16 keeps 8 bits: the same products in another order differ in the last of them, a wrong token by far more.
    assert 0 < report.metrics["mismatch/mean"] < 0.05
    assert {tensor.dtype for tensor in model.network.state_dict().values()} == {torch.float32}
    assert any(not torch.equal(before[name], tensor) for name, tensor in model.network.state_dict().items())


def test_a_batch_of_nothing_is_no_update(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    batch = collate([], torch.zeros(0, 4), torch.zeros(0, 4, dtype=torch.bool))
    learner = LocalLearner(model, SETTINGS, 1.0)
    advantages = batch.spread(RECIPES["dapo"].credit(batch.rewards, batch.valid))
    report = learner.update(batch, learner.estimate(batch), advantages, RECIPES["dapo"].loss)
    assert report.outcome is UpdateOutcome.NO_SIGNAL


def test_an_update_raises_the_logprob_of_better_answers(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    groups = sample(model)
    best, worst = groups[0].rollouts[0], groups[0].rollouts[1]
    engine = NativeEngine(model)
    before = [sum(row) for row in engine.logprobs([best, worst], 1.0)]
    report = update(model, groups)
    after = [sum(row) for row in engine.logprobs([best, worst], 1.0)]
    assert report.outcome is UpdateOutcome.APPLIED
    assert after[0] - after[1] > before[0] - before[1]


def test_groups_without_signal_are_no_work_and_leave_the_weights_alone(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    before = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    report = update(model, sample(model)[2:3])
    assert report.outcome is UpdateOutcome.NO_SIGNAL
    assert report.metrics["update_skipped"] == 1
    assert all(torch.equal(before[name], tensor) for name, tensor in model.network.state_dict().items())


def test_an_infinite_gradient_leaves_the_weights_alone(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    groups = sample(model)
    batch = to_batch(groups)
    before = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    learner = LocalLearner(model, SETTINGS, 1.0)
    advantages = torch.full((len(batch.tokens),), float("inf"))
    report = learner.update(batch, learner.estimate(batch), advantages, RECIPES["grpo"].loss)
    assert report.outcome is UpdateOutcome.NOT_FINITE
    assert all(torch.equal(before[name], tensor) for name, tensor in model.network.state_dict().items())
    # The next update starts from a clean gradient.
    good = RECIPES["grpo"].credit(batch.rewards, batch.valid)
    assert (
        learner.update(batch, learner.estimate(batch), batch.spread(good), RECIPES["grpo"].loss).outcome
        is UpdateOutcome.APPLIED
    )


def test_the_gradient_norm_is_clipped(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    groups = sample(model)
    learner = LocalLearner(model, replace(SETTINGS, max_grad_norm=0.01), 1.0)
    norms: list[float] = []
    learner._optimizer.register_step_pre_hook(
        lambda optimizer, *_: norms.append(
            torch.stack([p.grad.norm() for g in optimizer.param_groups for p in g["params"]]).norm().item()
        )
    )
    batch = to_batch(groups)
    advantages = batch.spread(RECIPES["grpo"].credit(batch.rewards, batch.valid))
    report = learner.update(batch, learner.estimate(batch), advantages, RECIPES["grpo"].loss)
    assert report.metrics["grad_norm"] > 0.01
    assert norms == [pytest.approx(0.01, rel=1e-3)]


def test_the_learning_rate_warms_up_and_stays(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    batch = to_batch(sample(model))
    learner = LocalLearner(model, replace(SETTINGS, warmup_steps=4, learning_rate=4e-4), 1.0)
    advantages = batch.spread(RECIPES["grpo"].credit(batch.rewards, batch.valid))
    rates = [
        learner.update(batch, learner.estimate(batch), advantages, RECIPES["grpo"].loss).metrics["learning_rate"]
        for _ in range(6)
    ]
    assert rates == pytest.approx([1e-4, 2e-4, 3e-4, 4e-4, 4e-4, 4e-4])


def test_the_kl_penalty_pulls_back_to_the_reference(tmp_path: Path) -> None:
    reference = load_tiny_model(tmp_path)
    model = load_tiny_model(tmp_path)
    groups = sample(model)
    update(model, groups, replace(SETTINGS, learning_rate=1e-2))
    batch = to_batch(groups)
    loss = replace(RECIPES["grpo"].loss, beta=0.5)
    learner = LocalLearner(model, SETTINGS, 1.0, reference)
    estimates = learner.estimate(batch)
    assert estimates.reference_logprobs is not None
    torch.testing.assert_close(estimates.reference_logprobs, batch.behaviour_logprobs, rtol=0, atol=1e-4)
    nothing_to_gain = torch.zeros(len(batch.tokens))
    distances = [learner.update(batch, estimates, nothing_to_gain, loss).metrics["kl"] for _ in range(20)]
    assert distances[0] > 0.01
    assert distances[-1] < distances[0] / 2


def test_ratios_are_of_the_old_logprobs_where_there_are_some(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    batch = to_batch(sample(model))
    learner = LocalLearner(model, SETTINGS, 1.0)
    advantages = batch.spread(RECIPES["grpo"].credit(batch.rewards, batch.valid))
    estimates = Estimates(old_logprobs=batch.behaviour_logprobs - 0.5, reference_logprobs=None)
    report = learner.update(batch, estimates, advantages, RECIPES["grpo"].loss)
    assert report.metrics["ratio/mean"] == pytest.approx(2.718281828**0.5, rel=1e-3)
    assert report.metrics["clip_ratio/high_mean"] > 0
    assert report.metrics["clip_ratio/low_mean"] == 0
