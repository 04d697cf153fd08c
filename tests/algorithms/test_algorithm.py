from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import pytest
import torch
from torch import Tensor

from verifine.algorithms import (
    CriticEstimator,
    GroupEstimator,
    batch_scaled,
    group_centered,
)
from verifine.algorithms.advantages import GROUP_ADVANTAGES
from verifine.algorithms.algorithm import build_algorithm, default_algorithm
from verifine.algorithms.kl import KL_ESTIMATORS
from verifine.algorithms.shaping import GROUP_FILTERS
from verifine.algorithms.surrogates import SURROGATES
from verifine.algorithms.weights import AVERAGINGS
from verifine.config import AlgorithmConfig, CriticConfig, RewardConfig
from verifine.config.recipes import (
    NEEDS_SIBLINGS,
    RECIPES,
    AlgorithmName,
    AveragingName,
    GroupFilterName,
    KLEstimatorName,
    Recipe,
    SurrogateName,
)
from verifine.errors import ConfigError

PLAIN = RewardConfig()


def test_every_name_that_a_row_may_use_has_its_function() -> None:
    assert set(get_args(AlgorithmName)) == set(RECIPES)
    assert GROUP_ADVANTAGES.keys() == NEEDS_SIBLINGS
    assert set(get_args(SurrogateName)) == SURROGATES.keys()
    assert set(get_args(AveragingName)) == AVERAGINGS.keys()
    assert set(get_args(KLEstimatorName)) == KL_ESTIMATORS.keys()
    assert set(get_args(GroupFilterName)) == GROUP_FILTERS.keys()
    for row in RECIPES.values():
        assert row.clips_rollouts == SURROGATES[row.surrogate].clips_rollouts


NINE = ("grpo", "dr_grpo", "dapo", "rloo", "reinforce_pp", "reinforce_pp_baseline", "ppo", "gspo", "cispo")


def test_what_a_setting_means_follows_from_the_row() -> None:
    def rows(has: Callable[[Recipe], bool]) -> set[str]:
        return {name for name in NINE if has(RECIPES[name])}

    assert rows(lambda row: not row.compares_groups) == {"reinforce_pp", "ppo"}
    assert rows(lambda row: row.scaling is not None) == {"grpo", "dr_grpo", "dapo", "gspo", "cispo"}
    assert rows(lambda row: row.kl is None) == {"dapo"}
    assert rows(lambda row: not row.has_dual_clip) == {"gspo", "cispo"}
    assert rows(lambda row: row.clip_low is None) == {"cispo"}
    assert rows(lambda row: row.group_filter is not None) == {"dapo", "cispo"}
    assert rows(lambda row: row.has_critic) == {"ppo"}


@pytest.mark.parametrize("name", RECIPES)
def test_what_was_decided_is_decided_again_when_it_is_read(name: str) -> None:
    config = AlgorithmConfig(name=name).decided()
    reward = PLAIN.decided(config.recipe)
    again = AlgorithmConfig.model_validate(config.model_dump())
    assert build_algorithm(again, RewardConfig.model_validate(reward.model_dump())) == default_algorithm(name)
    assert reward.overlong_share == (0.2 if name == "dapo" else 0.0)


def test_an_algorithm_is_its_row_with_what_the_config_changes() -> None:
    changed = build_algorithm(
        AlgorithmConfig(
            name="grpo", clip_low=0.1, clip_high=0.4, dual_clip=3, beta=0.1, entropy_bonus=0.01, drop_truncated=True
        ),
        RewardConfig(format_gate=True, overlong_share=0.5),
    )
    clip = changed.loss.clip
    assert (clip.low, clip.high, clip.dual) == (0.1, 0.4, 3)
    assert changed.loss.kl is not None
    assert changed.loss.kl.beta == 0.1
    assert changed.loss.entropy_bonus == 0.01
    assert changed.needs_reference
    assert (changed.overlong_share, changed.drops_truncated, changed.gates_format) == (0.5, True, True)


@pytest.mark.parametrize(
    ("name", "in_reward"), [("grpo", False), ("rloo", True), ("reinforce_pp", True), ("ppo", True)]
)
def test_beta_is_put_where_the_row_has_it(name: str, in_reward: bool) -> None:
    algorithm = build_algorithm(AlgorithmConfig(name=name, beta=0.1), PLAIN)
    assert algorithm.penalises_in_reward == in_reward
    assert algorithm.loss.penalises_divergence != in_reward


