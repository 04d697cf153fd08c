"""Weights in 4 bits: NormalFloat numbers with a scale for each block of 64 (QLoRA, arXiv:2305.14314).

It needs bitsandbytes (`pip install 'verifine[quantised]'`).
"""

from __future__ import annotations

import torch
from bitsandbytes.functional import QuantState, dequantize_4bit, quantize_4bit
from jaxtyping import Float, UInt8
from torch import Tensor

BLOCK = 64
"""Weights with the same scale: what transformers and peft take for `nf4` as well."""


class Nf4:
    """Two weights in a byte. B blocks."""

    def quantize(self, weight: Float[Tensor, "O I"]) -> tuple[UInt8[Tensor, "bytes 1"], Float[Tensor, " B"]]:
        codes, state = quantize_4bit(weight.float().contiguous(), blocksize=BLOCK, quant_type="nf4")
        return codes, state.absmax

    def dequantize(
        self, codes: UInt8[Tensor, "bytes 1"], scales: Float[Tensor, " B"], shape: torch.Size, dtype: torch.dtype
    ) -> Float[Tensor, "O I"]:
        state = QuantState(absmax=scales, shape=shape, dtype=dtype, blocksize=BLOCK, quant_type="nf4")
        weight: Tensor = dequantize_4bit(codes, state)
        return weight
