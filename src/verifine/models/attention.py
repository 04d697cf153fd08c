"""Attention that the caller decides on: the one seam between Verifine and transformers' models.

A model loaded with `attn_implementation="verifine"` hands every layer's queries, keys and values to the `Attention`
that was given to `forward.hidden_states`. So packed trees and the engine's key-value cache need no change to any
model's code, and work for every architecture that uses transformers' attention interface.
"""

from __future__ import annotations

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

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:  # noqa: ARG002
        return torch.cat([self._attend(block, query, key, value, scale) for block in self._blocks], dim=1)

    def _attend(self, block: Block, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        ranges = (*block.context, (block.start, block.stop))
        keys = torch.cat([key[:, a:b] for a, b in ranges], dim=1) if block.context else key[:, block.start : block.stop]
        values = (
            torch.cat([value[:, a:b] for a, b in ranges], dim=1)
            if block.context
            else value[:, block.start : block.stop]
        )
        queries = query[:, block.start : block.stop]
        heads, length, size = queries.shape
        shared = heads // keys.shape[0]
        # The query heads that share a key-value head stand one after the other as more queries of it: no key is copied.
        attended = scaled_dot_product_attention(
            queries.reshape(keys.shape[0], shared * length, size)[None],
            keys[None],
            values[None],
            attn_mask=block.mask.repeat(shared, 1),
            scale=scale,
        )
        return attended.reshape(heads, length, size)


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
