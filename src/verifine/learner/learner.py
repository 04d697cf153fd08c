"""The learner: what turns a lesson into better weights."""

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
from verifine.learner.micro_batch_limit import MicroBatchLimit
from verifine.models.load import Weights


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingBatch:
    """Everything one optimiser update sees: a batch or a part of it, with its estimates and its credit."""

    batch: Batch
    estimates: Estimates
    credit: Advantages

    def moving_groups(self) -> Bool[Tensor, " P"]:
        """The groups in which some token has an advantage."""
        moves = torch.zeros(len(self.batch.groups))
        moves.index_add_(0, self.batch.row // self.batch.group_size, (self.credit.advantages != 0).float())
        return moves > 0

    def rollout_advantages(self) -> Float[Tensor, "P G"]:
        """The mean advantage of each rollout's tokens; 0 where it has none."""
        rollouts = self.batch.valid.numel()
        lengths = torch.bincount(self.batch.row, minlength=rollouts).clamp(min=1)
        sums = torch.zeros(rollouts).index_add_(0, self.batch.row, self.credit.advantages.float())
        return (sums / lengths).view(self.batch.valid.shape)

    def tensors(self) -> dict[str, Tensor]:
        """Everything there is a number of, by name, to be written down."""
        batch, estimates, credit = self.batch, self.estimates, self.credit
        named = {
            "tokens": batch.tokens,
            "row": batch.row,
            "behaviour_logprobs": batch.behaviour_logprobs,
            "rewards": batch.rewards,
            "valid": batch.valid,
            "old_logprobs": estimates.old_logprobs,
            "reference_logprobs": estimates.reference_logprobs,
            "values": estimates.values,
            "advantages": credit.advantages,
            "returns": credit.returns,
        }
        return {name: tensor.contiguous() for name, tensor in named.items() if tensor is not None}

    def part(self, groups: Int[Tensor, " p"]) -> TrainingBatch:
        """The lesson of some groups. Their credit stays what it was in the whole."""
        batch, index = self.batch.part(groups)
        returns = self.credit.returns
        return TrainingBatch(
            batch=batch,
            estimates=self.estimates.part(index),
            credit=Advantages(
                advantages=self.credit.advantages[index], returns=None if returns is None else returns[index]
            ),
        )


class UpdateOutcome(StrEnum):
    """What became of an update."""

    APPLIED = "applied"
    """The weights have changed."""
    NO_SIGNAL = "no_signal"
    """No rollout had an advantage, so there was nothing to learn; the weights are as before."""
    NOT_FINITE = "not_finite"
    """The loss or the gradient was infinite or not a number; the weights are as before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateReport:
    """What one update did; the metrics' names are those of `runs.metrics`."""

    outcome: UpdateOutcome
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnerState:
    """All that a learner's next update depends on, beside the lesson: weights that learn, and the optimisers."""

    tensors: Mapping[str, Tensor]
    """By names such as `policy/weights/...`, `policy/exp_avg/...` and `critic/weights/...`."""
    updates: int
    portion: MicroBatchLimit | None = None
    """How much is read at a time, which rounds as it does; None: as planned."""


class Learner(Protocol):
    """Owns the weights that learn."""

    def estimate(self, batch: Batch) -> Estimates:
        """What the loss and the credit compare with: log-probabilities and values before the update."""
        ...

    def update(self, lesson: TrainingBatch, loss: Loss) -> UpdateReport:
        """One optimiser step on the whole lesson."""
        ...

    def weights(self) -> Weights:
        """The weights as they are now, not a copy."""
        ...

    def state(self) -> LearnerState:
        """Everything that training has changed: the tensors themselves, which the next update changes again."""
        ...

    def restore(self, state: LearnerState) -> None:
        """Goes on from where `state` was taken."""
        ...
