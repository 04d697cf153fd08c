"""The optimiser and its learning rate."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch.nn import Parameter


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimSettings:
    """AdamW, its warm-up, and the memory knob of the learner."""

    learning_rate: float
    warmup_steps: int
    betas: tuple[float, float]
    weight_decay: float
    max_grad_norm: float
    micro_batch_tokens: int


def make_optimizer(parameters: Iterable[Parameter], settings: OptimSettings) -> torch.optim.AdamW:
    """AdamW in one fused pass over the weights."""
    return torch.optim.AdamW(
        parameters, lr=settings.learning_rate, betas=settings.betas, weight_decay=settings.weight_decay, fused=True
    )


def learning_rate(settings: OptimSettings, updates: int) -> float:
    """The rate of the update after `updates` others: a linear warm-up, then constant."""
    return settings.learning_rate * min(1.0, (updates + 1) / max(settings.warmup_steps, 1))
