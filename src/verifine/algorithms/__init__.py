"""Pure functions of tensors: credit, KL, surrogates, weights and shaping, and the table that combines them."""

from __future__ import annotations

from verifine.algorithms.advantages import group_centered, group_normalized, rewards_differ
from verifine.algorithms.kl import k1, k2, k3
from verifine.algorithms.recipes import RECIPES, Algorithm, Loss
from verifine.algorithms.shaping import drop_truncated, has_signal, overlong_penalty
from verifine.algorithms.surrogates import clipped
from verifine.algorithms.weights import sequence_mean, token_mean

__all__ = [
    "RECIPES",
    "Algorithm",
    "Loss",
    "clipped",
    "drop_truncated",
    "group_centered",
    "group_normalized",
    "has_signal",
    "k1",
    "k2",
    "k3",
    "overlong_penalty",
    "rewards_differ",
    "sequence_mean",
    "token_mean",
]
