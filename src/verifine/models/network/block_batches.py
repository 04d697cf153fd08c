"""Blocks of a tree that attend at the same time: those of similar size, padded to sizes that processors multiply fast.

Axes: T tokens, Hk key-value heads, D head size, `shared` query heads for each of them, which lie side by side; B blocks
of a batch, Q queries and K keys of the longest of them; q and k rows of all batches end to end. A row is one token's
key, or all its queries, of one key-value head: token t and head h are row t * Hk + h.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from verifine.models.network.blocks import Block
from verifine.models.network.tree import Tree

QUERY_MULTIPLE, KEY_MULTIPLE = 32, 16
"""Sizes are rounded up to these, which halves the time of a product with a size just above them."""

FEW_QUERIES = 16
"""So few queries are not rounded up."""

BATCH_SCORES = 1 << 17
"""The most query-key pairs in a batch, so that the scores of a few heads stay in a processor's cache."""

PADDING_SHARE = 1.25
"""How much larger the largest block of a batch may be than the smallest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockBatch:
    """Some blocks, and which keys their queries see."""

    query_rows: slice
    """Its rows on the axis q, ordered by block, head and query; `key_rows` likewise."""
    key_rows: slice
    bias: Float[Tensor, "B 1 Q*shared K"]
    """Added to scores: 0 where a query sees a key, else minus infinity. Padding sees everything, to have numbers."""
    is_padding: Bool[Tensor, "B 1 Q*shared"] | None
    """Which queries are none. None: there is no padding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockBatches:
    """How the queries and keys of a tree are gathered into batches, and results are put back."""

    batches: tuple[BlockBatch, ...]
    query_rows: Int[Tensor, " q"]
    """The row of the tree that each is. Padding repeats row 0."""
    key_rows: Int[Tensor, " k"]
    places: Int[Tensor, " T*Hk"]
    """Where on the axis q each row of the tree is."""
    uses: Int[Tensor, " uses"]
    """Where on the axis k each row of the tree is, once or several times; those of row r begin at `use_starts[r]`."""
    use_starts: Int[Tensor, " T*Hk+1"]

    def gather_queries(self, heads: Float[Tensor, "Hq T D"], key_heads: int) -> Float[Tensor, "q shared*D"]:
        return _rows(heads, key_heads).index_select(0, self.query_rows)

    def gather_keys(self, heads: Float[Tensor, "Hk T D"]) -> Float[Tensor, "k D"]:
        return _rows(heads, heads.shape[0]).index_select(0, self.key_rows)

    def place_queries(self, gathered: Float[Tensor, "q shared*D"], like: Float[Tensor, "Hq T D"]) -> Tensor:
        """Undoes `gather_queries`."""
        heads, tokens, size = like.shape
        return gathered.index_select(0, self.places).view(tokens, heads, size).transpose(0, 1)

    def add_keys(self, gathered: Float[Tensor, "k D"], like: Float[Tensor, "Hk T D"]) -> Float[Tensor, "Hk T D"]:
        """The transpose of `gather_keys`: the sum of all uses of each key."""
        heads, tokens, size = like.shape
        summed = torch.embedding_bag(gathered, self.uses, self.use_starts, include_last_offset=True)[0]
        return summed.view(tokens, heads, size).transpose(0, 1)


def _rows(heads: Float[Tensor, "heads T D"], key_heads: int) -> Float[Tensor, "T*Hk shared*D"]:
    """Rows of the tree; no copy where heads of a token lie side by side in memory."""
    return heads.transpose(0, 1).reshape(heads.shape[1] * key_heads, -1)


