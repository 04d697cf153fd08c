"""Linear layers that read the same input, with their adapters: what products are made of.

I inputs, O outputs of all layers together, r ranks of all adapters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch
from jaxtyping import Float
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from torch.nn import Parameter

from verifine.models.network.adapter_layers import base_layer, lora_matrices
from verifine.models.network.quantized_linear import QuantizedLinear


@dataclass(frozen=True, slots=True, kw_only=True)
class _Adapter:
    """The LoRA matrices of one layer, which adds `scale * up @ down` to its weight."""

    down: Parameter
    up: Parameter
    scale: float
    outputs: slice
    """The layer's outputs among those of the projection."""
    ranks: slice
    """Its rows of A among those of the projection."""


class LinearLayers:
    """Linear layers that read the same input. I inputs, O outputs of all layers together, r ranks of all adapters."""

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        self.bases = [base_layer(layer) for layer in layers]
        self.outputs = _consecutive([base.out_features for base in self.bases])
        self.adapters = _adapters(layers, self.outputs)
        self._adapted = [layer for layer in layers if isinstance(layer, LoraLayer)]

    @property
    def are_quantized(self) -> bool:
        return any(isinstance(base, QuantizedLinear) for base in self.bases)

    @property
    def uses_adapters(self) -> bool:
        return bool(self._adapted) and not self._adapted[0].disable_adapters

    @property
    def parameters(self) -> list[Tensor]:
        """Everything that the result depends on."""
        own = [each for base in self.bases for each in (base.weight, base.bias) if each is not None]
        return [*own, *(each for adapter in self.adapters for each in (adapter.down, adapter.up))]

    def versions(self) -> list[tuple[int, int]]:
        return versions_of(self.parameters)

    def copy_weight(self, target: Float[Tensor, "O I"]) -> None:
        for base, outputs in zip(self.bases, self.outputs, strict=True):
            target[outputs].copy_(base.weight)

    def dequantized_weight(self, dtype: torch.dtype) -> Float[Tensor, "O I"]:
        weights = [base.dequantized(dtype) for base in self.bases if isinstance(base, QuantizedLinear)]
        assert len(weights) == len(self.bases)
        return weights[0] if len(weights) == 1 else torch.cat(weights)

    def empty_weight(self, dtype: torch.dtype) -> Float[Tensor, "O I"]:
        first = self.bases[0].weight
        return first.new_empty(self.outputs[-1].stop, first.shape[1], dtype=dtype)

    def bias(self, dtype: torch.dtype) -> Float[Tensor, " O"] | None:
        biases: list[Tensor] = [base.bias for base in self.bases if base.bias is not None]
        return torch.cat(biases).to(dtype) if biases else None

    def matrices(self, dtype: torch.dtype) -> AdapterMatrices | None:
        """The adapters' matrices, those of all layers together."""
        if not self.adapters:
            return None
        down = torch.cat([adapter.down for adapter in self.adapters]).to(dtype)
        up = down.new_zeros(self.outputs[-1].stop, len(down))
        for adapter in self.adapters:
            up[adapter.outputs, adapter.ranks] = (adapter.up * adapter.scale).to(dtype)
        return AdapterMatrices(down=down, up=up)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterMatrices:
    """A of all adapters, and their B with the scales, on the diagonal."""

    down: Float[Tensor, "r I"]
    up: Float[Tensor, "O r"]

    def add_to(self, result: Float[Tensor, "T O"], rows: Float[Tensor, "T I"]) -> None:
        """Adds what the adapters make of `rows`."""
        result.addmm_(rows @ self.down.T, self.up.T)


def versions_of(parameters: Sequence[Tensor]) -> list[tuple[int, int]]:
    """Differs from what it was if a parameter has changed since."""
    return [(each.data_ptr(), each._version) for each in parameters]


def _consecutive(sizes: Sequence[int]) -> list[slice]:
    return [slice(start, stop) for start, stop in pairwise([0, *accumulate(sizes)])]


def _adapters(layers: Sequence[nn.Module], outputs: Sequence[slice]) -> list[_Adapter]:
    adapted = [(layer, span) for layer, span in zip(layers, outputs, strict=True) if isinstance(layer, LoraLayer)]
    matrices = [lora_matrices(layer) for layer, _ in adapted]
    ranks = _consecutive([len(down) for down, _, _ in matrices])
    return [
        _Adapter(down=down, up=up, scale=scale, outputs=span, ranks=rows)
        for (down, up, scale), (_, span), rows in zip(matrices, adapted, ranks, strict=True)
    ]
