"""Surrogates: the term each action token adds to the loss, before weighting. Minimising it raises the return."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from verifine.algorithms.loss_inputs import Clip, LossInputs
from verifine.config.recipes import SurrogateName


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


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldBack:
    """The tokens that each bound of a clip keeps from earning more."""

    low: Bool[Tensor, " n"]
    high: Bool[Tensor, " n"]
    dual: Bool[Tensor, " n"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Surrogate:
    """What a loss asks of a surrogate."""

    terms: Callable[[Tensor, LossInputs, Clip], Tensor]
    """logprobs[n], what they are compared with, bounds -> terms[n]"""
    held_back: Callable[[Tensor, Tensor, Clip], HeldBack]
    """ratio[n], advantages[n], bounds -> the tokens that earn no more"""
    clips_rollouts: bool = False
    """Whether one ratio is clipped for a whole rollout, and not one for each token."""


def _never_held(ratio: Float[Tensor, " n"], _advantages: Float[Tensor, " n"], _clip: Clip) -> HeldBack:
    nothing = torch.zeros_like(ratio, dtype=torch.bool)
    return HeldBack(low=nothing, high=nothing, dual=nothing)


def _held_from_above(ratio: Float[Tensor, " n"], _advantages: Float[Tensor, " n"], clip: Clip) -> HeldBack:
    nothing = torch.zeros_like(ratio, dtype=torch.bool)
    return HeldBack(low=nothing, high=ratio > 1 + clip.high, dual=nothing)


def _held_on_both_sides(ratio: Float[Tensor, " n"], advantages: Float[Tensor, " n"], clip: Clip) -> HeldBack:
    dual = torch.zeros_like(ratio, dtype=torch.bool)
    if clip.dual is not None:
        dual = (ratio > clip.dual) & (advantages < 0)
    return HeldBack(
        low=(ratio < 1 - clip.low) & (advantages < 0), high=(ratio > 1 + clip.high) & (advantages > 0), dual=dual
    )


SURROGATES: Mapping[SurrogateName, Surrogate] = {
    "clipped": Surrogate(
        terms=lambda logprobs, of, clip: clipped(
            logprobs, of.old_logprobs, of.advantages, clip.low, clip.high, clip.dual
        ),
        held_back=_held_on_both_sides,
    ),
    "reinforce": Surrogate(terms=lambda logprobs, of, _clip: reinforce(logprobs, of.advantages), held_back=_never_held),
    "sequence_clipped": Surrogate(
        terms=lambda logprobs, of, clip: sequence_clipped(
            logprobs, of.old_logprobs, of.advantages, of.row, clip.low, clip.high
        ),
        held_back=_held_on_both_sides,
        clips_rollouts=True,
    ),
    "cispo": Surrogate(
        terms=lambda logprobs, of, clip: cispo(logprobs, of.old_logprobs, of.advantages, clip.high),
        held_back=_held_from_above,
    ),
}
