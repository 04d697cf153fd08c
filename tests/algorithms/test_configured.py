from __future__ import annotations

from typing import get_args

import pytest

from verifine.algorithms import RECIPES, CriticEstimator, GroupEstimator, batch_scaled, group_centered
from verifine.algorithms.configured import build_algorithm, decided_algorithm, decided_reward
from verifine.config import AlgorithmConfig, AlgorithmName, CriticConfig, RewardConfig
from verifine.config.algorithm import DUAL_CLIPS, NEEDS_A_GROUP, SCALES, WITHOUT_KL

PLAIN = RewardConfig()


def test_the_config_knows_the_rows_of_the_table() -> None:
    assert set(get_args(AlgorithmName)) == set(RECIPES)
    groups = {name for name, row in RECIPES.items() if isinstance(row.estimator, GroupEstimator)}
    assert groups == NEEDS_A_GROUP
    assert {name for name, row in RECIPES.items() if row.loss.kl is None} == WITHOUT_KL
    assert {name for name, row in RECIPES.items() if row.loss.surrogate in ("clipped", "reinforce")} == DUAL_CLIPS
    assert {
        name
        for name, row in RECIPES.items()
        if isinstance(row.estimator, GroupEstimator) and not row.estimator.whitens and name != "rloo"
    } == SCALES


@pytest.mark.parametrize("name", RECIPES)
def test_a_row_without_changes_is_the_row(name: AlgorithmName) -> None:
    assert build_algorithm(AlgorithmConfig(name=name), PLAIN) == RECIPES[name]


@pytest.mark.parametrize("name", RECIPES)
def test_what_was_decided_is_decided_again_when_it_is_read(name: AlgorithmName) -> None:
    config = decided_algorithm(AlgorithmConfig(name=name))
    reward = decided_reward(PLAIN, name)
    again = AlgorithmConfig.model_validate(config.model_dump())
    assert build_algorithm(again, RewardConfig.model_validate(reward.model_dump())) == RECIPES[name]
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
def test_beta_is_put_where_the_row_has_it(name: AlgorithmName, in_reward: bool) -> None:
    algorithm = build_algorithm(AlgorithmConfig(name=name, beta=0.1), PLAIN)
    assert algorithm.penalises_in_reward == in_reward
    assert algorithm.loss.penalises_divergence != in_reward


def test_rloo_clips_once_a_batch_is_used_more_than_once() -> None:
    assert build_algorithm(AlgorithmConfig(name="rloo"), PLAIN).loss.surrogate == "reinforce"
    assert build_algorithm(AlgorithmConfig(name="rloo", epochs=2), PLAIN).loss.surrogate == "clipped"
    assert build_algorithm(AlgorithmConfig(name="rloo", mini_batches=2), PLAIN).loss.surrogate == "clipped"


def test_scaling_takes_the_place_of_the_rows_own() -> None:
    for scaling, baseline in (("none", group_centered), ("batch", batch_scaled)):
        rule = build_algorithm(AlgorithmConfig(), RewardConfig.model_validate({"scaling": scaling})).estimator
        assert isinstance(rule, GroupEstimator)
        assert rule.baseline is baseline
    assert decided_reward(PLAIN, "grpo").scaling == "std"
    assert decided_reward(PLAIN, "dr_grpo").scaling == "none"
    assert decided_reward(PLAIN, "ppo").scaling is None


def test_the_critics_settings_reach_credit_and_loss() -> None:
    critic = CriticConfig(gamma=0.9, lam=0.8, value_clip=0.3, coefficient=0.7)
    algorithm = build_algorithm(AlgorithmConfig(name="ppo", critic=critic), PLAIN)
    assert isinstance(algorithm.estimator, CriticEstimator)
    assert (algorithm.estimator.gamma, algorithm.estimator.lam) == (0.9, 0.8)
    assert algorithm.loss.value is not None
    assert (algorithm.loss.value.clip, algorithm.loss.value.coefficient) == (0.3, 0.7)
