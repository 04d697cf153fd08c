"""Models with more rows in their vocabulary than tokens learn as the same models without these rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from verifine.algorithms.algorithm import Algorithm, default_algorithm
from verifine.learner.critic import ValueHead
from verifine.learner.learner import UpdateReport
from verifine.learner.local import LocalLearner
from verifine.learner.optim import OptimSettings
from verifine.learner.reference import FrozenModel, WithoutAdapters
from verifine.models.load import LanguageModel
from verifine.models.network.lora import attach_lora
from verifine.testing import Architecture, load_tiny_model
from verifine.testing.training_batches import SETTINGS, make_training_batch, sample_groups

TOKENS, PADDING = 99, 31
GRPO = default_algorithm("grpo")
SLOW = replace(SETTINGS, learning_rate=1e-4)
"""AdamW's first steps have the sign of the gradient, so rounding shows where a gradient is nearly 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A way to learn."""

    algorithm: Algorithm = GRPO
    settings: OptimSettings = SLOW
    has_adapters: bool = False
    has_reference: bool = False

    def learner(self, load: Callable[[], LanguageModel]) -> tuple[LanguageModel, LocalLearner]:
        model = load()
        reference = None
        if self.has_adapters:
            model = attach_lora(model, 4, 8, "all-linear", seed=0)
        if self.has_reference:
            reference = WithoutAdapters(model) if self.has_adapters else FrozenModel(load())
        critic = ValueHead(model, self.settings) if self.algorithm.loss.value is not None else None
        return model, LocalLearner(model, self.settings, 1.0, reference=reference, critic=critic, estimates_old=True)


def with_loss(name: str = "grpo", beta: float = 0.0, entropy_bonus: float = 0.0) -> Algorithm:
    made = default_algorithm(name)
    assert made.loss.kl is not None
    return replace(made, loss=replace(made.loss, kl=replace(made.loss.kl, beta=beta), entropy_bonus=entropy_bonus))


CASES = {
    "grpo": Case(),
    "weight decay": Case(settings=replace(SLOW, weight_decay=0.1)),
    "few tokens at a time": Case(settings=replace(SLOW, micro_batch_tokens=40)),
    "entropy bonus": Case(algorithm=with_loss(entropy_bonus=0.5)),
    "reference": Case(algorithm=with_loss(beta=0.5), has_reference=True),
    "adapters": Case(has_adapters=True),
    "adapters with reference": Case(algorithm=with_loss(beta=0.5), has_adapters=True, has_reference=True),
    "critic": Case(algorithm=default_algorithm("ppo")),
}


def learn(case: Case, load: Callable[[], LanguageModel]) -> tuple[LanguageModel, list[UpdateReport]]:
    """Two updates on the same answers."""
    model, learner = case.learner(load)
    groups = sample_groups(model)
    reports = []
    for _ in range(2):
        training_batch = make_training_batch(learner, groups, case.algorithm)
        reports.append(learner.update(training_batch, case.algorithm.loss))
    return model, reports


def weights_of(model: LanguageModel) -> dict[str, Tensor]:
    return {name: tensor.detach() for name, tensor in model.network.state_dict().items()}


@pytest.mark.parametrize("architecture", ["llama", "qwen3"])
@pytest.mark.parametrize(
    "name", ["grpo", *(pytest.param(name, marks=pytest.mark.slow) for name in CASES if name != "grpo")]
)
def test_a_padded_model_learns_as_without_its_padding(name: str, architecture: Architecture, tmp_path: Path) -> None:
    """With tied embeddings (Llama) and with a head of its own (Qwen 3)."""
    case = CASES[name]
    plain, expected = learn(case, lambda: load_tiny_model(tmp_path / "plain", architecture))
    padded, found = learn(case, lambda: load_tiny_model(tmp_path / "padded", architecture, padding=PADDING))
    for ours, theirs in zip(found, expected, strict=True):
        for metric, value in theirs.metrics.items():
            assert ours.metrics[metric] == pytest.approx(value, rel=1e-3, abs=1e-4), metric
    assert found[0].metrics["mismatch/max"] < 1e-4
    theirs_by_name = weights_of(plain)
    for weight, tensor in weights_of(padded).items():
        kept = tensor[:TOKENS] if tensor.shape[0] == TOKENS + PADDING else tensor
        torch.testing.assert_close(kept, theirs_by_name[weight], rtol=0, atol=2.1 * case.settings.learning_rate)
        assert (kept - theirs_by_name[weight]).abs().mean() < 0.01 * case.settings.learning_rate


@pytest.mark.parametrize("architecture", ["llama", "qwen3"])
def test_padding_is_not_learned(architecture: Architecture, tmp_path: Path) -> None:
    start = weights_of(load_tiny_model(tmp_path, architecture, padding=PADDING))
    model, _ = learn(CASES["entropy bonus"], lambda: load_tiny_model(tmp_path, architecture, padding=PADDING))
    changed = weights_of(model)
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        assert torch.equal(changed[name][TOKENS:], start[name][TOKENS:])
        assert not torch.equal(changed[name][:TOKENS], start[name][:TOKENS])


def test_the_entropy_is_that_of_the_tokens(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path, padding=PADDING)
    _, learner = CASES["grpo"].learner(lambda: model)
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.zero_()
    batch = make_training_batch(learner, sample_groups(model))
    report = learner.update(batch, GRPO.loss)
    assert report.metrics["entropy"] == pytest.approx(torch.log(torch.tensor(float(TOKENS))).item(), abs=1e-5)
