"""The algorithms as a table: credit x surrogate x averaging x KL x group filter x reward shaping x critic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from verifine.algorithms.advantages import group_centered, group_normalized, leave_one_out
from verifine.algorithms.estimators import (
    AdvantageEstimator,
    Advantages,
    CriticEstimator,
    Evidence,
    GroupEstimator,
    ReturnEstimator,
)
from verifine.algorithms.kl import k1
from verifine.algorithms.loss import KL, Clip, Loss, ValueTerm
from verifine.algorithms.shaping import drop_truncated, format_gate, has_signal, overlong_penalty
from verifine.batch import Batch, Estimates, Scores

GroupFilter = Callable[[Tensor, Tensor], Tensor]
"""rewards[P, G], valid[P, G] -> keeps[P]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shaped:
    """Groups with the rewards that credit is given for."""

    rewards: Float[Tensor, "P G"]
    valid: Bool[Tensor, "P G"]
    """The rollouts that count."""
    keeps: Bool[Tensor, " P"]
    """The groups worth training on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Algorithm:
    """One row of the table, with the settings a user may change."""

    name: str
    estimator: AdvantageEstimator
    loss: Loss
    group_filter: GroupFilter | None = None
    """None: every group is kept. Else a step samples new prompts in place of groups it does not keep."""
    overlong_share: float = 0.0
    """The last part of the token limit, over which the soft overlong penalty rises; 0: none."""
    drops_truncated: bool = False
    gates_format: bool = False
    """Whether an answer in the wrong format earns nothing."""

    def shape(self, scores: Scores, max_tokens: int) -> Shaped:
        """What the grader's scores come to, before the other groups of the step are known."""
        valid = drop_truncated(scores.valid, scores.truncated) if self.drops_truncated else scores.valid
        rewards = format_gate(scores.rewards, scores.format_ok) if self.gates_format else scores.rewards
        buffer = int(self.overlong_share * max_tokens)
        return Shaped(
            rewards=rewards + overlong_penalty(scores.lengths, max_tokens, buffer, dtype=rewards.dtype),
            valid=valid,
            # Before the length counts: a group whose answers differ in length alone says nothing of which is better.
            keeps=valid.any(dim=1) if self.group_filter is None else self.group_filter(rewards, valid),
        )

    def has_signal(self, batch: Batch) -> bool:
        """Whether the rewards of a step say which answers were better."""
        return self.estimator.has_signal(batch.rewards, batch.valid)

    def credit(self, batch: Batch, estimates: Estimates) -> Advantages:
        """What each token of a step did for the reward."""
        return self.estimator(
            Evidence(
                rewards=batch.rewards,
                valid=batch.valid,
                row=batch.row,
                penalty=self._penalty(estimates),
                values=estimates.values,
            )
        )

    @property
    def needs_reference(self) -> bool:
        return self.loss.kl is not None and self.loss.kl.beta > 0

    @property
    def penalises_in_reward(self) -> bool:
        """Whether a KL penalty is taken off the reward."""
        return self.needs_reference and not self.loss.penalises_divergence

    def _penalty(self, estimates: Estimates) -> Float[Tensor, " N"] | None:
        if not self.penalises_in_reward:
            return None
        assert self.loss.kl is not None
        if estimates.old_logprobs is None or estimates.reference_logprobs is None:
            raise ValueError("a KL penalty in the reward needs the old and the reference's log-probabilities")
        return self.loss.kl.beta * k1(estimates.old_logprobs, estimates.reference_logprobs)


_PPO_CLIP = Clip(low=0.2, high=0.2)
_IN_REWARD = KL(estimator="k1", place="reward")
_K2_IN_LOSS, _K3_IN_LOSS = KL(estimator="k2", place="loss"), KL(estimator="k3", place="loss")

_ROWS = (
    Algorithm(
        name="grpo",
        estimator=GroupEstimator(baseline=group_normalized),
        loss=Loss(surrogate="clipped", clip=_PPO_CLIP, averaging="sequence_mean", kl=_K3_IN_LOSS),
    ),
    Algorithm(
        name="dr_grpo",
        estimator=GroupEstimator(baseline=group_centered),
        loss=Loss(surrogate="clipped", clip=_PPO_CLIP, averaging="constant_length", kl=_K3_IN_LOSS),
    ),
    Algorithm(
        name="dapo",
        estimator=GroupEstimator(baseline=group_normalized),
        loss=Loss(surrogate="clipped", clip=Clip(low=0.2, high=0.28), averaging="token_mean", kl=None),
        group_filter=has_signal,
        overlong_share=0.2,
    ),
    Algorithm(
        name="rloo",
        estimator=GroupEstimator(baseline=leave_one_out),
        loss=Loss(surrogate="reinforce", clip=_PPO_CLIP, averaging="rollout_sum", kl=_IN_REWARD),
    ),
    Algorithm(
        name="reinforce_pp",
        estimator=ReturnEstimator(),
        loss=Loss(surrogate="clipped", clip=_PPO_CLIP, averaging="token_mean", kl=_IN_REWARD),
    ),
    Algorithm(
        name="reinforce_pp_baseline",
        estimator=GroupEstimator(baseline=group_centered, whitens=True),
        loss=Loss(surrogate="clipped", clip=_PPO_CLIP, averaging="token_mean", kl=_K2_IN_LOSS),
    ),
    Algorithm(
        name="ppo",
        estimator=CriticEstimator(),
        loss=Loss(surrogate="clipped", clip=_PPO_CLIP, averaging="token_mean", kl=_IN_REWARD, value=ValueTerm()),
    ),
    Algorithm(
        name="gspo",
        estimator=GroupEstimator(baseline=group_normalized),
        loss=Loss(
            surrogate="sequence_clipped", clip=Clip(low=3e-4, high=4e-4), averaging="sequence_mean", kl=_K3_IN_LOSS
        ),
    ),
    Algorithm(
        name="cispo",
        estimator=GroupEstimator(baseline=group_centered),
        loss=Loss(surrogate="cispo", clip=Clip(low=1.0, high=5.0), averaging="token_mean", kl=_K3_IN_LOSS),
        group_filter=has_signal,
    ),
)

RECIPES: dict[str, Algorithm] = {row.name: row for row in _ROWS}
