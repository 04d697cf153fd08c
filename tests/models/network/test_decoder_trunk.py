"""Verifine's own pass through a decoder, compared with transformers' pass through the same network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    MistralConfig,
    PretrainedConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen3Config,
)

from verifine.learner.local import LocalLearner
from verifine.models.network.adapter_layers import ADAPTER
from verifine.models.network.decoder_trunk import DecoderTrunk, InferenceTrunk, make_trunk
from verifine.models.network.packed_projection import can_pack
from verifine.models.network.tree import Branch, grow_tree
from verifine.models.network.tree_attention import TreeAttention
from verifine.models.network.trunk import TransformersTrunk, Trunk
from verifine.testing import load_tiny_model
from verifine.testing.training_batches import SETTINGS

SHAPE: dict[str, Any] = {
    "vocab_size": 97,
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
}
CONFIGS: dict[str, PretrainedConfig] = {
    "llama": LlamaConfig(**SHAPE),
    "llama with biases": LlamaConfig(**SHAPE, attention_bias=True, mlp_bias=True),
    "mistral": MistralConfig(**SHAPE, head_dim=8, sliding_window=3),
    "qwen2": Qwen2Config(**SHAPE),
    "qwen3": Qwen3Config(**SHAPE, head_dim=16),
}
TREE = grow_tree(
    [
        Branch(prompt=(1, 2, 3, 4), completions=[(5, 6, 7), (5, 8, 9, 10)]),
        Branch(prompt=(1, 2, 9), completions=[(4, 4), (3,)]),
    ]
)
TOLERANCES = {torch.float32: 1e-5, torch.bfloat16: 0.1}

every_config = pytest.mark.parametrize("name", CONFIGS)
can_pack_here = pytest.mark.skipif(
    not can_pack(torch.device("cpu"), torch.bfloat16), reason="oneDNN has no bfloat16 products on this processor"
)


def make_network(config: PretrainedConfig, *, lora: bool = False) -> PreTrainedModel:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = AutoModelForCausalLM.from_config(config, attn_implementation="verifine").eval()
        if lora:
            targets = ["q_proj", "v_proj", "gate_proj", "down_proj"]
            settings = LoraConfig(r=4, lora_alpha=8, target_modules=targets, task_type="CAUSAL_LM")
            inject_adapter_in_model(settings, network, adapter_name=ADAPTER)
            network.eval()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return network


def run(trunk: Trunk) -> Tensor:
    return trunk.hidden_states(TREE.token_ids, TREE.position_ids, TreeAttention(TREE))


def gradients(trunk: Trunk) -> Mapping[str, Tensor]:
    trunk.network.zero_grad()
    hidden = run(trunk)
    (hidden * torch.linspace(-1, 1, hidden.numel()).view_as(hidden)).sum().backward()
    named = trunk.network.named_parameters()
    return {name: parameter.grad.clone() for name, parameter in named if parameter.grad is not None}


def relative(found: Tensor, wanted: Tensor) -> float:
    return ((found - wanted).abs().max() / wanted.abs().max()).item()


@every_config
@pytest.mark.parametrize("lora", [False, True])
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_hidden_states_and_gradients_are_those_of_transformers(name: str, lora: bool, dtype: torch.dtype) -> None:
    network = make_network(CONFIGS[name], lora=lora)
    ours, theirs = make_trunk(network, dtype), TransformersTrunk(network, dtype)
    assert isinstance(ours, DecoderTrunk)
    assert relative(run(ours), run(theirs)) < TOLERANCES[dtype] / 5
    found, wanted = gradients(ours), gradients(theirs)
    assert found.keys() == wanted.keys()
    assert max(relative(found[name], wanted[name]) for name in found) < TOLERANCES[dtype]


@every_config
def test_gradients_are_returned_to_autograd_where_there_are_none_yet(name: str) -> None:
    network = make_network(CONFIGS[name])
    trunk = make_trunk(network, torch.float32)
    wanted = gradients(trunk)
    network.zero_grad(set_to_none=True)
    named = {name: parameter for name, parameter in network.named_parameters() if name in wanted}
    hidden = run(trunk)
    total = (hidden * torch.linspace(-1, 1, hidden.numel()).view_as(hidden)).sum()
    for (key, _), found in zip(named.items(), torch.autograd.grad(total, list(named.values())), strict=True):
        torch.testing.assert_close(found, wanted[key], rtol=1e-4, atol=1e-6)


@every_config
def test_without_gradients_the_result_is_the_same_to_the_bit(name: str) -> None:
    trunk = make_trunk(make_network(CONFIGS[name]), torch.bfloat16)
    with torch.no_grad():
        assert torch.equal(run(trunk), run(trunk))
        bare = run(trunk)
    assert torch.equal(bare, run(trunk))


@can_pack_here
@every_config
@pytest.mark.parametrize("lora", [False, True])
def test_packed_weights_give_what_plain_ones_give(name: str, lora: bool) -> None:
    trunk = make_trunk(make_network(CONFIGS[name], lora=lora), torch.bfloat16)
    packed = trunk.for_inference()
    assert isinstance(packed, InferenceTrunk)
    with torch.no_grad():
        assert relative(run(packed), run(trunk)) < 0.02


def test_in_float32_no_weight_is_copied() -> None:
    trunk = make_trunk(make_network(CONFIGS["llama"]), torch.float32).for_inference()
    run(trunk)
    assert not isinstance(trunk, InferenceTrunk) or trunk.resident_bytes == 0


def test_an_architecture_of_another_kind_is_run_by_transformers(tmp_path: Path) -> None:
    assert isinstance(load_tiny_model(tmp_path, "gemma3").trunk, TransformersTrunk)


def test_a_network_that_computes_something_else_than_its_class_says_is_run_by_transformers() -> None:
    network = make_network(CONFIGS["llama"])
    network.model.layers[1].mlp.act_fn = nn.GELU()
    assert isinstance(make_trunk(network, torch.float32), TransformersTrunk)


@pytest.mark.parametrize("kind", ["learner's", "engine's"])
def test_copies_follow_every_change_of_the_weights(kind: str, tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path).with_compute_dtype(torch.bfloat16)
    trunk = model.trunk if kind == "learner's" else model.trunk.for_inference()
    learner = LocalLearner(model, SETTINGS, 1.0)
    weight = model.network.get_parameter("model.layers.1.mlp.down_proj.weight")

    def state() -> Tensor:
        with torch.no_grad():
            return run(trunk).clone()

    start, saved = state(), {name: tensor.clone() for name, tensor in learner.state().tensors.items()}
    for parameter in model.network.parameters():
        parameter.grad = torch.ones_like(parameter)
    for optimizer in learner._optimizers.values():
        optimizer.step(0)
    updated = state()
    assert not torch.equal(updated, start)
    with torch.no_grad():
        weight.mul_(1.5)
    assert not torch.equal(state(), updated)
    restored = learner.state()
    learner.restore(type(restored)(tensors=saved, updates=0))
    assert torch.equal(state(), start)
