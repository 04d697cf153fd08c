"""What reads tokens for the engine: the policy's own weights, or a copy of them."""

from __future__ import annotations

from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel

from verifine.models.forward import head_weight


class Reader(Protocol):
    """A policy as the engine sees it. H hidden size, V vocabulary."""

    @property
    def network(self) -> PreTrainedModel:
        """Gives hidden states."""
        ...

    def logits(self, hidden: Float[Tensor, "R H"]) -> Float[Tensor, "R V"]: ...


class OwnWeights:
    """The learner's own weights: no copy, no sync, no mismatch."""

    def __init__(self, network: PreTrainedModel) -> None:
        self.network = network

    def logits(self, hidden: Float[Tensor, "R H"]) -> Float[Tensor, "R V"]:
        return torch.nn.functional.linear(hidden, head_weight(self.network))
