"""Weights: how terms are averaged, as a vector that is computed once over the global batch.

`row[N]` names the rollout (0 to B - 1) of each action token. The loss is `sum(weights * terms)`, so micro-batches and
ranks add up to the same gradient. Only rollouts with tokens on the axis count.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor

from verifine.config.recipes import AveragingName


def token_mean(row: Int[Tensor, " N"], *, dtype: torch.dtype = torch.float32) -> Float[Tensor, " N"]:
    """1 / N: every token of the batch counts the same (DAPO, arXiv:2503.14476, eq. 8)."""
    return torch.full(row.shape, 1 / max(len(row), 1), dtype=dtype, device=row.device)


def sequence_mean(row: Int[Tensor, " N"], *, dtype: torch.dtype = torch.float32) -> Float[Tensor, " N"]:
    """1 / (B |o_i|): every rollout counts the same, however long (GRPO, arXiv:2402.03300, eq. 3)."""
    return 1 / (_count(row) * torch.bincount(row)[row].to(dtype))


def prompt_mean(row: Int[Tensor, " N"], group_size: int, *, dtype: torch.dtype = torch.float32) -> Float[Tensor, " N"]:
    """1 / (P tokens of the group): every prompt counts the same, and so do the tokens of its answers."""
    return sequence_mean(row // group_size, dtype=dtype)


def constant_length(
    row: Int[Tensor, " N"], max_tokens: int, *, dtype: torch.dtype = torch.float32
) -> Float[Tensor, " N"]:
    """1 / (B max_tokens): a constant, so that length earns nothing (Dr. GRPO, arXiv:2503.20783).

    Sums to less than 1.
    """
    return rollout_sum(row, dtype=dtype) / max_tokens


def rollout_sum(row: Int[Tensor, " N"], *, dtype: torch.dtype = torch.float32) -> Float[Tensor, " N"]:
    """1 / B: a rollout's terms add up, whatever its length (RLOO, arXiv:2402.14740).

    Sums to the mean length.
    """
    return torch.full(row.shape, 1 / _count(row), dtype=dtype, device=row.device)


def _count(row: Int[Tensor, " N"]) -> int:
    """Rollouts with tokens on the axis; 1 on an empty axis, where it divides nothing."""
    return max(len(torch.unique(row)), 1)


Averaging = Callable[[Tensor, int, int, torch.dtype], Tensor]
"""row[N], group size, token limit, dtype -> weights[N]"""

AVERAGINGS: Mapping[AveragingName, Averaging] = {
    "token_mean": lambda row, _group_size, _max_tokens, dtype: token_mean(row, dtype=dtype),
    "sequence_mean": lambda row, _group_size, _max_tokens, dtype: sequence_mean(row, dtype=dtype),
    "prompt_mean": lambda row, group_size, _max_tokens, dtype: prompt_mean(row, group_size, dtype=dtype),
    "constant_length": lambda row, _group_size, max_tokens, dtype: constant_length(row, max_tokens, dtype=dtype),
    "rollout_sum": lambda row, _group_size, _max_tokens, dtype: rollout_sum(row, dtype=dtype),
}
