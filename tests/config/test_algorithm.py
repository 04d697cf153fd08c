from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from verifine.config import AlgorithmConfig, build_config
from verifine.config.recipes import RECIPES
from verifine.errors import ConfigError


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("GRPO", "grpo"),
        ("DAPO", "dapo"),
        ("RLOO", "rloo"),
        ("REINFORCE_PPB", "reinforce_pp_baseline"),
        ("PPO", "ppo"),
        ("Dr_GRPO", "dr_grpo"),
    ],
)
def test_an_algorithm_is_known_by_the_names_of_other_programs(written: str, meant: str) -> None:
    assert AlgorithmConfig.model_validate({"name": written}).name == meant


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"algorithm": {"name": "gprpo"}}, "did you mean 'grpo'?"),
        ({"algorithm": {"name": 3}}, "`algorithm.name` is 3, but must be"),
        ({"algorithm": {"clip_low": 1.5}}, "`algorithm.clip_low` is 1.5, but must be at most 1"),
        (
            {"algorithm": {"entropy_min_p": 0.05}},
            "`entropy_min_p` belongs to an entropy bonus; set `entropy_bonus`, or remove it",
        ),
        ({"algorithm": {"dual_clip": 1}}, "`algorithm.dual_clip` is 1, but must be above 1"),
        (
            {"algorithm": {"name": "dapo", "beta": 0.01}},
            "`beta` must be 0: dapo has no KL penalty and keeps no reference model; take grpo for one",
        ),
        (
            {"algorithm": {"critic": {"kind": "model"}}},
            "`critic` belongs to ppo, and grpo has none; remove it, or set name to ppo",
        ),
        ({"algorithm": {"name": "ppo", "critic": {"lam": 2}}}, "`algorithm.critic.lam` is 2, but must be at most 1"),
        (
            {"algorithm": {"name": "ppo", "critic": {"learning_rate": 0}}},
            "`algorithm.critic.learning_rate` is 0, but must be above 0",
        ),
        ({"algorithm": {"name": "cispo", "clip_low": 0.2}}, "`clip_low` means nothing to cispo"),
        ({"algorithm": {"name": "gspo", "dual_clip": 3}}, "`dual_clip` means nothing to gspo"),
        ({"algorithm": {"name": "rloo"}, "reward": {"scaling": "std"}}, "`reward.scaling` means nothing to rloo"),
        (
            {"algorithm": {"mini_batches": 2, "subsample": 1.0}},
            "`subsample` needs mini_batches of 1: the groups of a mini-batch might all be left out; remove one of them",
        ),
        (
            {"algorithm": {"mini_batches": 9}},
            "`algorithm.mini_batches` must be at most sampling.prompts_per_step (8), since a group is never split",
        ),
        ({"algorithm": {"name": "rloo"}, "sampling": {"group_size": 1}}, "rloo compares the answers to one prompt"),
        (
            {"algorithm": {"name": "ppo"}, "sampling": {"group_size": 1, "prompts_per_step": 1}},
            "`sampling.prompts_per_step` must be at least 2 with a group_size of 1",
        ),
        (
            {
                "data": {"train": "x.jsonl"},
                "reward": {"format_gate": True},
                "grader": {"type": "string_check", "input": "a", "reference": "b", "operation": "eq"},
            },
            "`reward.format_gate` needs a grader that judges the format, and string_check does not; take "
            "answer, math, code, choice, format or json_schema, alone or in a weighted grader",
        ),
        ({"algorithm": {"overlong_share": 0.2}}, "`algorithm.overlong_share` is unknown"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_hint(sections: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_config({"data": {"task": "add"}, **sections})
    assert message in str(caught.value)


@pytest.mark.parametrize("name", RECIPES)
def test_every_algorithm_is_accepted_as_it_is(name: str) -> None:
    assert build_config({"data": {"task": "add"}, "algorithm": {"name": name}}).algorithm.name == name
