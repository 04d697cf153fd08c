"""The learner: what turns a batch and its advantages into better weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from jaxtyping import Float
from torch import Tensor

from verifine.algorithms.recipes import Loss
from verifine.batch import Batch, Estimates
from verifine.models.load import Weights


class UpdateOutcome(StrEnum):
    """What became of an update."""

    APPLIED = "applied"
    """The weights have changed."""
    NO_SIGNAL = "no_signal"
    """No rollout had an advantage, so there was nothing to learn; the weights are as before."""
    NOT_FINITE = "not_finite"
    """The gradient was infinite or not a number; the weights are as before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateReport:
    """What one update did; the metrics' names are those of `runs.metrics`."""

    outcome: UpdateOutcome
    metrics: Mapping[str, float]


class Learner(Protocol):
    """Owns the weights that learn."""

    def estimate(self, batch: Batch) -> Estimates:
        """The log-probabilities that the loss compares with."""
        ...

    def update(self, batch: Batch, estimates: Estimates, advantages: Float[Tensor, " N"], loss: Loss) -> UpdateReport:
        """One optimiser step on the whole batch."""
        ...

    def weights(self) -> Weights:
        """The weights as they are now, not a copy."""
        ...
