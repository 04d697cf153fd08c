"""What `sampling` may say, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from verifine.config import build_config
from verifine.config.recipes import RECIPES
from verifine.errors import ConfigError


def sampling(**values: Any) -> dict[str, Any]:
    return {"sampling": {"group_size": 4, **values}}


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        (sampling(rounds={}, allocation={}), "give either `rounds` or `allocation`, not both"),
        (sampling(rounds={"answers": 3}), "`rounds.answers` must be at least group_size (4)"),
        (sampling(rounds={"rounds": 1}), "`sampling.rounds.rounds` is 1, but must be at least 2"),
        (sampling(rounds={"until": "mixed"}), "`sampling.rounds.until` is 'mixed', but must be"),
        (sampling(rounds={"positives": 17}), "`rounds.positives` must be at most 16"),
        (sampling(rounds={"until": "balanced", "positives": 2}), "`positives` belongs to until: positive"),
        (sampling(allocation={"least": 5}), "`allocation` gives a prompt from 5 to 16 answers, but group_size (4)"),
        (sampling(allocation={"most": 3}), "`allocation` gives a prompt from 2 to 3 answers"),
        (sampling(skip={"floor": 0.01}), "`sampling.skip.floor` is 0.01, but must be at least 0.05"),
        (sampling(rounds={}) | {"reward": {"scaling": "std"}}, "`reward.scaling` must be none with sampling.rounds"),
        (
            sampling(allocation={}) | {"reward": {"scaling": "batch"}},
            "`reward.scaling` must be none with sampling.allocation",
        ),
        (
            sampling(rounds={}) | {"reward": {"batch_baseline": 0.5}},
            "`reward.batch_baseline` must be 0 with sampling.rounds",
        ),
        (sampling(rounds={}) | {"algorithm": "rloo"}, "take grpo, dr_grpo, dapo, gspo or cispo, or remove it"),
        (sampling(thinking_token_budget=-1), "`sampling.thinking_token_budget` is -1, but must be at least 0"),
        (sampling(thinking_end="So."), "`thinking_end` needs </think> exactly once"),
        (sampling(thinking_end="</think></think>"), "`thinking_end` needs </think> exactly once"),
        (sampling(thinking_token_budget=3, stop=["\n\n"]), "`stop` has '\\n\\n', which `thinking_end` writes"),
        (sampling(skip={}) | {"algorithm": "ppo"}, "`sampling.skip` means nothing to ppo"),
        (
            sampling(skip={}) | {"reward": {"scaling": "batch", "batch_baseline": 0.5}},
            "`sampling.skip` means nothing with reward.batch_baseline",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_hint(sections: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_config({"data": {"task": "add"}, **sections})
    assert message in str(caught.value)


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("policy", ["rounds", "allocation"])
def test_a_row_takes_pools_if_it_says_so(name: str, policy: str) -> None:
    values = {"data": {"task": "add"}, "algorithm": name, **sampling(**{policy: {}})}
    if RECIPES[name].takes_pools:
        assert build_config(values).sampling.draws_pools
        return
    with pytest.raises(ConfigError, match=f"`sampling.{policy}` means nothing to {name}"):
        build_config(values)


def test_a_prompts_answers_follow_from_the_policy() -> None:
    fixed = build_config({"data": {"task": "add"}, **sampling()}).sampling
    assert (fixed.most_at_once, fixed.answers_per_prompt, fixed.draws_pools) == (4, (4, 4), False)
    rounds = build_config({"data": {"task": "add"}, **sampling(rounds={"answers": 6, "rounds": 3})}).sampling
    assert (rounds.most_at_once, rounds.answers_per_prompt) == (6, (6, 18))
    allocation = build_config({"data": {"task": "add"}, **sampling(allocation={})}).sampling
    assert (allocation.most_at_once, allocation.answers_per_prompt) == (16, (4, 4))
