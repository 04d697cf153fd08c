"""Pure functions of tensors that the rows of `config.recipes` name: advantages, KL, surrogates, weights and shaping."""

from __future__ import annotations

from verifine.algorithms.advantages import (
    batch_scaled,
    gae,
    group_centered,
    group_normalized,
    leave_one_out,
    pool_centered,
    returns_to_go,
    whitened,
)
from verifine.algorithms.estimators import (
    AdvantageEstimator,
    CriticEstimator,
    GroupEstimator,
    PoolEstimator,
    ReturnEstimator,
)
from verifine.algorithms.kl import k1, k2, k3
from verifine.algorithms.loss import KL, Loss, ValueTerm
from verifine.algorithms.loss_inputs import Clip, LossInputs
from verifine.algorithms.pools import has_enough, keep_mixed, rate_scales
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
    "AdvantageEstimator",
    "Clip",
    "CriticEstimator",
    "GroupEstimator",
    "Loss",
    "LossInputs",
    "PoolEstimator",
    "ReturnEstimator",
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
    "has_enough",
    "has_signal",
    "k1",
    "k2",
    "k3",
    "keep_mixed",
    "leave_one_out",
    "on_last_token",
    "overlong_penalty",
    "pool_centered",
    "prompt_mean",
    "rate_scales",
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
