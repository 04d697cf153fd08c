from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
import torch
from safetensors.torch import load, save

from verifine.algorithms import RECIPES, Algorithm, ValueTerm, group_normalized
from verifine.batch import Batch, collate, score
from verifine.errors import CheckpointError
from verifine.learner.critic import CriticModel, ValueHead
from verifine.learner.learner import LearnerState, Lesson, UpdateOutcome, UpdateReport
from verifine.learner.local import LocalLearner
from verifine.learner.optim import Optimizer, OptimSettings
from verifine.learner.reference import FrozenModel, WithoutAdapters
from verifine.models.load import LanguageModel
from verifine.models.lora import attach_lora
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
    return collate(groups, scores.rewards, scores.valid, max_tokens=8)


def make_learner(
    model: LanguageModel, settings: OptimSettings = SETTINGS, name: str = "grpo", temperature: float = 1.0
) -> LocalLearner:
    """With whatever the row needs."""
    critic = ValueHead(model) if RECIPES[name].loss.value is not None else None
    return LocalLearner(model, settings, temperature, critic=critic)


def to_lesson(learner: LocalLearner, groups: Sequence[Group], algorithm: Algorithm = RECIPES["grpo"]) -> Lesson:
    batch = to_batch(groups)
    estimates = learner.estimate(batch)
    return Lesson(batch=batch, estimates=estimates, credit=algorithm.credit(batch, estimates))


def with_advantages(lesson: Lesson, advantages: torch.Tensor) -> Lesson:
    return replace(lesson, credit=replace(lesson.credit, advantages=advantages))


def update(
    model: LanguageModel,
    groups: Sequence[Group],
    settings: OptimSettings = SETTINGS,
    algorithm: Algorithm = RECIPES["grpo"],
    temperature: float = 1.0,
) -> UpdateReport:
    learner = make_learner(model, settings, algorithm.name, temperature)
    return learner.update(to_lesson(learner, groups, algorithm), algorithm.loss)


class Spy(Optimizer):
    """Remembers the gradient of its first step, which AdamW's step would hide the scale of."""

    def step(self, updates: int) -> None:
        self.seen = {
            name: parameter.grad.clone() for name, parameter in self._parameters.items() if parameter.grad is not None
        }


def gradients(
    model: LanguageModel, groups: Sequence[Group], micro_batch_tokens: int, algorithm: Algorithm
) -> list[torch.Tensor]:
    """The gradient of one update, by parameter."""
    learner = make_learner(model, replace(SETTINGS, micro_batch_tokens=micro_batch_tokens), algorithm.name)
    spies = {owner: Spy(optimizer._parameters, SETTINGS) for owner, optimizer in learner._optimizers.items()}
    learner._optimizers = dict(spies)
    learner.update(to_lesson(learner, groups, algorithm), algorithm.loss)
    return [gradient for spy in spies.values() for gradient in spy.seen.values()]


def naive_loss(model: LanguageModel, groups: Sequence[Group], name: str) -> torch.Tensor:
    """The papers' formulas as loops, at ratio 1, through transformers' own forward pass."""
    scores = score(groups)
    advantages = group_normalized(scores.rewards, scores.valid)
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


@pytest.mark.parametrize("name", RECIPES)
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


