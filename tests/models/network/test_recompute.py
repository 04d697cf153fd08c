from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, OPTConfig

from verifine.algorithms.algorithm import default_algorithm
from verifine.learner.critic import CriticModel
from verifine.learner.local import LocalLearner
from verifine.models.load import LanguageModel
from verifine.models.network.forward import tree_logprobs
from verifine.models.network.recompute import find_layers, recomputed_layers
from verifine.models.network.tree import Branch, Tree, grow_tree
from verifine.testing import ARCHITECTURES, Architecture, load_tiny_model
from verifine.testing.training_batches import SETTINGS, make_training_batch, sample_groups


def tree_of(model: LanguageModel) -> Tree:
    ids = tuple(model.tokenizer("Largest of 31, 4, 77").input_ids)
    return grow_tree([Branch(prompt=ids, completions=[ids[::-1], ids[3:], (5, 6, 7)])], model.device)


def gradients(model: LanguageModel, *, recompute: bool = False) -> list[Tensor]:
    logprobs, entropy = tree_logprobs(model.trunk, model.head, tree_of(model), 1.0, recompute=recompute)
    (logprobs.sum() + 0.1 * entropy.sum()).backward()
    found = [parameter.grad for parameter in model.network.parameters() if parameter.grad is not None]
    model.network.zero_grad(set_to_none=True)
    return found


@contextmanager
def counted() -> Iterator[dict[int, int]]:
    """The bytes that autograd keeps, by where they lie."""
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        yield kept


def kept_bytes(model: LanguageModel, *, recompute: bool = False) -> int:
    with counted() as kept:
        outcome = tree_logprobs(model.trunk, model.head, tree_of(model), 1.0, recompute=recompute)
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.network.parameters()}
    assert outcome[0].requires_grad
    return sum(size for place, size in kept.items() if place not in weights)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_gradients_are_the_same_to_the_bit(architecture: Architecture, dtype: torch.dtype, tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path, architecture).with_compute_dtype(dtype)
    kept = gradients(model)
    recomputed = gradients(model, recompute=True)
    assert kept
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(recomputed, kept, strict=True))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_what_goes_into_each_layer_is_kept_and_little_else(architecture: Architecture, tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path, architecture)
    everything = kept_bytes(model)
    recomputed = kept_bytes(model, recompute=True)
    tokens = len(tree_of(model).token_ids)
    assert recomputed >= 2 * 4 * 64 * tokens  # two layers, 64 wide
    assert recomputed < 0.4 * everything


def test_afterwards_nothing_is_changed(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    before, modes = kept_bytes(model), [module.training for module in model.network.modules()]
    own = [dict(vars(module)) for module in model.network.modules()]
    with pytest.raises(ZeroDivisionError), recomputed_layers(model.network):
        raise ZeroDivisionError
    assert kept_bytes(model) == before
    assert [dict(vars(module)).keys() for module in model.network.modules()] == [each.keys() for each in own]
    assert [module.training for module in model.network.modules()] == modes


def test_sampling_is_as_ever(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    texts = [[rollout.text for rollout in group.rollouts] for group in sample_groups(model)]
    with recomputed_layers(model.network):
        assert [[rollout.text for rollout in group.rollouts] for group in sample_groups(model)] == texts


def test_a_layer_does_not_begin_to_drop_out_activations() -> None:
    # OPT's layers ask whether they are in training mode themselves.
    config = OPTConfig(
        vocab_size=50, hidden_size=32, ffn_dim=64, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=32, word_embed_proj_dim=32, dropout=0.9,
    )  # fmt: skip
    network = AutoModelForCausalLM.from_config(config).eval()
    ids = torch.arange(10)[None]
    plain = network(input_ids=ids).logits
    assert len(find_layers(network)) == 2
    with recomputed_layers(network):
        assert torch.equal(network(input_ids=ids).logits, plain)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_learner_that_recomputes_ends_with_the_same_weights(architecture: Architecture, tmp_path: Path) -> None:
    ends = []
    groups = sample_groups(load_tiny_model(tmp_path, architecture))
    for recompute in (False, True):
        model = load_tiny_model(tmp_path, architecture)
        learner = LocalLearner(model, SETTINGS, 1.0, recompute=recompute)
        for _ in range(2):
            learner.update(make_training_batch(learner, groups), default_algorithm("grpo").loss)
        ends.append(torch.cat([tensor.flatten() for tensor in model.network.state_dict().values()]))
    assert torch.equal(*ends)


def test_a_critic_with_a_trunk_of_its_own_is_recomputed_as_well(tmp_path: Path) -> None:
    algorithm, ends, kept_by_each = default_algorithm("ppo"), [], []
    groups = sample_groups(load_tiny_model(tmp_path))
    for recompute in (False, True):
        model, trunk = load_tiny_model(tmp_path), load_tiny_model(tmp_path)
        critic = CriticModel(trunk, SETTINGS)
        learner = LocalLearner(model, SETTINGS, 1.0, critic=critic, recompute=recompute)
        with counted() as kept:
            for _ in range(2):
                learner.update(make_training_batch(learner, groups, algorithm), algorithm.loss)
        kept_by_each.append(len(kept))
        ends.append(torch.cat([tensor.flatten() for tensor in trunk.network.state_dict().values()]))
    assert torch.equal(*ends)
    assert kept_by_each[1] < 0.5 * kept_by_each[0]
