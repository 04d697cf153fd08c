"""Estimators of the KL divergence from the reference, a token at a time (http://joschu.net/blog/kl-approx.html).

With d = logprob - reference_logprob of a token drawn from the policy, all three estimate KL(policy || reference).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from verifine.config.recipes import KLEstimatorName


def k1(logprobs: Float[Tensor, " N"], reference_logprobs: Float[Tensor, " N"]) -> Float[Tensor, " N"]:
    """d: unbiased, of high variance, of either sign."""
    return logprobs - reference_logprobs


def k2(logprobs: Float[Tensor, " N"], reference_logprobs: Float[Tensor, " N"]) -> Float[Tensor, " N"]:
    """d^2 / 2: biased, of low variance; its gradient is that of the KL divergence."""
    return (logprobs - reference_logprobs).square() / 2


def k3(logprobs: Float[Tensor, " N"], reference_logprobs: Float[Tensor, " N"]) -> Float[Tensor, " N"]:
    """exp(-d) - 1 + d: unbiased, of low variance, never negative (GRPO, arXiv:2402.03300, eq. 4)."""
    difference = logprobs - reference_logprobs
    return torch.expm1(-difference) + difference


KL_ESTIMATORS: Mapping[KLEstimatorName, Callable[[Tensor, Tensor], Tensor]] = {"k1": k1, "k2": k2, "k3": k3}
"""logprobs[N], reference_logprobs[N] -> KL[N]"""
