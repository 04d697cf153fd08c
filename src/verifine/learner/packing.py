"""A batch as trees that fit a token budget."""

from __future__ import annotations

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
    packed: list[MicroBatch] = []
    current: list[tuple[int, Branch]] = []
    used = shared
    for start, branch in branches:
        tokens = count_tokens(branch) - shared
        if current and used + tokens > max_tokens:
            packed.append(_micro_batch(current, device))
            current, used = [], shared
        current.append((start, branch))
        used += tokens
    return [*packed, _micro_batch(current, device)] if current else packed


def _first_tokens(batch: Batch) -> list[int]:
    """Where on the token axis each group's tokens begin."""
    groups, size = batch.valid.shape
    lengths = torch.bincount(batch.row, minlength=groups * size).view(groups, size).sum(dim=1)
    return [0, *lengths.cumsum(dim=0).tolist()]


def _micro_batch(branches: list[tuple[int, Branch]], device: torch.device) -> MicroBatch:
    tree = grow_tree([branch for _, branch in branches], device)
    index = [torch.arange(start, start + sum(map(len, branch.completions))) for start, branch in branches]
    return MicroBatch(tree=tree, index=torch.cat(index).to(device))
