"""The learner: what turns a training batch into better weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from verifine.algorithms.loss import Loss
from verifine.batch import Advantages, Batch, Estimates
from verifine.learner.critic import explained_variance
from verifine.learner.metric_sums import NO_METRICS, MetricSums
from verifine.learner.micro_batch_limit import MicroBatchLimit
from verifine.models.load import Weights


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingBatch:
    """Everything one optimiser update sees: a batch or some groups of it, with estimates and advantages."""

    batch: Batch
    estimates: Estimates
    advantages: Advantages
    group_weights: Float[Tensor, " P"] | None = None
    """What the terms of each group are multiplied by; a group of weight 0 is not read. None: 1."""

    def moving_groups(self) -> Bool[Tensor, " P"]:
        """The groups in which some token has an advantage."""
        moves = torch.zeros(len(self.batch.groups))
        moves.index_add_(0, self.batch.row // self.batch.group_size, (self.advantages.advantages != 0).float())
        return moves > 0

    def weighted_groups(self) -> Bool[Tensor, " P"]:
        """The groups that are read, if they move the weights."""
        weights = self.group_weights
        return torch.ones(len(self.batch.groups), dtype=torch.bool) if weights is None else weights > 0

    def rollout_advantages(self) -> Float[Tensor, "P G"]:
        """The mean advantage of each rollout's tokens; 0 where it has none."""
        rollouts = self.batch.valid.numel()
        lengths = torch.bincount(self.batch.row, minlength=rollouts).clamp(min=1)
        sums = torch.zeros(rollouts).index_add_(0, self.batch.row, self.advantages.advantages.float())
        return (sums / lengths).view(self.batch.valid.shape)

    def explained_variance(self) -> float | None:
        """How well the critic predicted the returns; None: there is no critic, or all returns are equal."""
        values, returns = self.estimates.values, self.advantages.returns
        return None if values is None or returns is None else explained_variance(values, returns)

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor by its name, to be written to a file."""
        batch, estimates, advantages = self.batch, self.estimates, self.advantages
        named = {
            "tokens": batch.tokens,
            "row": batch.row,
            "behaviour_logprobs": batch.behaviour_logprobs,
            "rewards": batch.rewards,
            "valid": batch.valid,
            "drawn_means": batch.drawn_means,
            "scales": batch.scales,
            "old_logprobs": estimates.old_logprobs,
            "reference_logprobs": estimates.reference_logprobs,
            "values": estimates.values,
            "advantages": advantages.advantages,
            "returns": advantages.returns,
            "group_weights": self.group_weights,
        }
        return {name: tensor.contiguous() for name, tensor in named.items() if tensor is not None}

    def part(self, groups: Int[Tensor, " p"]) -> tuple[TrainingBatch, Int[Tensor, " n"]]:
        """The training batch of some groups, and where its tokens stand on this one's axis.

        Advantages and weights stay what they were in the whole.
        """
        batch, index = self.batch.part(groups)
        part = TrainingBatch(
            batch=batch,
            estimates=self.estimates.part(index),
            advantages=self.advantages.part(index),
            group_weights=None if self.group_weights is None else self.group_weights[groups.sort().values],
        )
        return part, index


class UpdateOutcome(StrEnum):
    """How an update ended."""

    APPLIED = "applied"
    """The weights have changed."""
    NO_SIGNAL = "no_signal"
    """No rollout had an advantage, so there was nothing to learn; the weights are as before."""
    NOT_FINITE = "not_finite"
    """The loss or the gradient was infinite or not a number; the weights are as before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenStatistics:
    """What an update found of each action token.

    NaN: the token was not read, because it could move no weight or its group was left out.
    """

    entropy: Float[Tensor, " N"]
    """The policy's entropy where the token was sampled, in nats."""
    ratio: Float[Tensor, " N"]
    """The ratio that the loss clips: of the token, or of its rollout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateReport:
    """What one update did; the metrics' names are those of `runs.metrics`."""

    outcome: UpdateOutcome
    sums: MetricSums = NO_METRICS
    """Sums over the tokens that were read. The sums of ranks, each with a part of the training batch, add up."""
    gauges: Mapping[str, float]
    """Numbers of the update as a whole, such as the norm of the gradient: every rank has the same."""
    tokens: TokenStatistics | None = None
    """None: nothing was read."""

    @property
    def metrics(self) -> dict[str, float]:
        skipped = float(self.outcome is not UpdateOutcome.APPLIED)
        return {**self.sums.metrics(), **self.gauges, "update_skipped": skipped}


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnerState:
    """All that a learner's next update depends on, beside the training batch: its weights and its optimisers."""

    tensors: Mapping[str, Tensor]
    """By names such as `policy/weights/...`, `policy/exp_avg/...` and `critic/weights/...`."""
    updates: int
    limit: MicroBatchLimit | None = None
    """How much is read at a time, since other micro-batches round otherwise; None: as planned."""


class Learner(Protocol):
    """Owns the weights that learn."""

    def estimate(self, batch: Batch) -> Estimates:
        """What loss and advantages compare with: log-probabilities and values before the update.

        Raises:
            TrainingError: an answer has an id that no token has, so it was not sampled from this policy.
        """
        ...

    def update(self, training_batch: TrainingBatch, loss: Loss, rate_factor: float = 1.0) -> UpdateReport:
        """One optimiser step on the whole training batch, with so much of the learning rate. Raises like `estimate`."""
        ...

    def weights(self) -> Weights:
        """The weights as they are now, not a copy."""
        ...

    def state(self) -> LearnerState:
        """Everything that training has changed: the tensors themselves, which the next update changes again."""
        ...

    def restore(self, state: LearnerState) -> None:
        """Continues from where `state` was taken."""
        ...