def batch_blocks(tree: Tree, window: int | None, like: Float[Tensor, "Hq T D"], key_heads: int) -> BlockBatches:
    """All blocks of a tree, those of similar size together. `window`: see `Tree.sees`."""
    shared = like.shape[0] // key_heads
    query_tokens: list[Tensor] = []
    key_tokens: list[Tensor] = []
    batches: list[BlockBatch] = []
    query_start = key_start = 0
    for blocks in _groups(tree.blocks):
        queries, keys = (max(sizes) for sizes in zip(*map(_padded, blocks), strict=True))
        read = [torch.arange(block.start, block.stop) for block in blocks]
        seen = [torch.cat([torch.arange(*span) for span in block.ranges]) for block in blocks]
        query_tokens.append(_head_rows(read, queries, key_heads))
        key_tokens.append(_head_rows(seen, keys, key_heads))
        query_stop, key_stop = query_start + len(query_tokens[-1]), key_start + len(key_tokens[-1])
        padded = torch.arange(queries) >= torch.tensor([len(each) for each in read])[:, None]
        batches.append(
            BlockBatch(
                query_rows=slice(query_start, query_stop),
                key_rows=slice(key_start, key_stop),
                bias=_bias(tree, blocks, window, like.new_zeros(len(blocks), queries, keys)).repeat_interleave(
                    shared, dim=1
                )[:, None],
                is_padding=padded.repeat_interleave(shared, dim=1)[:, None] if bool(padded.any()) else None,
            )
        )
        query_start, key_start = query_stop, key_stop
    query_rows, key_rows = torch.cat(query_tokens), torch.cat(key_tokens)
    rows = len(tree.token_ids) * key_heads
    real = (key_rows >= 0).nonzero().flatten()
    uses = real[key_rows[real].argsort(stable=True)]
    use_starts = torch.zeros(rows + 1, dtype=torch.long)
    use_starts[1:] = torch.bincount(key_rows[real], minlength=rows).cumsum(dim=0)
    places = torch.empty(rows, dtype=torch.long)
    asked = (query_rows >= 0).nonzero().flatten()
    places[query_rows[asked]] = asked
    return BlockBatches(
        batches=tuple(batches),
        query_rows=query_rows.clamp_(min=0),
        key_rows=key_rows.clamp_(min=0),
        places=places,
        uses=uses,
        use_starts=use_starts,
    )


def _groups(blocks: Sequence[Block]) -> list[list[Block]]:
    groups: list[list[Block]] = []
    size = (0, 0)
    for block in sorted(blocks, key=lambda block: (_padded(block), block.start)):
        queries, keys = _padded(block)
        is_similar = queries == size[0] and keys <= PADDING_SHARE * size[1]
        if groups and is_similar and (len(groups[-1]) + 1) * queries * keys <= BATCH_SCORES:
            groups[-1].append(block)
        else:
            groups.append([block])
            size = queries, keys
    return groups


def _padded(block: Block) -> tuple[int, int]:
    queries = block.stop - block.start
    keys = sum(stop - start for start, stop in block.ranges)
    rounded = queries if queries <= FEW_QUERIES else _round_up(queries, QUERY_MULTIPLE)
    return rounded, _round_up(keys, KEY_MULTIPLE)


def _round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


def _head_rows(tokens: Sequence[Int[Tensor, " n"]], length: int, key_heads: int) -> Int[Tensor, " B*Hk*length"]:
    """The rows of each block's tokens, head by head; negative where there is padding."""
    padded = torch.full((len(tokens), length), -1)
    for place, each in enumerate(tokens):
        padded[place, : len(each)] = each
    rows = padded[:, None] * key_heads + torch.arange(key_heads)[:, None]
    return rows.masked_fill_(padded[:, None] < 0, -1).flatten()


def _bias(tree: Tree, blocks: Sequence[Block], window: int | None, bias: Float[Tensor, "B Q K"]) -> Tensor:
    for place, block in enumerate(blocks):
        sees = tree.sees(block, window)
        own = bias[place, : sees.shape[0]]
        own[:, sees.shape[1] :] = float("-inf")
        own[:, : sees.shape[1]].masked_fill_(~sees, float("-inf"))
    return bias
