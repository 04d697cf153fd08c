"""Attention that the caller chooses: the only place where Verifine hooks into transformers' models.

A model loaded with `attn_implementation="verifine"` passes every layer's queries, keys and values to the `Attention`
that was given to `forward.hidden_states`. So packed trees and the engine's KV cache need no change to a model's code,
and work for every architecture that uses transformers' attention interface.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from verifine.errors import ModelError
from verifine.models.network.blocks import Block
from verifine.models.network.tree import Tree

IMPLEMENTATION = "verifine"

# What torch's scaled_dot_product_attention calls on a CPU; called directly for the log-totals that it gives as well.
FLASH = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
FLASH_BACKWARD = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


@dataclass(frozen=True, slots=True, kw_only=True)
class Heads:
    """The queries, keys and values of one layer. T flat tokens, Hq query heads, Hk key-value heads, D head size."""

    layer: int
    query: Float[Tensor, "Hq T D"]
    key: Float[Tensor, "Hk T D"]
    value: Float[Tensor, "Hk T D"]
    scale: float
    window: int | None
    """A query sees this many positions back, its own included; None: all of them."""


class Attention(Protocol):
    """How one forward pass attends."""

    def attend(self, heads: Heads) -> Float[Tensor, "Hq T D"]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Masked:
    """The blocks, masks and scale that a layer attends with."""

    blocks: tuple[Block, ...]
    biases: list[Float[Tensor, "shared*Q K"]]
    scale: float

    def __iter__(self) -> Iterator[tuple[Block, Tensor]]:
        return zip(self.blocks, self.biases, strict=True)


class Masks:
    """The masks of some blocks; made once for all layers, because autograd keeps what it is given."""

    def __init__(self, tree: Tree, blocks: tuple[Block, ...]) -> None:
        self._tree = tree
        self._blocks = blocks
        self._biases: dict[int | None, list[Tensor]] = {}

    def of(self, heads: Heads) -> Masked:
        if heads.window not in self._biases:
            shared = heads.query.shape[0] // heads.key.shape[0]
            sees = (self._tree.sees(block, heads.window) for block in self._blocks)
            self._biases[heads.window] = [mask_bias(each, heads.query.dtype).repeat(shared, 1) for each in sees]
        return Masked(blocks=self._blocks, biases=self._biases[heads.window], scale=heads.scale)


def mask_bias(sees: Bool[Tensor, "Q K"], dtype: torch.dtype) -> Float[Tensor, "Q K"]:
    """Added to scores: 0 where a query sees a key, else minus infinity."""
    return torch.zeros(sees.shape, dtype=dtype, device=sees.device).masked_fill_(~sees, float("-inf"))


def attend_blocks(
    query: Float[Tensor, "Hq Q D"], key: Float[Tensor, "Hk T D"], value: Float[Tensor, "Hk T D"], masked: Masked
) -> Float[Tensor, "Hq Q D"]:
    """Attention of the queries of neighbouring blocks to all keys, on any device."""
    parts = []
    first = masked.blocks[0].start
    for block, bias in masked:
        queries = query[:, block.start - first : block.stop - first]
        keys, values = join_ranges(key, block), join_ranges(value, block)
        attended = scaled_dot_product_attention(
            _grouped(queries, keys), keys[None], values[None], attn_mask=bias, scale=masked.scale
        )
        parts.append(attended.reshape(queries.shape))
    return torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]


def _grouped(queries: Float[Tensor, "Hq Q D"], keys: Float[Tensor, "Hk K D"]) -> Float[Tensor, "1 Hk shared*Q D"]:
    """Stacks the query heads that share a key-value head as more queries of it, so that no key is copied."""
    return queries.reshape(1, keys.shape[0], -1, queries.shape[-1])


def join_ranges(tensor: Float[Tensor, "Hk T D"], block: Block) -> Float[Tensor, "Hk K D"]:
    """The keys or values that a block attends to: its context ranges, then the block itself."""
    parts = [tensor[:, start:stop] for start, stop in block.ranges]
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
