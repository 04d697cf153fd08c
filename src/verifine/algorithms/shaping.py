"""Shaping and filters: what happens to rewards and groups before advantages are computed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from verifine.algorithms.advantages import ends_rollout, rewards_differ
from verifine.config.recipes import GroupFilterName


def overlong_penalty(
    lengths: Int[Tensor, "P G"], max_tokens: int, buffer: int, *, dtype: torch.dtype = torch.float32
) -> Float[Tensor, "P G"]:
    """What a long answer loses: 0 up to max_tokens - buffer tokens, then linearly down to -1 at max_tokens.

    DAPO, arXiv:2503.14476, eq. 13; a buffer of 0 is no penalty. A truncated rollout has max_tokens tokens and gets -1,
    so it never scores above one that is almost truncated.
    """
    if buffer == 0:
        return torch.zeros_like(lengths, dtype=dtype)
    return -((lengths - (max_tokens - buffer)).to(dtype) / buffer).clamp(0, 1)


def drop_truncated(valid: Bool[Tensor, "P G"], truncated: Bool[Tensor, "P G"]) -> Bool[Tensor, "P G"]:
    """A rollout that hit the token limit does not count (DAPO's overlong filtering, arXiv:2503.14476, 3.4)."""
    return valid & ~truncated


def has_signal(rewards: Float[Tensor, "P G"], valid: Bool[Tensor, "P G"]) -> Bool[Tensor, " P"]:
    """Whether a group's rewards differ, so that it says which answers were better (DAPO's dynamic sampling)."""
    return rewards_differ(rewards, valid)


def format_gate(rewards: Float[Tensor, "P G"], format_ok: Bool[Tensor, "P G"]) -> Float[Tensor, "P G"]:
    """An answer in the wrong format earns nothing: its reward is at most 0."""
    return torch.where(format_ok, rewards, rewards.clamp(max=0))


def on_last_token(rewards: Float[Tensor, "P G"], row: Int[Tensor, " N"]) -> Float[Tensor, " N"]:
    """A rollout's reward at its last token, 0 at the others."""
    everywhere = rewards.flatten()[row]
    return torch.where(ends_rollout(row), everywhere, torch.zeros_like(everywhere))


GROUP_FILTERS: Mapping[GroupFilterName, Callable[[Tensor, Tensor], Tensor]] = {"has_signal": has_signal}
"""rewards[P, G], valid[P, G] -> keeps[P]"""
