from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from verifine.models.network.attention import Heads
from verifine.models.network.block_batches import batch_blocks
from verifine.models.network.tree import Branch, Tree, grow_tree
from verifine.models.network.tree_attention import DENSE_SCORES, TreeAttention

ANSWERS = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=40).map(tuple), min_size=1, max_size=5)
GROUPS = st.lists(ANSWERS, min_size=1, max_size=3)


def tree_of(groups: Sequence[Sequence[tuple[int, ...]]]) -> Tree:
    """Groups with a common beginning, so that tokens have several readers."""
    return grow_tree([Branch(prompt=(7, 8, 9, index), completions=each) for index, each in enumerate(groups)])


def draw_heads(tree: Tree, query_heads: int, key_heads: int, window: int | None, dtype: torch.dtype) -> Heads:
    generator = torch.Generator().manual_seed(0)
    tokens = len(tree.token_ids)

    def draw(heads: int) -> Tensor:
        # Heads of a token lie side by side, as a layer gives them.
        return torch.randn(tokens, heads, 8, generator=generator).to(dtype).transpose(0, 1).requires_grad_()

    return Heads(layer=0, query=draw(query_heads), key=draw(key_heads), value=draw(key_heads), scale=0.3, window=window)


def plain_attention(heads: Heads, tree: Tree) -> Tensor:
    """Every token with every other, and a mask."""
    index = torch.arange(len(tree.token_ids))
    sees = (index <= index[:, None]) & (index[:, None] < tree.ends)
    if heads.window is not None:
        sees &= tree.position_ids[:, None] - tree.position_ids < heads.window
    shared = heads.query.shape[0] // heads.key.shape[0]
    keys, values = (each.repeat_interleave(shared, dim=0) for each in (heads.key, heads.value))
    scores = heads.scale * heads.query @ keys.transpose(1, 2)
    return scores.masked_fill(~sees, float("-inf")).softmax(dim=-1) @ values


def check_against_plain_attention(tree: Tree, heads: Heads, tolerance: float) -> None:
    inputs = (heads.query, heads.key, heads.value)
    ours, theirs = TreeAttention(tree).attend(heads), plain_attention(heads, tree)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=tolerance)
    incoming = torch.randn(ours.shape, generator=torch.Generator().manual_seed(1)).to(ours.dtype)
    for found, wanted in zip(
        torch.autograd.grad(ours, inputs, incoming), torch.autograd.grad(theirs, inputs, incoming), strict=True
    ):
        torch.testing.assert_close(found, wanted, rtol=0, atol=tolerance * max(wanted.abs().max().item(), 1.0))


@given(groups=GROUPS, heads=st.sampled_from([(4, 2), (3, 3), (6, 1)]), window=st.sampled_from([None, 1, 5]))
def test_attention_and_its_gradients_are_those_of_one_masked_product(
    groups: list[list[tuple[int, ...]]], heads: tuple[int, int], window: int | None
) -> None:
    tree = tree_of(groups)
    check_against_plain_attention(tree, draw_heads(tree, *heads, window, torch.float64), 1e-9)


@pytest.mark.parametrize("window", [None, 100])
def test_long_blocks_are_tiled_with_the_same_result(window: int | None) -> None:
    generator = torch.Generator().manual_seed(0)
    answers = [tuple(torch.randint(3, 90, (700,), generator=generator).tolist()) for _ in range(2)]
    tree = tree_of([answers])
    heads = draw_heads(tree, 4, 2, window, torch.float64)
    batches = batch_blocks(tree, window, heads.query, 2).batches
    sizes = [batch.bias.shape[2] * batch.bias.shape[3] for batch in batches]
    assert min(sizes) <= DENSE_SCORES < max(sizes), "both ways are taken"
    check_against_plain_attention(tree, heads, 1e-9)


def test_bfloat16_differs_by_its_rounding() -> None:
    tree = tree_of([[tuple(range(10, 50)), tuple(range(20, 75))], [tuple(range(30, 60))]])
    check_against_plain_attention(tree, draw_heads(tree, 4, 2, None, torch.bfloat16), 0.03)


@given(groups=GROUPS, key_heads=st.integers(1, 3), shared=st.integers(1, 2))
def test_every_row_is_put_back_where_it_came_from(
    groups: list[list[tuple[int, ...]]], key_heads: int, shared: int
) -> None:
    tree = tree_of(groups)
    heads = draw_heads(tree, key_heads * shared, key_heads, None, torch.float32)
    blocks = batch_blocks(tree, None, heads.query, key_heads)
    gathered = blocks.gather_queries(heads.query, key_heads)
    assert torch.equal(blocks.place_queries(gathered, heads.query), heads.query)
    assert len(blocks.query_rows) == blocks.batches[-1].query_rows.stop
    # Every key is used by the tokens that see it, block by block.
    counts = blocks.add_keys(torch.ones(len(blocks.key_rows), 8), heads.key)
    readers = torch.zeros(len(tree.token_ids))
    for block in tree.blocks:
        for start, stop in block.ranges:
            readers[start:stop] += 1
    assert torch.equal(counts, readers[None, :, None].expand_as(counts))
