"""Pure functions of tensors: credit, KL, surrogates, weights and shaping, and the table that combines them."""

from __future__ import annotations

from verifine.algorithms.advantages import (
    batch_scaled,
    gae,
    group_centered,
    group_normalized,
    leave_one_out,
    returns_to_go,
    whitened,
)
from verifine.algorithms.estimators import (
    AdvantageEstimator,
    Advantages,
    CriticEstimator,
    Evidence,
    GroupEstimator,
    ReturnEstimator,
)
from verifine.algorithms.kl import k1, k2, k3
from verifine.algorithms.loss import KL, Clip, Loss, Tokens, ValueTerm
from verifine.algorithms.recipes import RECIPES, Algorithm
from verifine.algorithms.shaping import drop_truncated, format_gate, has_signal, on_last_token, overlong_penalty
from verifine.algorithms.surrogates import (
    cispo,
    clipped,
    reinforce,
    sequence_clipped,
    sequence_log_ratio,
    truncated_importance,
    value_loss,
)
from verifine.algorithms.weights import constant_length, prompt_mean, rollout_sum, sequence_mean, token_mean

__all__ = [
    "KL",
    "RECIPES",
    "AdvantageEstimator",
    "Advantages",
    "Algorithm",
    "Clip",
    "CriticEstimator",
    "Evidence",
    "GroupEstimator",
    "Loss",
    "ReturnEstimator",
    "Tokens",
    "ValueTerm",
    "batch_scaled",
    "cispo",
    "clipped",
    "constant_length",
    "drop_truncated",
    "format_gate",
    "gae",
    "group_centered",
    "group_normalized",
    "has_signal",
    "k1",
    "k2",
    "k3",
    "leave_one_out",
    "on_last_token",
    "overlong_penalty",
    "prompt_mean",
    "reinforce",
    "returns_to_go",
    "rollout_sum",
    "sequence_clipped",
    "sequence_log_ratio",
    "sequence_mean",
    "token_mean",
    "truncated_importance",
    "value_loss",
    "whitened",
]
