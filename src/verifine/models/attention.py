"""Attention that the caller decides on: the one seam between Verifine and transformers' models.

A model loaded with `attn_implementation="verifine"` hands every layer's queries, keys and values to the `Attention`
that was given to `forward.hidden_states`. So packed trees and the engine's key-value cache need no change to any
model's code, and work for every architecture that uses transformers' attention interface.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from verifine.errors import ModelError
from verifine.models.tree import Block, Tree

IMPLEMENTATION = "verifine"


class Attention(Protocol):
    """What one forward pass attends to. T flat tokens, Hq query heads, Hk key-value heads, D head size."""

    def attend(
        self,
        layer: int,
        query: Float[Tensor, "Hq T D"],
        key: Float[Tensor, "Hk T D"],
        value: Float[Tensor, "Hk T D"],
        scale: float,
    ) -> Float[Tensor, "Hq T D"]: ...


class TreeAttention:
    """Every token of a tree attends to its own past."""

    def __init__(self, tree: Tree) -> None:
        self._blocks = tree.blocks
        self._biases: list[Tensor] = []

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:  # noqa: ARG002
        if not self._biases:
            shared = query.shape[0] // key.shape[0]
            self._biases = [_bias(block, shared, query.dtype) for block in self._blocks]
        attended = [
            _attend(block, bias, query, key, value, scale)
            for block, bias in zip(self._blocks, self._biases, strict=True)
        ]
        return torch.cat(attended, dim=1)


def _bias(block: Block, shared: int, dtype: torch.dtype) -> Float[Tensor, "shared*Q K"]:
    """0 where a query sees a key, else minus infinity. Made once for all layers: autograd keeps what it is given."""
    bias = torch.zeros(block.mask.shape, dtype=dtype, device=block.mask.device)
    return bias.masked_fill_(~block.mask, float("-inf")).repeat(shared, 1)


def _attend(block: Block, bias: Tensor, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    ranges = (*block.context, (block.start, block.stop))
    keys, values = _join(key, ranges), _join(value, ranges)
    queries = query[:, block.start : block.stop]
    heads, length, size = queries.shape
    # The query heads that share a key-value head stand one after the other as more queries of it: no key is copied.
    attended = scaled_dot_product_attention(
        queries.reshape(keys.shape[0], -1, size)[None], keys[None], values[None], attn_mask=bias, scale=scale
    )
    return attended.reshape(heads, length, size)


def _join(tensor: Float[Tensor, "Hk T D"], ranges: Sequence[tuple[int, int]]) -> Float[Tensor, "Hk K D"]:
    parts = [tensor[:, start:stop] for start, stop in ranges]
    return torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]


def _interface(
    module: nn.Module,
    query: Float[Tensor, "1 Hq T D"],
    key: Float[Tensor, "1 Hk T D"],
    value: Float[Tensor, "1 Hk T D"],
    attention_mask: None,  # noqa: ARG001 - part of transformers' signature
    *,
    scaling: float | None = None,
    verifine_attention: Attention,
    softcap: float | None = None,
    sliding_window: int | None = None,
    s_aux: Tensor | None = None,
    **_: object,
) -> tuple[Float[Tensor, "1 T Hq D"], None]:
    if softcap or s_aux is not None or sliding_window:
        raise ModelError(
            f"{type(module).__name__} caps, sinks or windows its attention, which Verifine cannot compute yet."
        )
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    # Rotary embeddings leave queries and keys in float32 under autocast; the values are in the matrix products' type.
    query, key = query.to(value.dtype), key.to(value.dtype)
    layer = module.layer_idx
    assert isinstance(layer, int)
    attended = verifine_attention.attend(layer, query[0], key[0], value[0], scale)
    return attended.transpose(0, 1)[None], None


AttentionInterface.register(IMPLEMENTATION, _interface)
