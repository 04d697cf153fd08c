"""Advantage estimators: from the rewards of a step to one advantage for each action token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from verifine.algorithms.advantages import (
    GroupAdvantages,
    differ_anywhere,
    gae,
    pool_centered,
    returns_to_go,
    rewards_differ,
    whitened,
)
from verifine.algorithms.shaping import on_last_token
from verifine.batch import Advantages, Batch, Estimates


class AdvantageEstimator(Protocol):
    """How an algorithm computes advantages."""

    def __call__(self, batch: Batch, estimates: Estimates, penalty: Float[Tensor, " N"] | None) -> Advantages:
        """`penalty` is what each token loses where KL is in the reward: beta times k1. None: nothing."""
        ...

    def has_signal(self, rewards: Float[Tensor, "P G"], valid: Bool[Tensor, "P G"]) -> bool:
        """Whether the rewards of a step say which answers were better; if not, advantages would be noise."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupEstimator:
    """Every token of a rollout gets the advantage of the rollout in its group."""

    advantages: GroupAdvantages
    whitens: bool = False
    """Whether the advantages of all tokens of the step are then whitened."""

    def __call__(self, batch: Batch, estimates: Estimates, penalty: Float[Tensor, " N"] | None) -> Advantages:  # noqa: ARG002
        rewards = batch.rewards
        if penalty is not None:
            costs = torch.zeros_like(rewards).flatten().index_add(0, batch.row, penalty.to(rewards.dtype))
            rewards = rewards - costs.view_as(rewards)
        advantages = self.advantages(rewards, batch.valid).flatten()[batch.row]
        return Advantages(advantages=whitened(advantages) if self.whitens else advantages)

    def has_signal(self, rewards: Float[Tensor, "P G"], valid: Bool[Tensor, "P G"]) -> bool:
        return bool((self.advantages(rewards, valid) != 0).any())


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolEstimator:
    """Every token of a rollout gets its reward minus the mean of everything drawn for its prompt (Reinforce-Ada)."""

    def __call__(self, batch: Batch, estimates: Estimates, penalty: Float[Tensor, " N"] | None) -> Advantages:  # noqa: ARG002
        assert penalty is None, "no row that takes pools has a penalty in the reward"
        centered = pool_centered(batch.rewards, batch.valid, batch.drawn_means)
        return Advantages(advantages=(batch.scales.to(centered.dtype)[:, None] * centered).flatten()[batch.row])

    def has_signal(self, rewards: Float[Tensor, "P G"], valid: Bool[Tensor, "P G"]) -> bool:
        return bool(rewards_differ(rewards, valid).any())


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnEstimator:
    """Every token gets the sum of the rewards from it on, whitened over the step: no group, no critic (REINFORCE++)."""

    gamma: float = 1.0

    def __call__(self, batch: Batch, estimates: Estimates, penalty: Float[Tensor, " N"] | None) -> Advantages:  # noqa: ARG002
        returns = returns_to_go(_token_rewards(batch, penalty), batch.row, self.gamma)
        return Advantages(advantages=whitened(returns))

    def has_signal(self, rewards: Float[Tensor, "P G"], valid: Bool[Tensor, "P G"]) -> bool:
        return differ_anywhere(rewards, valid)


@dataclass(frozen=True, slots=True, kw_only=True)
class CriticEstimator:
    """Every token gets what followed beyond the critic's expectation, whitened over the step (PPO)."""

    gamma: float
    lam: float

    def __call__(self, batch: Batch, estimates: Estimates, penalty: Float[Tensor, " N"] | None) -> Advantages:
        if estimates.values is None:
            raise ValueError("advantages of a critic need its values")
        rewards = _token_rewards(batch, penalty)
        advantages, returns = gae(rewards, estimates.values, batch.row, self.gamma, self.lam)
        return Advantages(advantages=whitened(advantages), returns=returns)

    def has_signal(self, rewards: Float[Tensor, "P G"], valid: Bool[Tensor, "P G"]) -> bool:
        return differ_anywhere(rewards, valid)


def _token_rewards(batch: Batch, penalty: Float[Tensor, " N"] | None) -> Float[Tensor, " N"]:
    """The reward at the last token, less the penalty at every token."""
    rewards = on_last_token(batch.rewards, batch.row)
    return rewards if penalty is None else rewards - penalty.to(rewards.dtype)
