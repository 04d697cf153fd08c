"""What a device can do at best, measured: matrix products and copies."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from measuring import median_seconds
from torch import Tensor
from transformers import PretrainedConfig

REPEATS = 5
QUANTIZED = "int8"
"""Weights quantized once, activations at every product; processors only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The linear layers of a model, as (output, input) features."""

    body: tuple[tuple[int, int], ...]
    """Of all layers, without the head."""
    head: tuple[int, int]

    @classmethod
    def of(cls, config: PretrainedConfig) -> Shape:
        """Of a config such as Llama's or Qwen3's."""
        hidden, inner = config.hidden_size, config.intermediate_size
        size = config.head_dim or hidden // config.num_attention_heads
        queries, keys = config.num_attention_heads * size, config.num_key_value_heads * size
        layer = (
            (queries, hidden),
            (keys, hidden),
            (keys, hidden),
            (hidden, queries),
            (inner, hidden),
            (inner, hidden),
            (hidden, inner),
        )
        return cls(body=layer * config.num_hidden_layers, head=(config.vocab_size, hidden))

    @property
    def body_weights(self) -> int:
        return sum(rows * columns for rows, columns in self.body)

    @property
    def head_weights(self) -> int:
        return self.head[0] * self.head[1]


def cube_flops(dtype: str, size: int, device: torch.device, clock: Callable[[], float] = time.perf_counter) -> float:
    """Operations a second of a product of two square matrices of `size`."""
    rows = torch.randn(size, size, device=device)
    multiply = linear(torch.randn(size, size, device=device), dtype)
    rows = rows if dtype == QUANTIZED else rows.to(getattr(torch, dtype))
    return float(2 * size**3 / median_seconds(lambda: multiply(rows), REPEATS, clock))


def copy_bandwidth(size: int, device: torch.device, clock: Callable[[], float] = time.perf_counter) -> float:
    """Bytes a second, read and written, of copying `size` bytes, which should be more than fit a cache."""
    source = torch.zeros(size, dtype=torch.uint8, device=device)
    target = torch.ones_like(source)
    return 2 * size / median_seconds(lambda: target.copy_(source), REPEATS, clock)


def linear(weight: Tensor, dtype: str) -> Callable[[Tensor], Tensor]:
    """`rows @ weight.T`, in `dtype`, as torch has it."""
    if dtype != QUANTIZED:
        cast = weight.to(getattr(torch, dtype))
        return lambda rows: torch.nn.functional.linear(rows, cast)
    scales = (weight.abs().amax(dim=1) / 127).double()
    zeros = torch.zeros(len(weight), dtype=torch.long)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.quantize_per", category=UserWarning)
        quantized = torch.quantize_per_channel(weight, scales, zeros, 0, torch.qint8)
    packed = torch.ops.quantized.linear_prepack(quantized, None)
    return lambda rows: torch.ops.quantized.linear_dynamic(rows, packed)


@torch.no_grad()
def decode_rates(shape: Shape, dtype: str, row_counts: Sequence[int]) -> dict[int, float]:
    """Rows a second at which all linear products of one decode step could be done, by the number of rows.

    Every product has weights of its own, as in a model, so that they come from memory and not from a cache.
    """
    products = [(each[1], linear(torch.randn(each) * 0.02, dtype)) for each in (*shape.body, shape.head)]
    rates = {}
    for count in row_counts:
        rows = {
            width: torch.randn(count, width, dtype=torch.float32 if dtype == QUANTIZED else getattr(torch, dtype))
            for width in {width for width, _ in products}
        }

        def step(rows: dict[int, Tensor] = rows) -> None:
            for width, multiply in products:
                multiply(rows[width])

        rates[count] = count / median_seconds(step, REPEATS)
    return rates
