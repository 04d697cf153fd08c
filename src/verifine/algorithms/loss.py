"""The loss of an update: `sum(weights * terms)` over the action tokens of everything the update sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, assert_never

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from verifine.algorithms.kl import k1, k2, k3
from verifine.algorithms.surrogates import (
    cispo,
    clipped,
    near_values,
    reinforce,
    sequence_clipped,
    sequence_log_ratio,
    truncated_importance,
    value_loss,
)
from verifine.algorithms.weights import constant_length, prompt_mean, rollout_sum, sequence_mean, token_mean

Surrogate = Literal["clipped", "reinforce", "sequence_clipped", "cispo"]
Averaging = Literal["token_mean", "sequence_mean", "prompt_mean", "constant_length", "rollout_sum"]
Estimator = Literal["k1", "k2", "k3"]

ESTIMATORS = {"k1": k1, "k2": k2, "k3": k3}


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """How far a ratio may go before it earns no more."""

    low: float
    high: float
    dual: float | None = None
    """At most -dual * A for a token of negative advantage, however likely it has become. None: no such bound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KL:
    """The penalty for leaving the reference model."""

    estimator: Estimator
    place: Literal["loss", "reward"]
    """In the loss it has a gradient of its own; in the reward it is part of what credit is given for."""
    beta: float = 0.0
    """Its weight; at 0 no reference is needed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueTerm:
    """The critic's part of the loss."""

    clip: float = 0.2
    coefficient: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """Action tokens of whole rollouts, with everything that the loss compares the model's word with."""

    row: Int[Tensor, " n"]
    advantages: Float[Tensor, " n"]
    old_logprobs: Float[Tensor, " n"]
    behaviour_logprobs: Float[Tensor, " n"]
    reference_logprobs: Float[Tensor, " n"] | None = None
    old_values: Float[Tensor, " n"] | None = None
    returns: Float[Tensor, " n"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """What a learner minimises."""

    surrogate: Surrogate
    clip: Clip
    averaging: Averaging
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
        match self.averaging:
            case "token_mean":
                return token_mean(row, dtype=dtype)
            case "sequence_mean":
                return sequence_mean(row, dtype=dtype)
            case "prompt_mean":
                return prompt_mean(row, group_size, dtype=dtype)
            case "constant_length":
                return constant_length(row, max_tokens, dtype=dtype)
            case "rollout_sum":
                return rollout_sum(row, dtype=dtype)
            case averaging:
                assert_never(averaging)

    def policy_terms(
        self, logprobs: Float[Tensor, " n"], entropy: Float[Tensor, " n"], tokens: Tokens
    ) -> Float[Tensor, " n"]:
        """The surrogate's terms, corrected for who sampled, with the KL penalty and less the entropy bonus."""
        terms = self._surrogate_terms(logprobs, tokens)
        if self.importance_cap is not None:
            terms = terms * truncated_importance(tokens.old_logprobs, tokens.behaviour_logprobs, self.importance_cap)
        if self.penalises_divergence:
            assert self.kl is not None
            if tokens.reference_logprobs is None:
                raise ValueError("a KL penalty needs the reference's log-probabilities")
            terms = terms + self.kl.beta * ESTIMATORS[self.kl.estimator](logprobs, tokens.reference_logprobs)
        return terms - self.entropy_bonus * entropy if self.entropy_bonus else terms

    def value_terms(self, values: Float[Tensor, " n"], tokens: Tokens) -> Float[Tensor, " n"]:
        """The critic's terms, its coefficient included."""
        if self.value is None or tokens.old_values is None or tokens.returns is None:
            raise ValueError("a critic's loss needs a value term, old values and returns")
        return self.value.coefficient * value_loss(values, tokens.old_values, tokens.returns, self.value.clip)

    def value_held_back(self, values: Float[Tensor, " n"], tokens: Tokens) -> Bool[Tensor, " n"]:
        """The tokens whose value has moved as far as it may, so that it has no gradient."""
        if self.value is None or tokens.old_values is None or tokens.returns is None:
            return torch.zeros_like(values, dtype=torch.bool)
        near = near_values(values, tokens.old_values, self.value.clip)
        return (near - tokens.returns).square() > (values - tokens.returns).square()

    def log_ratio(self, logprobs: Float[Tensor, " n"], tokens: Tokens) -> Float[Tensor, " n"]:
        """The logarithm of the ratio that is clipped: a token's, or its rollout's for `sequence_clipped`."""
        if self.surrogate == "sequence_clipped":
            return sequence_log_ratio(logprobs, tokens.old_logprobs, tokens.row)
        return logprobs - tokens.old_logprobs

    def held_back(
        self, ratio: Float[Tensor, " n"], advantages: Float[Tensor, " n"]
    ) -> tuple[Bool[Tensor, " n"], Bool[Tensor, " n"], Bool[Tensor, " n"]]:
        """The tokens that the lower, the upper and the dual clip keep from earning more."""
        nothing = torch.zeros_like(ratio, dtype=torch.bool)
        match self.surrogate:
            case "reinforce":
                return nothing, nothing, nothing
            case "cispo":
                return nothing, ratio > 1 + self.clip.high, nothing
            case "clipped" | "sequence_clipped":
                low = (ratio < 1 - self.clip.low) & (advantages < 0)
                high = (ratio > 1 + self.clip.high) & (advantages > 0)
                if self.surrogate == "sequence_clipped" or self.clip.dual is None:
                    return low, high, nothing
                return low, high, (ratio > self.clip.dual) & (advantages < 0)
            case surrogate:
                assert_never(surrogate)

    @property
    def penalises_divergence(self) -> bool:
        """Whether the KL penalty is part of this loss."""
        return self.kl is not None and self.kl.place == "loss" and self.kl.beta > 0

    @property
    def moves_every_token(self) -> bool:
        """Whether tokens without an advantage have a gradient as well."""
        return self.penalises_divergence or self.entropy_bonus > 0 or self.value is not None

    def _surrogate_terms(self, logprobs: Float[Tensor, " n"], tokens: Tokens) -> Float[Tensor, " n"]:
        clip, old, advantages = self.clip, tokens.old_logprobs, tokens.advantages
        match self.surrogate:
            case "clipped":
                return clipped(logprobs, old, advantages, clip.low, clip.high, clip.dual)
            case "reinforce":
                return reinforce(logprobs, advantages)
            case "sequence_clipped":
                return sequence_clipped(logprobs, old, advantages, tokens.row, clip.low, clip.high)
            case "cispo":
                return cispo(logprobs, old, advantages, clip.high)
            case surrogate:
                assert_never(surrogate)
