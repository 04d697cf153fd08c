"""Weights: how terms are averaged, as a vector that is computed once over the global batch.

`row[N]` names the rollout (0 to B - 1) of each action token. The loss is `sum(weights * terms)`, so micro-batches and
ranks add up to the same gradient. Only rollouts with tokens on the axis count.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor


def token_mean(row: Int[Tensor, " N"]) -> Float[Tensor, " N"]:
    """1 / N: every token of the batch counts the same (DAPO, arXiv:2503.14476, eq. 8)."""
    return torch.full(row.shape, 1 / max(len(row), 1), device=row.device)


def sequence_mean(row: Int[Tensor, " N"]) -> Float[Tensor, " N"]:
    """1 / (B |o_i|): every rollout counts the same, however long (GRPO, arXiv:2402.03300, eq. 3)."""
    lengths = torch.bincount(row)
    rollouts = int((lengths > 0).sum())
    return 1 / (max(rollouts, 1) * lengths[row].float())
