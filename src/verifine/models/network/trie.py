"""Sequences on one flat axis, with common beginnings stored once.

The axis T holds a prefix tree, depth first: in sorted order, each sequence adds what it does not share with the one
before it. So a token's descendants follow it without a gap, and one number per token, the end of its subtree, defines
the mask: query q sees key k if and only if `k <= q < ends[k]`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

Tokens = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trie:
    """A prefix tree of token sequences, laid out flat."""

    token_ids: list[int]
    position_ids: list[int]
    """The index of each token in its sequence."""
    ends: list[int]
    """For each token, the end of its subtree on T."""
    paths: tuple[list[int], ...]
    """For each given sequence, the positions of its tokens on T."""


def lay_out(sequences: Sequence[Tokens]) -> Trie:
    """The prefix tree of `sequences`. They may be empty, equal, or prefixes of each other."""
    order = sorted(range(len(sequences)), key=sequences.__getitem__)
    token_ids: list[int] = []
    position_ids: list[int] = []
    ends: list[int] = []
    paths: list[list[int]] = [[] for _ in sequences]
    path: list[int] = []
    previous: Tokens = ()
    for index in order:
        sequence = sequences[index]
        shared = shared_length(previous, sequence)
        _close(path[shared:], ends, at=len(token_ids))
        path = [*path[:shared], *range(len(token_ids), len(token_ids) + len(sequence) - shared)]
        token_ids += sequence[shared:]
        position_ids += range(shared, len(sequence))
        ends += [0] * (len(sequence) - shared)
        paths[index], previous = path, sequence
    _close(path, ends, at=len(token_ids))
    return Trie(token_ids=token_ids, position_ids=position_ids, ends=ends, paths=tuple(paths))


def _close(tokens: Sequence[int], ends: list[int], at: int) -> None:
    for token in tokens:
        ends[token] = at


def shared_length(first: Tokens, second: Tokens) -> int:
    """The length of the common beginning of two sequences."""
    limit = min(len(first), len(second))
    if first[:limit] == second[:limit]:
        return limit
    return next(index for index in range(limit) if first[index] != second[index])


def count_distinct(sequences: Sequence[Tokens]) -> int:
    """The number of tokens in the prefix tree of `sequences`."""
    ordered = sorted(sequences)
    shared = sum(shared_length(first, second) for first, second in pairwise(ordered))
    return sum(map(len, ordered)) - shared
