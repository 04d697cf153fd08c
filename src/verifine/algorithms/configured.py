"""A row of the table with what a config changes."""

from __future__ import annotations

from dataclasses import replace

from verifine.algorithms.advantages import batch_scaled, group_centered, group_normalized
from verifine.algorithms.estimators import AdvantageEstimator, Baseline, CriticEstimator, GroupEstimator
from verifine.algorithms.loss import Clip, Loss, Surrogate
from verifine.algorithms.recipes import RECIPES, Algorithm
from verifine.config import AlgorithmConfig, CriticConfig, RewardConfig
from verifine.config.algorithm import SCALES, Scaling

BASELINES: dict[Scaling, Baseline] = {"none": group_centered, "std": group_normalized, "batch": batch_scaled}


def build_algorithm(config: AlgorithmConfig, reward: RewardConfig) -> Algorithm:
    """The algorithm of a run."""
    row, decided = RECIPES[config.name], decided_reward(reward, config.name)
    assert decided.overlong_share is not None
    return replace(
        row,
        estimator=_credit_rule(row.estimator, config.critic, reward.scaling),
        loss=_loss(row.loss, config),
        overlong_share=decided.overlong_share,
        drops_truncated=config.drop_truncated,
        gates_format=reward.format_gate,
    )


def decided_algorithm(config: AlgorithmConfig) -> AlgorithmConfig:
    """The config with what the row decides written out."""
    clip = RECIPES[config.name].loss.clip
    decided = {
        "clip_low": clip.low if config.clip_low is None and config.name != "cispo" else config.clip_low,
        "clip_high": clip.high if config.clip_high is None else config.clip_high,
        "critic": CriticConfig() if config.name == "ppo" and config.critic is None else config.critic,
    }
    return config.model_copy(update=decided)


def decided_reward(reward: RewardConfig, name: str) -> RewardConfig:
    """The config with what the row decides written out."""
    row = RECIPES[name]
    scaling = reward.scaling
    if scaling is None and name in SCALES and isinstance(row.estimator, GroupEstimator):
        scaling = next(each for each, baseline in BASELINES.items() if baseline is row.estimator.baseline)
    share = row.overlong_share if reward.overlong_share is None else reward.overlong_share
    return reward.model_copy(update={"overlong_share": share, "scaling": scaling})


def _credit_rule(rule: AdvantageEstimator, critic: CriticConfig | None, scaling: Scaling | None) -> AdvantageEstimator:
    if isinstance(rule, GroupEstimator) and scaling is not None:
        return replace(rule, baseline=BASELINES[scaling])
    if isinstance(rule, CriticEstimator) and critic is not None:
        return replace(rule, gamma=critic.gamma, lam=critic.lam)
    return rule


def _loss(loss: Loss, config: AlgorithmConfig) -> Loss:
    critic, value = config.critic, loss.value
    if critic is not None and value is not None:
        value = replace(value, clip=critic.value_clip, coefficient=critic.coefficient)
    return replace(
        loss,
        surrogate=_surrogate(loss.surrogate, config.updates_per_step),
        clip=Clip(
            low=loss.clip.low if config.clip_low is None else config.clip_low,
            high=loss.clip.high if config.clip_high is None else config.clip_high,
            dual=config.dual_clip,
        ),
        kl=None if loss.kl is None else replace(loss.kl, beta=config.beta),
        entropy_bonus=config.entropy_bonus,
        importance_cap=config.importance_cap,
        value=value,
    )


def _surrogate(surrogate: Surrogate, updates: int) -> Surrogate:
    """A batch that is used more than once has ratios, and REINFORCE has no bound for them."""
    return "clipped" if surrogate == "reinforce" and updates > 1 else surrogate