def test_rloo_clips_once_a_batch_is_used_more_than_once() -> None:
    assert build_algorithm(AlgorithmConfig(name="rloo"), PLAIN).loss.surrogate == "reinforce"
    assert build_algorithm(AlgorithmConfig(name="rloo", epochs=2), PLAIN).loss.surrogate == "clipped"
    assert build_algorithm(AlgorithmConfig(name="rloo", mini_batches=2), PLAIN).loss.surrogate == "clipped"


def test_scaling_takes_the_place_of_the_rows_own() -> None:
    for scaling, advantages in (("none", group_centered), ("batch", batch_scaled)):
        rule = build_algorithm(AlgorithmConfig(), RewardConfig.model_validate({"scaling": scaling})).estimator
        assert isinstance(rule, GroupEstimator)
        assert rule.advantages is advantages
    assert PLAIN.decided(RECIPES["grpo"]).scaling == "std"
    assert PLAIN.decided(RECIPES["dr_grpo"]).scaling == "none"
    assert PLAIN.decided(RECIPES["ppo"]).scaling is None


def reward_less_half(rewards: Tensor, valid: Tensor) -> Tensor:
    return (rewards - 0.5) * valid


def test_advantages_of_ones_own_take_the_place_of_the_rows() -> None:
    own = build_algorithm(AlgorithmConfig(name="dr_grpo"), PLAIN, advantages=reward_less_half)
    row = build_algorithm(AlgorithmConfig(name="dr_grpo"), PLAIN)
    assert isinstance(own.estimator, GroupEstimator)
    assert own.estimator.advantages(torch.tensor([[1.0, 0.0]]), torch.ones(1, 2)).tolist() == [[0.5, -0.5]]
    assert (own.loss, own.recipe) == (row.loss, row.recipe)


@pytest.mark.parametrize(
    ("name", "reward", "pools", "named"),
    [
        ("ppo", {}, False, "algorithm"),
        ("reinforce_pp", {}, False, "algorithm"),
        ("grpo", {"scaling": "batch"}, False, "reward"),
        ("dr_grpo", {"batch_baseline": 0.5}, False, "reward"),
        ("dr_grpo", {}, True, "sampling"),
    ],
)
def test_advantages_of_ones_own_are_refused_where_they_would_be_ignored(
    name: str, reward: dict[str, object], pools: bool, named: str
) -> None:
    with pytest.raises(ConfigError, match=f"^{named}"):
        build_algorithm(
            AlgorithmConfig(name=name), RewardConfig.model_validate(reward), pools=pools, advantages=reward_less_half
        )


def test_a_batch_baseline_makes_decided_groups_teach() -> None:
    rewards = torch.tensor([[1.0, 1.0], [0.0, 0.0], [1.0, 0.0]])
    valid = torch.ones_like(rewards, dtype=torch.bool)
    plain = build_algorithm(AlgorithmConfig(name="dr_grpo"), PLAIN).estimator
    mixed = build_algorithm(AlgorithmConfig(name="dr_grpo"), RewardConfig(batch_baseline=0.5)).estimator
    assert not plain.has_signal(rewards[:2], valid[:2])
    assert mixed.has_signal(rewards[:2], valid[:2])
    assert not mixed.has_signal(rewards[:1], valid[:1])
    assert isinstance(mixed, GroupEstimator)
    # Their baselines are half of the group's mean and half of 0.5, the batch's.
    assert mixed.advantages(rewards, valid).tolist() == [[0.25, 0.25], [-0.25, -0.25], [0.5, -0.5]]


def test_the_critics_settings_reach_advantages_and_loss() -> None:
    critic = CriticConfig(gamma=0.9, lam=0.8, value_clip=0.3, coefficient=0.7)
    algorithm = build_algorithm(AlgorithmConfig(name="ppo", critic=critic), PLAIN)
    assert isinstance(algorithm.estimator, CriticEstimator)
    assert (algorithm.estimator.gamma, algorithm.estimator.lam) == (0.9, 0.8)
    assert algorithm.loss.value is not None
    assert (algorithm.loss.value.clip, algorithm.loss.value.coefficient) == (0.3, 0.7)
