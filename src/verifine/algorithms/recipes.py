"""The algorithms as a table: credit x surrogate x weights x KL x group filter x reward shaping."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor

from verifine.algorithms.advantages import group_normalized
from verifine.algorithms.kl import k3
from verifine.algorithms.shaping import drop_truncated, has_signal, overlong_penalty
from verifine.algorithms.surrogates import clipped
from verifine.algorithms.weights import sequence_mean, token_mean

Credit = Callable[[Tensor, Tensor], Tensor]
"""rewards[P, G], valid[P, G] -> advantages[P, G]"""

Weighting = Callable[[Tensor], Tensor]
"""row[N] -> weights[N]"""

GroupFilter = Callable[[Tensor, Tensor], Tensor]
"""rewards[P, G], valid[P, G] -> keeps[P]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """What a learner minimises: `sum(weights * terms)` over the global batch."""

    clip_low: float
    clip_high: float
    weighting: Weighting
    beta: float
    """Weight of the KL penalty k3, in the loss with gradient; 0 needs no reference."""

    def weights(self, row: Int[Tensor, " N"]) -> Float[Tensor, " N"]:
        return self.weighting(row)

    def terms(
        self,
        logprobs: Float[Tensor, " N"],
        old_logprobs: Float[Tensor, " N"],
        advantages: Float[Tensor, " N"],
        reference_logprobs: Float[Tensor, " N"] | None,
    ) -> Float[Tensor, " N"]:
        terms = clipped(logprobs, old_logprobs, advantages, self.clip_low, self.clip_high)
        if reference_logprobs is None:
            return terms
        return terms + self.beta * k3(logprobs, reference_logprobs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Algorithm:
    """One row of the table, with the settings a user may change."""

    name: str
    credit: Credit
    loss: Loss
    group_filter: GroupFilter | None = None
    """None: every group is kept. Else a step samples new prompts in place of groups it does not keep."""
    overlong_share: float = 0.0
    """The last part of the token limit, over which the soft overlong penalty rises; 0: none."""
    drops_truncated: bool = False

    def shape(
        self, rewards: Float[Tensor, "P G"], lengths: Int[Tensor, "P G"], max_tokens: int
    ) -> Float[Tensor, "P G"]:
        """The rewards that credit is given for."""
        buffer = int(self.overlong_share * max_tokens)
        return rewards + overlong_penalty(lengths, max_tokens, buffer) if buffer else rewards

    def admit(self, valid: Bool[Tensor, "P G"], truncated: Bool[Tensor, "P G"]) -> Bool[Tensor, "P G"]:
        """The rollouts that count."""
        return drop_truncated(valid, truncated) if self.drops_truncated else valid

    def keeps(self, rewards: Float[Tensor, "P G"], valid: Bool[Tensor, "P G"]) -> Bool[Tensor, " P"]:
        """The groups worth training on."""
        if self.group_filter is None:
            return valid.any(dim=1)
        return self.group_filter(rewards, valid)


RECIPES: dict[str, Algorithm] = {
    "grpo": Algorithm(
        name="grpo",
        credit=group_normalized,
        loss=Loss(clip_low=0.2, clip_high=0.2, weighting=sequence_mean, beta=0.0),
    ),
    "dapo": Algorithm(
        name="dapo",
        credit=group_normalized,
        loss=Loss(clip_low=0.2, clip_high=0.28, weighting=token_mean, beta=0.0),
        group_filter=has_signal,
        overlong_share=0.2,
    ),
}
