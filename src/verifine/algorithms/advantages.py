"""Credit: how rewards become advantages.

Axes: P prompts, G rollouts a prompt. An invalid rollout is outside every mean and standard deviation and gets 0.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def group_normalized(
    rewards: Float[Tensor, "P G"], valid: Bool[Tensor, "P G"], epsilon: float = 1e-4
) -> Float[Tensor, "P G"]:
    """Each reward minus its group's mean, divided by its group's standard deviation (GRPO, arXiv:2402.03300).

    The standard deviation is the unbiased one (n - 1). A group with fewer than two valid rollouts gets 0.
    """
    centered = group_centered(rewards, valid)
    counts = valid.sum(dim=1, keepdim=True)
    variance = centered.square().sum(dim=1, keepdim=True) / (counts - 1).clamp(min=1)
    advantages = centered / (variance.sqrt() + epsilon)
    return torch.where(counts >= 2, advantages, torch.zeros_like(advantages))


def group_centered(rewards: Float[Tensor, "P G"], valid: Bool[Tensor, "P G"]) -> Float[Tensor, "P G"]:
    """Each reward minus the mean of its group's valid rewards (Dr. GRPO, arXiv:2503.20783).

    A group of equal rewards gets exactly 0, whatever rounding does to its mean.
    """
    kept = torch.where(valid, rewards, torch.zeros_like(rewards))
    counts = valid.sum(dim=1, keepdim=True).clamp(min=1)
    mean = kept.sum(dim=1, keepdim=True) / counts
    centered = torch.where(valid, rewards - mean, torch.zeros_like(rewards))
    return torch.where(rewards_differ(rewards, valid)[:, None], centered, torch.zeros_like(centered))


def rewards_differ(rewards: Float[Tensor, "P G"], valid: Bool[Tensor, "P G"]) -> Bool[Tensor, " P"]:
    """Whether a group's valid rewards are not all the same."""
    infinity = torch.full_like(rewards, float("inf"))
    highest = torch.where(valid, rewards, -infinity).amax(dim=1)
    lowest = torch.where(valid, rewards, infinity).amin(dim=1)
    return highest > lowest
