from __future__ import annotations

import pytest

from verifine.config import LoraConfig, build_config
from verifine.config.recipes import RECIPES
from verifine.launch.quickstart import quickstart_settings, usual_minutes
from verifine.models.provision.shipped import SHIPPED


@pytest.mark.parametrize("algorithm", [*RECIPES, "PPO", "REINFORCE_PPB"])
def test_every_algorithm_has_settings_that_it_takes(algorithm: str) -> None:
    config = build_config(quickstart_settings("largest", algorithm=algorithm))
    assert config.algorithm.recipe.name in RECIPES
    # What is compared over the whole step is subsampled, with two answers to a prompt; the others compare eight.
    is_wide = config.reward.batch_baseline > 0
    assert (config.algorithm.subsample is not None) == is_wide
    assert (config.sampling.prompts_per_step, config.sampling.group_size) == ((16, 2) if is_wide else (8, 8))


@pytest.mark.parametrize("model", ["SmolLM2-135M-Instruct", "pico"])
@pytest.mark.parametrize("algorithm", ["grpo", "dapo"])
def test_adapters_are_taught_with_a_rate_of_their_own_and_else_alike(model: str, algorithm: str) -> None:
    full, lora = (quickstart_settings("add", model, algorithm=algorithm, lora=lora) for lora in (False, True))
    slow, fast = (build_config(settings) for settings in (full, lora))
    assert (slow.model.lora, fast.model.lora) == (None, LoraConfig())
    assert isinstance(slow.optim.learning_rate, float)
    assert isinstance(fast.optim.learning_rate, float)
    assert slow.optim.learning_rate < fast.optim.learning_rate
    for settings in (full, lora):
        del settings["optim"]["learning_rate"]
    assert full.pop("model") != lora.pop("model")
    assert full == lora


def test_settings_can_be_changed_without_changing_those_of_the_next() -> None:
    settings = quickstart_settings("largest")
    settings["optim"]["learning_rate"] = 1.0
    assert quickstart_settings("largest")["optim"]["learning_rate"] != 1.0


def test_a_model_that_comes_with_verifine_is_taught_with_its_own_settings() -> None:
    for name in ("pico", "Pico"):
        config = build_config(quickstart_settings("sort", name))
        assert config.optim.learning_rate == SHIPPED["pico"].learning_rate
        assert config.optim.warmup_steps == SHIPPED["pico"].warmup_steps
        assert (config.sampling.prompts_per_step, config.algorithm.subsample) == (32, None)
        assert usual_minutes(name) == SHIPPED["pico"].minutes < usual_minutes("SmolLM2-135M-Instruct")
