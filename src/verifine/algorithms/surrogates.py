"""Surrogates: the term each action token adds to the loss, before weighting. Minimising it raises the return."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def clipped(
    logprobs: Float[Tensor, " N"],
    old_logprobs: Float[Tensor, " N"],
    advantages: Float[Tensor, " N"],
    low: float,
    high: float,
    dual: float | None = None,
) -> Float[Tensor, " N"]:
    """-min(ratio A, clip(ratio, 1 - low, 1 + high) A), with ratio = exp(logprob - old_logprob).

    PPO, arXiv:1707.06347, eq. 7; with `high` above `low` it is DAPO's clip-higher, arXiv:2503.14476, eq. 10. With
    `dual`, a term of negative advantage is at most -dual * A (dual clip, arXiv:1912.09729, eq. 5).
    """
    ratio = torch.exp(logprobs - old_logprobs)
    terms = -torch.minimum(ratio * advantages, ratio.clamp(1 - low, 1 + high) * advantages)
    if dual is None:
        return terms
    return torch.where(advantages < 0, torch.minimum(terms, -dual * advantages), terms)
