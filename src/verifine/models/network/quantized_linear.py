"""Frozen linear layers whose weights are held in 8 or 4 bits, below LoRA adapters (QLoRA, arXiv:2305.14314).

Each product turns the whole weight back into floating-point numbers and forgets them again, so sampling and learning
multiply by the same numbers, and activations and gradients are never quantised. O outputs, I inputs, T tokens.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol

import torch
from jaxtyping import Float, Int8, Shaped
from torch import Tensor, nn
from torch.nn import Parameter
from transformers import PreTrainedModel

from verifine.errors import SetupError
from verifine.models.network.quantized import quantize_rows

BaseBits = Literal[8, 4]


class WeightFormat(Protocol):
    """How a weight is held in few bits."""

    def quantize(self, weight: Float[Tensor, "O I"]) -> tuple[Shaped[Tensor, ...], Float[Tensor, " scales"]]:
        """Codes and scales."""
        ...

    def dequantize(
        self, codes: Shaped[Tensor, ...], scales: Float[Tensor, " scales"], shape: torch.Size, dtype: torch.dtype
    ) -> Float[Tensor, "O I"]: ...


class Int8Rows:
    """A number from -127 to 127 for each weight and a scale for each row, as LLM.int8() has them (arXiv:2208.07339)."""

    def quantize(self, weight: Float[Tensor, "O I"]) -> tuple[Int8[Tensor, "O I"], Float[Tensor, " O"]]:
        codes, scales = quantize_rows(weight.float())
        return codes, scales.squeeze(1)

    def dequantize(
        self,
        codes: Int8[Tensor, "O I"],
        scales: Float[Tensor, " O"],
        shape: torch.Size,
        dtype: torch.dtype,
    ) -> Float[Tensor, "O I"]:
        weight = torch.empty(shape, dtype=dtype, device=codes.device)
        return torch.mul(codes, scales[:, None], out=weight)


class QuantizedLinear(nn.Linear):
    """A linear layer that does not learn, with codes in the place of its weight."""

    def __init__(self, layer: nn.Linear, held: WeightFormat) -> None:
        super().__init__(layer.in_features, layer.out_features, bias=False, device="meta")
        codes, scales = held.quantize(layer.weight.detach())
        self.weight = Parameter(codes, requires_grad=False)
        self.register_buffer("scales", scales)
        if layer.bias is not None:
            self.bias = Parameter(layer.bias.detach(), requires_grad=False)
        self._held = held

    def dequantized(self, dtype: torch.dtype) -> Float[Tensor, "O I"]:
        """The weight in floating-point numbers, made anew."""
        scales = self.get_buffer("scales")
        shape = torch.Size((self.out_features, self.in_features))
        return self._held.dequantize(self.weight, scales, shape, dtype)

    def forward(self, rows: Float[Tensor, "*T I"]) -> Float[Tensor, "*T O"]:
        kind = rows.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else rows.dtype
        result: Tensor = _Product.apply(rows.to(dtype), self)  # type: ignore[no-untyped-call]
        return result if self.bias is None else result + self.bias.to(dtype)


class _Product(torch.autograd.Function):
    """Keeps no weight for the backward pass, which makes it again."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, layer: QuantizedLinear) -> Tensor:
        ctx.layer = layer
        return nn.functional.linear(rows, layer.dequantized(rows.dtype))

    @staticmethod
    def backward(ctx: Any, incoming: Tensor) -> tuple[Tensor, None]:
        return incoming @ ctx.layer.dequantized(incoming.dtype), None


@torch.no_grad()
def quantize_linears(network: PreTrainedModel, bits: BaseBits, device: torch.device) -> None:
    """Holds the weights of all linear layers but the vocabulary head in `bits`, on `device`; nothing learns after it.

    A layer at a time goes to `device`, so it never holds the whole network.

    Raises:
        SetupError: the package for 4 bits is not installed.
    """
    held, head = _format_of(bits), network.get_output_embeddings()
    network.requires_grad_(requires_grad=False)
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Linear) and child is not head:
                parent.register_module(name, QuantizedLinear(child.to(device), held))


def has_quantized_base(network: PreTrainedModel) -> bool:
    """Whether its linear layers are held in few bits."""
    return any(isinstance(module, QuantizedLinear) for module in network.modules())


def count_weights(network: nn.Module) -> int:
    """The weights that a network stands for, where codes may hold two in one number."""
    packed = [module for module in network.modules() if isinstance(module, QuantizedLinear)]
    held = sum(parameter.numel() for parameter in network.parameters())
    return held + sum(layer.in_features * layer.out_features - layer.weight.numel() for layer in packed)


def _format_of(bits: BaseBits) -> WeightFormat:
    if bits == 8:
        return Int8Rows()
    try:  # imported where it is chosen, because it needs an optional package
        from verifine.models.network.nf4 import Nf4
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "bitsandbytes":
            raise
        raise SetupError(
            "a base in 4 bits needs the package bitsandbytes, which is not installed; pip install "
            "'verifine[quantised]', or set model.lora.base_bits to 8"
        ) from error
    return Nf4()
