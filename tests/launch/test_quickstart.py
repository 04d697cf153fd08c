from __future__ import annotations

import pytest

from verifine.config import build_config
from verifine.config.recipes import RECIPES
from verifine.launch.quickstart import quickstart_settings, usual_minutes
from verifine.models.provision.shipped import SHIPPED


@pytest.mark.parametrize("algorithm", [*RECIPES, "PPO", "REINFORCE_PPB"])
def test_every_algorithm_has_settings_that_it_takes(algorithm: str) -> None:
    config = build_config(quickstart_settings("largest", algorithm=algorithm))
    assert config.algorithm.recipe.name in RECIPES
    # A step has as many answers, whatever the algorithm.
    assert config.sampling.prompts_per_step * config.sampling.group_size == 64
    assert (config.reward.batch_baseline > 0) == (config.sampling.group_size == 2)


def test_settings_can_be_changed_without_changing_those_of_the_next() -> None:
    settings = quickstart_settings("largest")
    settings["optim"]["learning_rate"] = 1.0
    assert quickstart_settings("largest")["optim"]["learning_rate"] != 1.0


def test_a_model_that_comes_with_verifine_is_taught_with_its_own_settings() -> None:
    for name in ("pico", "Pico"):
        config = build_config(quickstart_settings("sort", name))
        assert config.optim.learning_rate == SHIPPED["pico"].learning_rate
        assert config.optim.warmup_steps == SHIPPED["pico"].warmup_steps
        assert usual_minutes(name) == SHIPPED["pico"].minutes < usual_minutes("SmolLM2-135M-Instruct")
