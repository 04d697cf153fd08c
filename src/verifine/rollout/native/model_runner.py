"""What the native engine samples from: the policy's own weights, or a quantized copy of them."""

from __future__ import annotations

from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel

from verifine.models.network.forward import head_weight


class ModelRunner(Protocol):
    """A policy as the native engine runs it. R rows, H hidden size, V vocabulary."""

    @property
    def network(self) -> PreTrainedModel:
        """Computes hidden states."""
        ...

    def logits(self, hidden: Float[Tensor, "R H"]) -> Float[Tensor, "R V"]: ...


class OwnWeightsRunner:
    """Runs the learner's own weights: no copy, no synchronisation, no mismatch."""

    def __init__(self, network: PreTrainedModel) -> None:
        self.network = network

    def logits(self, hidden: Float[Tensor, "R H"]) -> Float[Tensor, "R V"]:
        return torch.nn.functional.linear(hidden, head_weight(self.network))
