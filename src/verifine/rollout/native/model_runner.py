"""What the native engine samples from: the policy's own weights, or a quantized copy of them."""

from __future__ import annotations

from typing import Protocol

from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel

from verifine.models.network.vocabulary import VocabularyHead


class ModelRunner(Protocol):
    """A policy as the native engine runs it. R rows, H hidden size, V vocabulary."""

    @property
    def network(self) -> PreTrainedModel:
        """Computes hidden states."""
        ...

    def logits(self, hidden: Float[Tensor, "R H"]) -> Float[Tensor, "R V"]: ...


class OwnWeightsRunner:
    """Runs the learner's own weights: no copy, no synchronisation, no mismatch."""

    def __init__(self, network: PreTrainedModel, head: VocabularyHead) -> None:
        self.network = network
        self._head = head

    def logits(self, hidden: Float[Tensor, "R H"]) -> Float[Tensor, "R V"]:
        return self._head.logits(hidden)
