"""Surrogates: the term each action token adds to the loss, before weighting. Minimising it raises the return."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
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


def reinforce(logprobs: Float[Tensor, " N"], advantages: Float[Tensor, " N"]) -> Float[Tensor, " N"]:
    """-A logprob: the score-function estimator (Williams 1992).

    With the weights `rollout_sum` a whole response is one action, as in RLOO (arXiv:2402.14740).
    """
    return -advantages * logprobs


def sequence_clipped(
    logprobs: Float[Tensor, " N"],
    old_logprobs: Float[Tensor, " N"],
    advantages: Float[Tensor, " N"],
    row: Int[Tensor, " N"],
    low: float,
    high: float,
) -> Float[Tensor, " N"]:
    """`clipped`, with one ratio a rollout: exp of its mean of logprob - old_logprob (GSPO, arXiv:2507.18071, eq. 5).

    Every token of a rollout gets the rollout's term, and the gradient goes through all of them. A rollout's tokens
    must all be there.
    """
    log_ratio = sequence_log_ratio(logprobs, old_logprobs, row)
    return clipped(log_ratio, torch.zeros_like(log_ratio), advantages, low, high)


def sequence_log_ratio(
    logprobs: Float[Tensor, " N"], old_logprobs: Float[Tensor, " N"], row: Int[Tensor, " N"]
) -> Float[Tensor, " N"]:
    """The mean of logprob - old_logprob over the token's rollout (GSPO, arXiv:2507.18071, eq. 7)."""
    lengths = torch.bincount(row).clamp(min=1)
    sums = torch.zeros(len(lengths), dtype=logprobs.dtype, device=logprobs.device)
    return (sums.index_add(0, row, logprobs - old_logprobs) / lengths)[row]


def cispo(
    logprobs: Float[Tensor, " N"], old_logprobs: Float[Tensor, " N"], advantages: Float[Tensor, " N"], high: float
) -> Float[Tensor, " N"]:
    """-detach(min(ratio, 1 + high)) A logprob: no token loses its gradient (CISPO, arXiv:2506.13585, eq. 4)."""
    ratio = torch.exp(logprobs - old_logprobs).detach()
    return -ratio.clamp(max=1 + high) * advantages * logprobs


def value_loss(
    values: Float[Tensor, " N"], old_values: Float[Tensor, " N"], returns: Float[Tensor, " N"], clip: float
) -> Float[Tensor, " N"]:
    """0.5 max((V - R)^2, (clip(V, V_old - clip, V_old + clip) - R)^2): a critic that moves in small steps.

    The value clipping of PPO's reference implementation (arXiv:1707.06347; studied in arXiv:2005.12729).
    """
    near = near_values(values, old_values, clip)
    return 0.5 * torch.maximum((values - returns).square(), (near - returns).square())


def near_values(values: Float[Tensor, " N"], old_values: Float[Tensor, " N"], clip: float) -> Float[Tensor, " N"]:
    """clip(V, V_old - clip, V_old + clip)."""
    return old_values + (values - old_values).clamp(-clip, clip)


def truncated_importance(
    old_logprobs: Float[Tensor, " N"], behaviour_logprobs: Float[Tensor, " N"], cap: float
) -> Float[Tensor, " N"]:
    """detach(min(exp(old_logprob - behaviour_logprob), cap)): truncated importance sampling (Ionides 2008).

    A surrogate's term is multiplied by it where the engine that sampled a token and the learner disagree about its
    probability.
    """
    return torch.exp(old_logprobs - behaviour_logprobs).detach().clamp(max=cap)
