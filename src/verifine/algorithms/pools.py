"""How many answers are drawn for a prompt, and which of them are trained on (Reinforce-Ada, arXiv:2510.04996).

Axes: P prompts, G rollouts that were drawn for a prompt so far. A rollout that counts is right or wrong.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

LEAST_RATE = 0.01
"""Added to a success rate before its root divides anything."""


def has_enough(right: Bool[Tensor, "P G"], valid: Bool[Tensor, "P G"], rights: int, wrongs: int) -> Bool[Tensor, " P"]:
    """Whether at least so many right and wrong answers were drawn (the exit condition of algorithm 2)."""
    return ((right & valid).sum(dim=1) >= rights) & ((~right & valid).sum(dim=1) >= wrongs)


def keep_mixed(right: Bool[Tensor, "P G"], valid: Bool[Tensor, "P G"], size: int) -> Bool[Tensor, "P G"]:
    """Up to `size` rollouts of each prompt: half of them right, half wrong, and more of one where the other is short.

    They are the first of each kind in the order of drawing. Rounds end by what is right and wrong alone, so within a
    kind the first are as good as any (algorithm 2, line 18).
    """
    right, wrong = right & valid, ~right & valid
    rights, wrongs = right.sum(dim=1), wrong.sum(dim=1)
    kept_wrongs = torch.minimum(size - rights.clamp(max=size // 2), wrongs)
    kept_rights = torch.minimum(size - kept_wrongs, rights)
    return _first(right, kept_rights) | _first(wrong, kept_wrongs)


def _first(marked: Bool[Tensor, "P G"], counts: Int[Tensor, " P"]) -> Bool[Tensor, "P G"]:
    """The first so many of the marked places of each row."""
    return marked & (marked.cumsum(dim=1) <= counts[:, None])


def rate_scales(
    right: Bool[Tensor, "P G"], valid: Bool[Tensor, "P G"], *, dtype: torch.dtype = torch.float32
) -> Float[Tensor, " P"]:
    """1 / sqrt(p + 0.01), with the share p of right answers: the rest of the weight 1 / p of log p (algorithm 1)."""
    rates = (right & valid).sum(dim=1).to(dtype) / valid.sum(dim=1).clamp(min=1)
    return (rates + LEAST_RATE).rsqrt()


def allocate(rates: Sequence[float], total: int, least: int, most: int) -> list[int]:
    """Shares `total` answers out to prompts in proportion to 1 / sqrt(p + 0.01), from `least` to `most` for each.

    `rates` are the expected success rates p. What rounding down leaves goes to the largest remainders, the first of
    equal ones. The sum is `total` if the bounds allow it.
    """
    total = min(total, most * len(rates))
    weights = [1 / math.sqrt(rate + LEAST_RATE) for rate in rates]
    low, high = 0.0, most / min(weights)
    for _ in range(64):  # halving finds the factor that bounds leave
        middle = (low + high) / 2
        if sum(min(max(middle * weight, least), most) for weight in weights) < total:
            low = middle
        else:
            high = middle
    shares = [min(max(high * weight, least), most) for weight in weights]
    counts = [math.floor(share) for share in shares]
    by_remainder = sorted(range(len(shares)), key=lambda index: counts[index] - shares[index])
    for index in by_remainder[: max(total - sum(counts), 0)]:
        counts[index] += 1
    return counts
