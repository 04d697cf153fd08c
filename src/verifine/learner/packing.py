"""A batch as trees that fit a token budget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from verifine.batch import Batch
from verifine.models.network.tree import Branch, Tree, grow_tree
from verifine.models.network.trie import Tokens, count_distinct, shared_length


@dataclass(frozen=True, slots=True, kw_only=True)
class MicroBatch:
    """A part of a batch that one forward pass reads."""

    tree: Tree
    index: Int[Tensor, " n"]
    """Where on the batch's token axis the tree's predicted tokens stand, in the tree's order."""

    @property
    def tokens(self) -> int:
        """Input tokens of the pass."""
        return len(self.tree.token_ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    """Rollouts of one group that are read together."""

    prompt: Tokens
    completions: tuple[Tokens, ...]
    actions: tuple[Sequence[int], ...]
    """The places of each completion's action tokens."""
    starts: tuple[int, ...]
    """Where on the batch's token axis the action tokens of each completion begin."""

    @property
    def tokens(self) -> int:
        """Input tokens of the piece alone."""
        return count_distinct(self.branch.readings())

    @property
    def branch(self) -> Branch:
        return Branch(prompt=self.prompt, completions=self.completions, predicted=self.actions)

    def part(self, samples: Sequence[int]) -> _Piece:
        """The same group with some of its rollouts."""
        return _Piece(
            prompt=self.prompt,
            completions=tuple(self.completions[sample] for sample in samples),
            actions=tuple(self.actions[sample] for sample in samples),
            starts=tuple(self.starts[sample] for sample in samples),
        )


def pack(batch: Batch, wanted: Bool[Tensor, " P"], max_tokens: int, device: torch.device) -> list[MicroBatch]:
    """Packs the wanted groups into trees of at most `max_tokens` input tokens, as few and as even as possible.

    Groups with prompts that begin alike are packed together. A group that exceeds `max_tokens` alone is split; a
    rollout never is. The largest tree comes first: if it fits into memory, all do.
    """
    groups = sorted(_groups(batch, wanted), key=lambda piece: piece.prompt)
    pieces = [part for group in groups for part in _split(group, max_tokens)]
    sizes = [piece.tokens for piece in pieces]
    shared = [shared_length(first.prompt, second.prompt) for first, second in pairwise(pieces)]
    parts = [_micro_batch(pieces[a:b], device) for a, b in even_ranges(sizes, [0, *shared], max_tokens)]
    return sorted(parts, key=lambda part: part.tokens, reverse=True)


def longest_rollout(batch: Batch, wanted: Bool[Tensor, " P"]) -> int:
    """The input tokens of the longest valid rollout of the wanted groups: no tree can have fewer."""
    return max((len(reading) for group in _groups(batch, wanted) for reading in group.branch.readings()), default=0)


def even_ranges(sizes: Sequence[int], shared: Sequence[int], limit: int) -> list[tuple[int, int]]:
    """Splits `sizes`, in order, into as few ranges with sums up to `limit` as possible, of about even sums.

    `shared[i]` is what item i does not add when item i - 1 is in the same range. A size above the limit gets a range of
    its own. Even parts need less memory, which is that of the largest.
    """
    fewest = len(_greedy_ranges(sizes, shared, limit))
    low, high = min(max(sizes, default=0), limit), limit
    while low < high:
        middle = (low + high) // 2
        if len(_greedy_ranges(sizes, shared, middle)) <= fewest:
            high = middle
        else:
            low = middle + 1
    return _greedy_ranges(sizes, shared, high)


def _greedy_ranges(sizes: Sequence[int], shared: Sequence[int], limit: int) -> list[tuple[int, int]]:
    starts, used = [], 0
    for index, size in enumerate(sizes):
        added = size - shared[index]
        if index == 0 or used + added > limit:
            starts.append(index)
            used = size
        else:
            used += added
    return list(pairwise([*starts, len(sizes)]))


def _groups(batch: Batch, wanted: Bool[Tensor, " P"]) -> Iterator[_Piece]:
    """The wanted groups' valid rollouts."""
    lengths = torch.bincount(batch.row, minlength=batch.valid.numel())
    starts = (lengths.cumsum(dim=0) - lengths).view(batch.valid.shape).tolist()
    for group_index in wanted.nonzero().flatten().tolist():
        group = batch.groups[group_index]
        kept = [sample for sample, is_valid in enumerate(batch.valid[group_index].tolist()) if is_valid]
        yield _Piece(
            prompt=group.prompt.token_ids,
            completions=tuple(group.rollouts[sample].token_ids for sample in kept),
            actions=tuple(group.rollouts[sample].actions for sample in kept),
            starts=tuple(starts[group_index][sample] for sample in kept),
        )


def _split(group: _Piece, max_tokens: int) -> Iterator[_Piece]:
    """The group itself where it fits, else parts of it, with similar rollouts in the same part."""
    if group.tokens <= max_tokens:
        yield group
        return
    order = sorted(range(len(group.completions)), key=group.completions.__getitem__)
    readings = [group.prompt + group.completions[sample][:-1] for sample in order]
    shared = [shared_length(first, second) for first, second in pairwise(readings)]
    for a, b in even_ranges([len(reading) for reading in readings], [0, *shared], max_tokens):
        yield group.part(order[a:b])


def _micro_batch(pieces: Sequence[_Piece], device: torch.device) -> MicroBatch:
    tree = grow_tree([piece.branch for piece in pieces], device)
    index = [
        torch.arange(start, start + len(actions))
        for piece in pieces
        for start, actions in zip(piece.starts, piece.actions, strict=True)
    ]
    return MicroBatch(tree=tree, index=torch.cat(index).to(device))
