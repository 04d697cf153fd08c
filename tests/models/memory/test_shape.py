from __future__ import annotations

from pathlib import Path

import pytest

from verifine.config import LoraConfig
from verifine.models.memory.shape import shape_of, shape_of_config
from verifine.models.network.lora import attach_lora
from verifine.testing import EVERY_ARCHITECTURE, Architecture, load_tiny_model


@pytest.mark.parametrize("name", EVERY_ARCHITECTURE)
@pytest.mark.parametrize("lora", [None, LoraConfig(rank=4), LoraConfig(rank=2, targets=("o_proj",))])
def test_the_shape_by_the_config_is_that_of_the_model(
    name: Architecture, lora: LoraConfig | None, tmp_path: Path
) -> None:
    model = load_tiny_model(tmp_path, name)
    shape = shape_of_config(model.network.config, lora)
    assert shape.cached_bytes_per_token == model.cached_bytes_per_token
    if lora is not None:
        model = attach_lora(model, lora.rank, lora.alpha, lora.targets, seed=0)
    trainable = sum(each.numel() for each in model.network.parameters() if each.requires_grad)
    assert (shape.parameters, shape.trainable) == (model.parameter_count, trainable)


def test_activations_are_counted_for_every_linear_layer_but_the_head(tmp_path: Path) -> None:
    shape = shape_of(load_tiny_model(tmp_path).network, None)
    # Two layers: queries 64, keys and values 32 each, output 64, gate and up 128 each, down 64.
    assert shape.linear_outputs == 2 * (64 + 32 + 32 + 64 + 128 + 128 + 64)
    assert shape.head == (3 + 95 + 1) * 64
    assert (shape.layers, shape.width) == (2, 64)


def test_activations_of_experts_are_counted_for_those_that_a_token_goes_through(tmp_path: Path) -> None:
    shape = shape_of(load_tiny_model(tmp_path, "qwen3-moe").network, None)
    # Attention as in Llama; of four experts two compute a token: gate and up 32 each, down 64.
    assert shape.linear_outputs == 2 * (64 + 32 + 32 + 64 + 2 * (32 + 32 + 64))


def test_the_config_of_an_adapted_model_describes_it_without_its_adapters(tmp_path: Path) -> None:
    plain = shape_of(load_tiny_model(tmp_path).network, None)
    adapted = attach_lora(load_tiny_model(tmp_path), rank=4, alpha=8, targets="all-linear", seed=0)
    assert shape_of_config(adapted.network.config, None) == plain
