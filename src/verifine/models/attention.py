"""Attention that the caller decides on: the one seam between Verifine and transformers' models.

A model loaded with `attn_implementation="verifine"` hands every layer's queries, keys and values to the `Attention`
that was given to `forward.hidden_states`. So packed trees and the engine's key-value cache need no change to any
model's code, and work for every architecture that uses transformers' attention interface.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from verifine.errors import ModelError
from verifine.models.blocks import Block
from verifine.models.tree import Tree

IMPLEMENTATION = "verifine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Heads:
    """What one layer attends with. T flat tokens, Hq query heads, Hk key-value heads, D head size."""

    layer: int
    query: Float[Tensor, "Hq T D"]
    key: Float[Tensor, "Hk T D"]
    value: Float[Tensor, "Hk T D"]
    scale: float
    window: int | None
    """How many positions back a query sees at most, itself included; None: all of them."""


class Attention(Protocol):
    """What one forward pass attends to."""

    def attend(self, heads: Heads) -> Float[Tensor, "Hq T D"]: ...


class TreeAttention:
    """Every token of a tree attends to its own past."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._biases: dict[int | None, list[Tensor]] = {}

    def attend(self, heads: Heads) -> Tensor:
        biases = self._biases.get(heads.window)
        if biases is None:
            shared = heads.query.shape[0] // heads.key.shape[0]
            biases = [
                attention_bias(self._tree.sees(block, heads.window), shared, heads.query.dtype)
                for block in self._tree.blocks
            ]
            self._biases[heads.window] = biases
        attended = [
            attend_block(heads.query[:, block.start : block.stop], heads, block, bias)
            for block, bias in zip(self._tree.blocks, biases, strict=True)
        ]
        return torch.cat(attended, dim=1)


def attention_bias(sees: Bool[Tensor, "Q K"], shared: int, dtype: torch.dtype) -> Float[Tensor, "shared*Q K"]:
    """0 where a query sees a key, else minus infinity. Made once for all layers: autograd keeps what it is given."""
    bias = torch.zeros(sees.shape, dtype=dtype, device=sees.device)
    return bias.masked_fill_(~sees, float("-inf")).repeat(shared, 1)


def attend_block(query: Float[Tensor, "Hq Q D"], heads: Heads, block: Block, bias: Tensor) -> Float[Tensor, "Hq Q D"]:
    """The attention of a block's queries to the keys that stand at its ranges of T."""
    ranges = (*block.context, (block.start, block.stop))
    keys, values = _join(heads.key, ranges), _join(heads.value, ranges)
    # The query heads that share a key-value head stand one after the other as more queries of it: no key is copied.
    attended = scaled_dot_product_attention(
        query.reshape(keys.shape[0], -1, query.shape[-1])[None],
        keys[None],
        values[None],
        attn_mask=bias,
        scale=heads.scale,
    )
    return attended.reshape(query.shape)


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
    if softcap or s_aux is not None:
        raise ModelError(f"{type(module).__name__} caps or sinks its attention, which Verifine cannot compute yet.")
    layer = module.layer_idx
    assert isinstance(layer, int)
    # Rotary embeddings leave queries and keys in float32 under autocast; the values are in the matrix products' type.
    heads = Heads(
        layer=layer,
        query=query[0].to(value.dtype),
        key=key[0].to(value.dtype),
        value=value[0],
        scale=query.shape[-1] ** -0.5 if scaling is None else scaling,
        window=sliding_window,
    )
    return verifine_attention.attend(heads).transpose(0, 1)[None], None


AttentionInterface.register(IMPLEMENTATION, _interface)
