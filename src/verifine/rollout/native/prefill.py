"""Prefill: prompts are read as a tree, in chunks, and every layer's keys and values are kept."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from verifine.models.network.attention import Heads, Masks, attend_blocks
from verifine.models.network.blocks import Block
from verifine.models.network.tree import Tree
from verifine.models.network.trunk import Trunk

CHUNK_TOKENS = 1024
"""Tokens read at a time, but at least one block, so that the activations of a long prompt need little memory."""


class Prefill:
    """The keys and values of a tree's tokens, layer by layer. T tokens, Hk key-value heads, D head size."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._start = 0
        self._masks = Masks(tree, ())
        self.keys: list[Float[Tensor, "Hk T D"]] = []
        self.values: list[Float[Tensor, "Hk T D"]] = []

    def read(self, trunk: Trunk) -> Float[Tensor, "P H"]:
        """Reads the tree. Returns the hidden state at each prompt's last token."""
        tree = self._tree
        last = torch.stack([where[-1] for where in tree.prompts])
        result: Tensor | None = None
        for chunk in _chunks(tree.blocks):
            start, stop = chunk[0].start, chunk[-1].stop
            self._start, self._masks = start, Masks(tree, chunk)
            hidden = trunk.hidden_states(tree.token_ids[start:stop], tree.position_ids[start:stop], self)
            result = hidden.new_empty(len(last), hidden.shape[1]) if result is None else result
            ends_here = (last >= start) & (last < stop)
            result[ends_here] = hidden[last[ends_here] - start]
        assert result is not None, "a tree of prompts has tokens"
        return result

    def attend(self, heads: Heads) -> Tensor:
        start, layer = self._start, heads.layer
        if start == 0:
            self.keys.append(self._empty_like(heads.key))
            self.values.append(self._empty_like(heads.value))
        keys, values = self.keys[layer], self.values[layer]
        keys[:, start : start + heads.key.shape[1]] = heads.key
        values[:, start : start + heads.value.shape[1]] = heads.value
        return attend_blocks(heads.query, keys, values, self._masks.of(heads))

    def _empty_like(self, tensor: Tensor) -> Tensor:
        return tensor.new_empty(tensor.shape[0], len(self._tree.token_ids), tensor.shape[2])


def _chunks(blocks: tuple[Block, ...]) -> Iterator[tuple[Block, ...]]:
    """Groups neighbouring blocks of up to CHUNK_TOKENS in total."""
    chunk: list[Block] = []
    for block in blocks:
        if chunk and block.stop - chunk[0].start > CHUNK_TOKENS:
            yield tuple(chunk)
            chunk = []
        chunk.append(block)
    if chunk:
        yield tuple(chunk)
