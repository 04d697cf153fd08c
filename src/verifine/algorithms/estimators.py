"""Credit rules: from the rewards of a step to one advantage a token, each a row's choice of `advantages` functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from verifine.algorithms.advantages import gae, returns_to_go, rewards_differ, whitened
from verifine.algorithms.shaping import on_last_token

Baseline = Callable[[Tensor, Tensor], Tensor]
"""rewards[P, G], valid[P, G] -> advantages[P, G]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What credit is given for."""

    rewards: Float[Tensor, "P G"]
    valid: Bool[Tensor, "P G"]
    row: Int[Tensor, " N"]
    penalty: Float[Tensor, " N"] | None = None
    """What each token costs: beta times k1 to the reference, where KL is in the reward. None: nothing."""
    values: Float[Tensor, " N"] | None = None
    """What the critic expected before each token. None: there is no critic."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advantages:
    """What each action token did for the reward."""

    advantages: Float[Tensor, " N"]
    returns: Float[Tensor, " N"] | None = None
    """What a critic learns to expect. None: there is no critic."""


class AdvantageEstimator(Protocol):
    """How a row of the table gives credit."""

    def __call__(self, evidence: Evidence) -> Advantages: ...

    def has_signal(self, rewards: Float[Tensor, "P G"], valid: Bool[Tensor, "P G"]) -> bool:
        """Whether the rewards of a step say which answers were better; without, credit would be noise."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupEstimator:
    """Every token of a rollout gets what the rollout was better than its group."""

    baseline: Baseline
    whitens: bool = False
    """Whether the advantages of all tokens of the step are then whitened."""

    def __call__(self, evidence: Evidence) -> Advantages:
        rewards = evidence.rewards
        if evidence.penalty is not None:
            costs = torch.zeros_like(rewards).flatten().index_add(0, evidence.row, evidence.penalty.to(rewards.dtype))
            rewards = rewards - costs.view_as(rewards)
        advantages = self.baseline(rewards, evidence.valid).flatten()[evidence.row]
        return Advantages(advantages=whitened(advantages) if self.whitens else advantages)

    def has_signal(self, rewards: Float[Tensor, "P G"], valid: Bool[Tensor, "P G"]) -> bool:
        return bool(rewards_differ(rewards, valid).any())


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnEstimator:
    """Every token gets the rewards from it on, whitened over the step: no group, no critic (REINFORCE++)."""

    gamma: float = 1.0

    def __call__(self, evidence: Evidence) -> Advantages:
        return Advantages(advantages=whitened(returns_to_go(_token_rewards(evidence), evidence.row, self.gamma)))

    def has_signal(self, rewards: Float[Tensor, "P G"], valid: Bool[Tensor, "P G"]) -> bool:
        return _differ_anywhere(rewards, valid)


@dataclass(frozen=True, slots=True, kw_only=True)
class CriticEstimator:
    """Every token gets what followed beyond the critic's expectation, whitened over the step (PPO)."""

    gamma: float = 1.0
    lam: float = 0.95

    def __call__(self, evidence: Evidence) -> Advantages:
        if evidence.values is None:
            raise ValueError("credit by a critic needs its values")
        advantages, returns = gae(_token_rewards(evidence), evidence.values, evidence.row, self.gamma, self.lam)
        return Advantages(advantages=whitened(advantages), returns=returns)

    def has_signal(self, rewards: Float[Tensor, "P G"], valid: Bool[Tensor, "P G"]) -> bool:
        return _differ_anywhere(rewards, valid)


def _differ_anywhere(rewards: Float[Tensor, "P G"], valid: Bool[Tensor, "P G"]) -> bool:
    """All answers of the step stand beside each other, as one group."""
    return rewards.numel() > 0 and bool(rewards_differ(rewards.reshape(1, -1), valid.reshape(1, -1)).any())


def _token_rewards(evidence: Evidence) -> Float[Tensor, " N"]:
    """The grader's reward at the last token of each rollout, less the penalty of each token."""
    rewards = on_last_token(evidence.rewards, evidence.row)
    return rewards if evidence.penalty is None else rewards - evidence.penalty.to(rewards.dtype)
