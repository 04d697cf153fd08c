from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save

from verifine.algorithms.algorithm import default_algorithm
from verifine.errors import CheckpointError
from verifine.learner.critic import Critic, CriticModel, ValueHead
from verifine.learner.learner import LearnerState
from verifine.learner.local import LocalLearner
from verifine.models.load import LanguageModel
from verifine.testing import load_tiny_model
from verifine.testing.training_batches import SETTINGS, make_learner, make_training_batch, sample_groups


@pytest.mark.parametrize("kind", ["none", "head", "model"])
def test_a_restored_learner_goes_on_to_the_bit(kind: str, tmp_path: Path) -> None:
    def fresh() -> tuple[LanguageModel, LocalLearner]:
        model = load_tiny_model(tmp_path)
        settings = replace(SETTINGS, warmup_steps=5)
        critics: dict[str, Critic | None] = {
            "none": None,
            "head": ValueHead(model, settings),
            "model": CriticModel(load_tiny_model(tmp_path), settings),
        }
        return model, LocalLearner(model, settings, 1.0, critic=critics[kind])

    algorithm = default_algorithm("grpo" if kind == "none" else "ppo")

    def go_on(model: LanguageModel, learner: LocalLearner) -> None:
        learner.update(make_training_batch(learner, sample_groups(model), algorithm), algorithm.loss)

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
    llama = make_learner(load_tiny_model(tmp_path / "llama", "llama"))
    qwen = make_learner(load_tiny_model(tmp_path / "qwen", "qwen3"))
    with pytest.raises(CheckpointError, match="of another model"):
        qwen.restore(llama.state())


def test_the_state_of_another_algorithm_is_refused(tmp_path: Path) -> None:
    with_critic, without = (
        make_learner(load_tiny_model(tmp_path), algorithm=default_algorithm(name)) for name in ("ppo", "grpo")
    )
    with pytest.raises(CheckpointError, match="of critic and policy, but this run trains policy"):
        without.restore(with_critic.state())
    with pytest.raises(CheckpointError, match="of policy, but this run trains critic and policy"):
        with_critic.restore(without.state())
