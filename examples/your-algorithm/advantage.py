"""An advantage of one's own: that of dr_grpo, but hard prompts count more than easy ones."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def hard_counts_more(rewards: Float[Tensor, "P G"], valid: Bool[Tensor, "P G"]) -> Float[Tensor, "P G"]:
    """Each reward minus the mean of its group, times 1 minus that mean; for rewards from 0 to 1.

    A right answer among wrong ones is worth nearly 1, a wrong one among right ones costs next to nothing. Answers that
    could not be graded are in no mean and get 0, whatever number stands in their place.
    """
    graded = torch.where(valid, rewards, 0)
    mean = graded.sum(dim=1, keepdim=True) / valid.sum(dim=1, keepdim=True).clamp(min=1)
    return torch.where(valid, (graded - mean) * (1 - mean), 0)
