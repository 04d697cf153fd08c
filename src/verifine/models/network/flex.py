"""Attention over a prefix tree in one fused kernel, for accelerators: FlexAttention (arXiv:2412.05496)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

from verifine.models.network.attention import Heads
from verifine.models.network.tree import Tree


class FlexTreeAttention:
    """Every token of a tree attends to its own past; fully masked squares are skipped.

    The kernel is compiled once for all lengths. On the CPU, where only tests use it, it is not compiled.
    """

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._masks: dict[int | None, BlockMask] = {}

    def attend(self, heads: Heads) -> Tensor:
        mask = self._masks.get(heads.window)
        if mask is None:
            mask = _block_mask(self._tree, heads.window)
            self._masks[heads.window] = mask
        kernel = _compiled() if heads.query.is_cuda else _plain()
        attended = kernel(
            heads.query[None].contiguous(),
            heads.key[None].contiguous(),
            heads.value[None].contiguous(),
            block_mask=mask,
            scale=heads.scale,
            enable_gqa=heads.query.shape[0] != heads.key.shape[0],
        )
        return attended[0]


def _plain() -> Callable[..., Tensor]:
    return flex_attention


@cache
def _compiled() -> Callable[..., Tensor]:
    compiled: Callable[..., Tensor] = torch.compile(flex_attention, dynamic=True)
    return compiled


def _block_mask(tree: Tree, window: int | None) -> BlockMask:
    ends, positions = tree.ends, tree.position_ids

    def sees(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:  # noqa: ARG001 - the kernel's signature
        seen = (key <= query) & (query < ends[key])
        return seen if window is None else seen & (positions[query] - positions[key] < window)

    length = len(tree.token_ids)
    return create_block_mask(sees, B=None, H=None, Q_LEN=length, KV_LEN=length, device=ends.device)