@pytest.mark.parametrize("name", RECIPES)
def test_a_batch_of_nothing_is_no_update(name: str, tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    batch = collate([], torch.zeros(0, 4), torch.zeros(0, 4, dtype=torch.bool), max_tokens=8)
    learner = make_learner(model, name=name)
    estimates = learner.estimate(batch)
    lesson = Lesson(batch=batch, estimates=estimates, credit=RECIPES[name].credit(batch, estimates))
    report = learner.update(lesson, RECIPES[name].loss)
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


@pytest.mark.parametrize("broken", [float("inf"), float("nan")])
def test_a_loss_that_is_not_finite_leaves_the_weights_alone(broken: float, tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    before = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    learner = make_learner(model)
    good = to_lesson(learner, sample(model))
    bad = with_advantages(good, torch.full_like(good.credit.advantages, broken))
    report = learner.update(bad, RECIPES["grpo"].loss)
    assert report.outcome is UpdateOutcome.NOT_FINITE
    assert report.metrics["update_skipped"] == 1
    assert all(torch.equal(before[name], tensor) for name, tensor in model.network.state_dict().items())
    # The next update starts from a clean gradient.
    assert learner.update(good, RECIPES["grpo"].loss).outcome is UpdateOutcome.APPLIED
    assert all(tensor.isfinite().all() for tensor in model.network.state_dict().values())


def test_the_gradient_norm_is_limited(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    learner = make_learner(model)
    spy = Spy(learner._optimizers["policy"]._parameters, replace(SETTINGS, max_grad_norm=0.01))
    learner._optimizers["policy"] = spy
    report = learner.update(to_lesson(learner, sample(model)), RECIPES["grpo"].loss)
    assert report.metrics["grad_norm"] > 0.01
    norm = torch.stack([gradient.norm() for gradient in spy.seen.values()]).norm().item()
    assert norm == pytest.approx(0.01, rel=1e-3)


def test_the_learning_rate_warms_up_and_stays(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    learner = make_learner(model, replace(SETTINGS, warmup_steps=4, learning_rate=4e-4))
    lesson = to_lesson(learner, sample(model))
    rates = [learner.update(lesson, RECIPES["grpo"].loss).metrics["learning_rate"] for _ in range(6)]
    assert rates == pytest.approx([1e-4, 2e-4, 3e-4, 4e-4, 4e-4, 4e-4])


@pytest.mark.parametrize("name", ["grpo", "reinforce_pp_baseline"])
def test_a_kl_penalty_in_the_loss_pulls_back_to_the_reference(name: str, tmp_path: Path) -> None:
    reference = load_tiny_model(tmp_path)
    model = load_tiny_model(tmp_path)
    groups = sample(model)
    update(model, groups, replace(SETTINGS, learning_rate=1e-2))
    row = RECIPES[name]
    assert row.loss.kl is not None
    loss = replace(row.loss, kl=replace(row.loss.kl, beta=0.5))
    learner = LocalLearner(model, SETTINGS, 1.0, reference=FrozenModel(reference))
    lesson = to_lesson(learner, groups)
    reference_logprobs = lesson.estimates.reference_logprobs
    assert reference_logprobs is not None
    torch.testing.assert_close(reference_logprobs, lesson.batch.behaviour_logprobs, rtol=0, atol=1e-4)
    nothing_to_gain = with_advantages(lesson, torch.zeros(len(lesson.batch.tokens)))
    distances = [learner.update(nothing_to_gain, loss).metrics["kl"] for _ in range(20)]
    assert distances[0] > 0.01
    assert distances[-1] < distances[0] / 2


def test_with_lora_the_reference_is_the_model_without_its_adapters(tmp_path: Path) -> None:
    start = load_tiny_model(tmp_path)
    model = attach_lora(load_tiny_model(tmp_path), rank=4, alpha=32, targets="all-linear", seed=0)
    groups = sample(model)
    learner = LocalLearner(model, replace(SETTINGS, learning_rate=1e-2), 1.0, reference=WithoutAdapters(model))
    lesson = to_lesson(learner, groups)
    for _ in range(3):
        learner.update(lesson, RECIPES["grpo"].loss)
    estimates = learner.estimate(lesson.batch)
    frozen = LocalLearner(start, SETTINGS, 1.0, reference=FrozenModel(start)).estimate(lesson.batch)
    assert estimates.reference_logprobs is not None
    assert frozen.reference_logprobs is not None
    torch.testing.assert_close(estimates.reference_logprobs, frozen.reference_logprobs, rtol=0, atol=1e-6)
    own = LocalLearner(model, SETTINGS, 1.0, estimates_old=True).estimate(lesson.batch).old_logprobs
    assert own is not None
    assert (own - estimates.reference_logprobs).abs().max() > 0.01, "the adapters have learned"


def test_a_kl_penalty_without_a_reference_is_refused(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    learner = make_learner(model)
    row = RECIPES["grpo"]
    assert row.loss.kl is not None
    loss = replace(row.loss, kl=replace(row.loss.kl, beta=0.5))
    with pytest.raises(ValueError, match="needs the reference"):
        learner.update(to_lesson(learner, sample(model)), loss)


def test_old_logprobs_are_estimated_before_the_first_update(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    learner = LocalLearner(model, replace(SETTINGS, learning_rate=1e-2), 1.0, estimates_old=True)
    lesson = to_lesson(learner, sample(model))
    assert lesson.estimates.old_logprobs is not None
    torch.testing.assert_close(lesson.estimates.old_logprobs, lesson.batch.behaviour_logprobs, rtol=0, atol=1e-4)
    reports = [learner.update(lesson, RECIPES["grpo"].loss) for _ in range(3)]
    assert reports[0].metrics["ratio/max"] == pytest.approx(1, abs=1e-4)
    assert reports[2].metrics["ratio/max"] > 1.2 > 0.9 > reports[2].metrics["ratio/min"]
    assert reports[2].metrics["clip_ratio/region_mean"] > 0


def test_ratios_are_of_the_old_logprobs_where_there_are_some(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    learner = make_learner(model)
    lesson = to_lesson(learner, sample(model))
    shifted = replace(lesson.estimates, old_logprobs=lesson.batch.behaviour_logprobs - 0.5)
    report = learner.update(replace(lesson, estimates=shifted), RECIPES["grpo"].loss)
    assert report.metrics["ratio/mean"] == pytest.approx(2.718281828**0.5, rel=1e-3)
    assert report.metrics["clip_ratio/high_mean"] > 0
    assert report.metrics["clip_ratio/low_mean"] == 0


def test_the_importance_cap_weighs_what_another_engine_sampled(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    learner = make_learner(model)
    lesson = to_lesson(learner, sample(model))
    foreign = replace(lesson.batch, behaviour_logprobs=lesson.batch.behaviour_logprobs - 1.0)
    loss = replace(RECIPES["grpo"].loss, importance_cap=2.0)
    metrics = learner.update(replace(lesson, batch=foreign), loss).metrics
    assert metrics["importance/mean"] == pytest.approx(2.718281828, rel=1e-3)
    assert metrics["importance/capped_mean"] == 1
    assert metrics["mismatch/mean"] == pytest.approx(1.0, rel=1e-3)


def test_an_entropy_bonus_keeps_the_policy_undecided(tmp_path: Path) -> None:
    entropies = []
    for bonus in (0.0, 1.0):
        model = load_tiny_model(tmp_path)
        groups = sample(model)
        learner = make_learner(model)
        loss = replace(RECIPES["grpo"].loss, entropy_bonus=bonus)
        lesson = to_lesson(learner, groups)
        for _ in range(10):
            report = learner.update(lesson, loss)
        entropies.append(report.metrics["entropy"])
    assert entropies[1] > entropies[0] + 0.1


@pytest.mark.parametrize("kind", ["head", "model"])
def test_a_critic_learns_what_to_expect(kind: str, tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    critic = ValueHead(model) if kind == "head" else CriticModel(load_tiny_model(tmp_path))
    settings = replace(SETTINGS, learning_rate=0.0)
    learner = LocalLearner(model, settings, 1.0, critic=critic, critic_settings=replace(SETTINGS, learning_rate=1e-2))
    algorithm = RECIPES["ppo"]
    loss = replace(algorithm.loss, value=ValueTerm(clip=1e9, coefficient=0.5))
    before = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    groups = sample(model)
    explained = []
    for _ in range(60):
        report = learner.update(to_lesson(learner, groups, algorithm), loss)
        assert report.outcome is UpdateOutcome.APPLIED
        explained.append(report.metrics["critic/explained_variance"])
    assert explained[0] == pytest.approx(0, abs=1e-6), "it starts at 0 everywhere"
    assert explained[-1] > 0.5
    if kind == "model":  # a head's loss moves the trunk as well, at the policy's rate
        assert all(torch.equal(before[name], tensor) for name, tensor in model.network.state_dict().items())


@pytest.mark.parametrize("kind", ["none", "head", "model"])
def test_a_restored_learner_goes_on_to_the_bit(kind: str, tmp_path: Path) -> None:
    def fresh() -> tuple[LanguageModel, LocalLearner]:
        model = load_tiny_model(tmp_path)
        critics = {"none": None, "head": ValueHead(model), "model": CriticModel(load_tiny_model(tmp_path))}
        return model, LocalLearner(model, replace(SETTINGS, warmup_steps=5), 1.0, critic=critics[kind])

    algorithm = RECIPES["grpo" if kind == "none" else "ppo"]

    def go_on(model: LanguageModel, learner: LocalLearner) -> None:
        learner.update(to_lesson(learner, sample(model), algorithm), algorithm.loss)

    first, learner = fresh()
    for _ in range(2):
        go_on(first, learner)
    saved = learner.state()
    file = save(dict(saved.tensors))
    for _ in range(2):
        go_on(first, learner)
    second, restored = fresh()
    restored.restore(LearnerState(tensors=load(file), updates=saved.updates))
    for _ in range(2):
        go_on(second, restored)
    ours, theirs = learner.state(), restored.state()
    assert ours.updates == theirs.updates == 4
    assert ours.tensors.keys() == theirs.tensors.keys()
    assert all(torch.equal(ours.tensors[name], theirs.tensors[name]) for name in ours.tensors)
    assert any(name.startswith("critic/") for name in ours.tensors) == (kind != "none")


def test_the_state_of_another_model_is_refused(tmp_path: Path) -> None:
    llama, qwen = (make_learner(load_tiny_model(tmp_path / name, name)) for name in get_args(Architecture))
    with pytest.raises(CheckpointError, match="of another model"):
        qwen.restore(llama.state())


@pytest.mark.parametrize("name", RECIPES)
def test_eight_times_the_micro_batch_leads_to_the_same_weights(name: str, tmp_path: Path) -> None:
    ends = []
    for budget in (40, 320):
        model = load_tiny_model(tmp_path)
        settings = replace(SETTINGS, learning_rate=1e-4, micro_batch_tokens=budget)
        learner = make_learner(model, settings, name)
        for _ in range(3):
            learner.update(to_lesson(learner, sample(model), RECIPES[name]), RECIPES[name].loss)
        ends.append(torch.cat([tensor.flatten() for tensor in model.network.state_dict().values()]))
    assert ((ends[0] - ends[1]).norm() / ends[0].norm()).item() < 1e-5
