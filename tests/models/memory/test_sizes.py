from __future__ import annotations

from dataclasses import asdict

import pytest
from transformers import AutoConfig

from verifine.config import LoraConfig
from verifine.models.memory.shape import linear_names, shape_of_config
from verifine.models.provision.catalogue import CATALOGUE


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_sizes_of_an_entry_give_the_shape_that_transformers_would_build(name: str) -> None:
    sizes = CATALOGUE[name].sizes
    config = AutoConfig.for_model(**asdict(sizes), dtype="bfloat16")
    for lora in (None, LoraConfig(), LoraConfig(rank=3, targets=("q_proj", "down_proj"))):
        assert sizes.shape(lora) == shape_of_config(config, lora)
    assert tuple(sizes.linear_layers()) == linear_names(config)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        # What the hub counted in the weights themselves, and what SmolLM2-360M was printed to have.
        ("SmolLM2-135M-Instruct", 134_515_008),
        ("SmolLM2-360M-Instruct", 361_821_120),
        ("Qwen2.5-3B-Instruct", 3_085_938_688),
    ],
)
def test_the_weights_of_published_models_are_counted_right(name: str, parameters: int) -> None:
    assert CATALOGUE[name].sizes.shape(None).parameters == parameters
