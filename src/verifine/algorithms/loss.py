"""The loss of an update: `sum(weights * terms)` over the action tokens of everything the update sees."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from verifine.algorithms.kl import KL_ESTIMATORS
from verifine.algorithms.loss_inputs import Clip, LossInputs
from verifine.algorithms.surrogates import (
    SURROGATES,
    HeldBack,
    near_values,
    sequence_log_ratio,
    truncated_importance,
    value_loss,
)
from verifine.algorithms.weights import AVERAGINGS
from verifine.config.recipes import AveragingName, KLEstimatorName, KLPlace, SurrogateName


@dataclass(frozen=True, slots=True, kw_only=True)
class KL:
    """The penalty for leaving the reference model."""

    estimator: KLEstimatorName
    place: KLPlace
    beta: float = 0.0
    """Its weight; at 0 no reference is needed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueTerm:
    """The critic's part of the loss."""

    clip: float
    coefficient: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """What a learner minimises."""

    surrogate: SurrogateName
    clip: Clip
    averaging: AveragingName
    kl: KL | None
    """None: the algorithm has no such penalty."""
    entropy_bonus: float = 0.0
    importance_cap: float | None = None
    """Cap of the truncated importance sampling; None: engine and learner agree, and there is none."""
    value: ValueTerm | None = None
    """None: there is no critic."""

    def weights(
        self, row: Int[Tensor, " N"], group_size: int, max_tokens: int, dtype: torch.dtype = torch.float32
    ) -> Float[Tensor, " N"]:
        """How much each token of an update counts."""
        return AVERAGINGS[self.averaging](row, group_size, max_tokens, dtype)

    def policy_terms(
        self, logprobs: Float[Tensor, " n"], entropy: Float[Tensor, " n"], inputs: LossInputs
    ) -> Float[Tensor, " n"]:
        """The surrogate's terms, corrected for the engine that sampled, plus KL penalty, minus entropy bonus."""
        terms = SURROGATES[self.surrogate].terms(logprobs, inputs, self.clip)
        if self.importance_cap is not None:
            terms = terms * truncated_importance(inputs.old_logprobs, inputs.behaviour_logprobs, self.importance_cap)
        if self.kl is not None and self.penalises_divergence:
            if inputs.reference_logprobs is None:
                raise ValueError("a KL penalty needs the reference's log-probabilities")
            terms = terms + self.kl.beta * KL_ESTIMATORS[self.kl.estimator](logprobs, inputs.reference_logprobs)
        return terms - self.entropy_bonus * entropy if self.entropy_bonus else terms

    def value_terms(self, values: Float[Tensor, " n"], inputs: LossInputs) -> Float[Tensor, " n"]:
        """The critic's terms, its coefficient included."""
        if self.value is None or inputs.old_values is None or inputs.returns is None:
            raise ValueError("a critic's loss needs a value term, old values and returns")
        return self.value.coefficient * value_loss(values, inputs.old_values, inputs.returns, self.value.clip)

    def value_held_back(self, values: Float[Tensor, " n"], inputs: LossInputs) -> Bool[Tensor, " n"]:
        """The tokens whose value has moved as far as it may, so that it has no gradient."""
        if self.value is None or inputs.old_values is None or inputs.returns is None:
            return torch.zeros_like(values, dtype=torch.bool)
        near = near_values(values, inputs.old_values, self.value.clip)
        return (near - inputs.returns).square() > (values - inputs.returns).square()

    def log_ratio(self, logprobs: Float[Tensor, " n"], inputs: LossInputs) -> Float[Tensor, " n"]:
        """The logarithm of the ratio that is clipped: that of a token, or that of its rollout."""
        if SURROGATES[self.surrogate].clips_rollouts:
            return sequence_log_ratio(logprobs, inputs.old_logprobs, inputs.row)
        return logprobs - inputs.old_logprobs

    def held_back(self, ratio: Float[Tensor, " n"], advantages: Float[Tensor, " n"]) -> HeldBack:
        """The tokens that clipping keeps from earning more."""
        return SURROGATES[self.surrogate].held_back(ratio, advantages, self.clip)

    @property
    def penalises_divergence(self) -> bool:
        """Whether the KL penalty is part of this loss."""
        return self.kl is not None and self.kl.place == "loss" and self.kl.beta > 0

    @property
    def moves_every_token(self) -> bool:
        """Whether tokens without an advantage have a gradient as well."""
        return self.penalises_divergence or self.entropy_bonus > 0 or self.value is not None
