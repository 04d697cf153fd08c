"""A language model without its vocabulary head, as engine and learner run it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from verifine.models.network.attention import Attention
from verifine.models.network.recompute import recomputed_layers


class Trunk(Protocol):
    """Computes hidden states. T flat tokens, H hidden size."""

    @property
    def network(self) -> PreTrainedModel:
        """The network whose weights it runs."""
        ...

    @property
    def compute_dtype(self) -> torch.dtype:
        """The type of its matrix products; the weights are float32."""
        ...

    def hidden_states(
        self,
        token_ids: Int[Tensor, " T"],
        position_ids: Int[Tensor, " T"],
        attention: Attention,
        *,
        recompute: bool = False,
    ) -> Float[Tensor, "T H"]:
        """The last layer's normalised hidden states of tokens that attend as `attention` says.

        Gradients are for `backward`, which adds them to the parameters; `torch.autograd.grad` does not find them.
        `recompute`: the backward pass computes activations again.
        """
        ...

    def for_inference(self) -> Trunk:
        """A trunk of the same weights that is faster for few rows and has no gradients; itself if there is none."""
        ...


class TransformersTrunk:
    """A network as transformers runs it: for every architecture that uses its attention interface."""

    def __init__(self, network: PreTrainedModel, compute_dtype: torch.dtype) -> None:
        self.network = network
        self.compute_dtype = compute_dtype

    def hidden_states(
        self,
        token_ids: Int[Tensor, " T"],
        position_ids: Int[Tensor, " T"],
        attention: Attention,
        *,
        recompute: bool = False,
    ) -> Float[Tensor, "T H"]:
        with self._precision(), recomputed_layers(self.network) if recompute else nullcontext():
            output = self.network.base_model(
                input_ids=token_ids[None],
                position_ids=position_ids[None],
                use_cache=False,
                verifine_attention=attention,
            )
        hidden: Tensor = output.last_hidden_state[0]
        return hidden

    def for_inference(self) -> TransformersTrunk:
        return self

    def _precision(self) -> AbstractContextManager[None]:
        """Computes matrix products in the wanted type with float32 weights; sensitive operations stay in float32."""
        if self.compute_dtype in (torch.float32, torch.float64):
            return nullcontext()
        return torch.autocast(self.network.device.type, dtype=self.compute_dtype)
