"""Subsampling: groups with little gradient are trained on by chance, with a weight that makes up for it.

Once a policy is sure of most answers, a few groups of a step hold nearly all of its gradient, and the others cost as
much time. Trained on with chance q and weight 1 / q, each group counts on average as it would always, so the gradient
stays unbiased (importance sampling by a bound of the gradient's norm, arXiv:1803.00942).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

SMALLEST_CHANCE = 0.05
"""No group has a smaller chance, so that none counts more than 20 times: terms that the bound leaves out, such as an
entropy bonus, are weighted as well."""


def gradient_bounds(
    weights: Float[Tensor, " N"],
    advantages: Float[Tensor, " N"],
    logprobs: Float[Tensor, " N"],
    group: Int[Tensor, " N"],
    groups: int,
) -> Float[Tensor, " P"]:
    """How large the policy gradient of each group can be, up to a factor that all have in common.

    For a token of probability p, log p has a gradient of norm (1 - p) to sqrt(2) (1 - p) with respect to the logits: a
    token that was almost certain moves nothing, whatever its advantage.

    Args:
        weights: How much each token counts in the loss.
        advantages: Of the tokens.
        logprobs: The log-probabilities with which they were sampled.
        group: Which group each token is of, from 0 on.
        groups: P.
    """
    sizes = weights * advantages.abs() * -torch.expm1(logprobs.clamp(max=0))
    return torch.zeros(groups, dtype=sizes.dtype).index_add_(0, group, sizes)


def keep_chances(bounds: Float[Tensor, " P"], cutoff: float) -> Float[Tensor, " P"]:
    """The chance of each group: 1 from `cutoff` times the mean bound on, and below in proportion.

    None is smaller than SMALLEST_CHANCE. The mean is that of the groups that have a bound; where none has one, all
    chances are 1.
    """
    positive = bounds[bounds > 0]
    if len(positive) == 0:
        return torch.ones_like(bounds)
    certain = torch.minimum(cutoff * positive.mean(), positive.max())  # rounding can make a mean exceed the maximum
    return torch.where(bounds >= certain, 1.0, (bounds / certain).clamp(SMALLEST_CHANCE, 1))


def draw_weights(chances: Float[Tensor, " P"], uniforms: Sequence[float]) -> Float[Tensor, " P"]:
    """What the terms of each group are multiplied by: 1 / chance if its number lies below it, else 0."""
    is_kept = torch.tensor(list(uniforms), dtype=torch.float64) < chances.double()
    return torch.where(is_kept, 1 / chances, 0)
