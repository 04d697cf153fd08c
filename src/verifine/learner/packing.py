"""A batch as trees that fit a token budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from verifine.batch import Batch
from verifine.models.tree import Branch, Tree, common_prefix_length, count_tokens, grow_tree


@dataclass(frozen=True, slots=True, kw_only=True)
class MicroBatch:
    """A part of a batch that is read in one forward pass."""

    tree: Tree
    index: Int[Tensor, " n"]
    """Where on the batch's token axis the tree's predicted tokens stand, in the tree's order."""


def pack(batch: Batch, wanted: Bool[Tensor, " P"], max_tokens: int, device: torch.device) -> list[MicroBatch]:
    """Packs the wanted groups, in order, into trees of at most `max_tokens` input tokens (a group is never split)."""
    starts = _first_tokens(batch)
    branches: list[tuple[int, Branch]] = []
    for group_index in wanted.nonzero().flatten().tolist():
        group = batch.groups[group_index]
        kept = zip(group.rollouts, batch.valid[group_index].tolist(), strict=True)
        completions = [rollout.token_ids for rollout, is_valid in kept if is_valid]
        branches.append((starts[group_index], Branch(prompt=group.prompt.token_ids, completions=completions)))
    shared = common_prefix_length([branch.prompt for _, branch in branches])
    sizes = [count_tokens(branch) - shared for _, branch in branches]
    return [_micro_batch(branches[a:b], device) for a, b in even_ranges(sizes, max_tokens - shared)]


def even_ranges(sizes: Sequence[int], limit: int) -> list[tuple[int, int]]:
    """Splits `sizes`, in order, into as few ranges with sums up to `limit` as there can be, of about even sums.

    A size above the limit gets a range of its own. Even parts lower the peak: memory is for the largest.
    """
    fewest = len(_greedy_ranges(sizes, limit))
    low, high = min(max(sizes, default=0), limit), limit
    while low < high:
        middle = (low + high) // 2
        if len(_greedy_ranges(sizes, middle)) <= fewest:
            high = middle
        else:
            low = middle + 1
    return _greedy_ranges(sizes, high)


def _greedy_ranges(sizes: Sequence[int], limit: int) -> list[tuple[int, int]]:
    ranges: list[tuple[int, int]] = []
    start = used = 0
    for index, size in enumerate(sizes):
        if index > start and used + size > limit:
            ranges.append((start, index))
            start, used = index, 0
        used += size
    return [*ranges, (start, len(sizes))] if sizes else []


def _first_tokens(batch: Batch) -> list[int]:
    """Where on the token axis each group's tokens begin."""
    groups, size = batch.valid.shape
    lengths = torch.bincount(batch.row, minlength=groups * size).view(groups, size).sum(dim=1)
    return [0, *lengths.cumsum(dim=0).tolist()]


def _micro_batch(branches: list[tuple[int, Branch]], device: torch.device) -> MicroBatch:
    tree = grow_tree([branch for _, branch in branches], device)
    index = [torch.arange(start, start + sum(map(len, branch.completions))) for start, branch in branches]
    return MicroBatch(tree=tree, index=torch.cat(index).to(device))
