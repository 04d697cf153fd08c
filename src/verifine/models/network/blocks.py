"""Which queries of a prefix tree attend together: the choice that costs the least in masked-out pairs and calls.

One call for many queries computes pairs that the mask then discards (siblings do not see each other); one call for each
part of the tree computes no such pairs, but has an overhead each time. Where answers are short, a group attends in one
masked block; where they are much longer than the prompt, each attends alone, as in plain sequence packing, but the
prompt is not read again. Every choice gives the same result.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

CALL_PAIRS = 1 << 12
"""The cost of one more block in query-key pairs: about 0.05 ms per layer, forward and backward."""

LONGEST_BLOCK = 512
"""The most queries in a block: in a long causal block, the masked half is wasted work."""

Range = tuple[int, int]
"""Start and end on the flat axis T; the end is excluded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A range of queries. It sees all of its context, and within itself what the tree allows."""

    start: int
    stop: int
    context: tuple[Range, ...]
    """Ranges of T, in order and with gaps between them."""

    @property
    def ranges(self) -> tuple[Range, ...]:
        """What it attends to: the context and the block itself, merged if they touch."""
        return _joined(self.context, (self.start, self.stop))


@dataclass(slots=True, kw_only=True)
class _Segment:
    """A chain of the tree: tokens without a branch between them."""

    start: int
    stop: int
    end: int
    """Where its subtree ends."""
    context: int
    """How many tokens it sees before itself."""
    children: list[_Segment] = field(default_factory=list)
    cost: int = 0
    is_joint: bool = True
    """Whether its whole subtree attends in one block."""

    @property
    def size(self) -> int:
        return self.end - self.start


def partition(ends: Sequence[int]) -> tuple[Block, ...]:
    """Blocks that cover T in order, for a tree with these subtree ends."""
    roots, segments = _grow(ends)
    for segment in reversed(segments):  # children stand after their parents
        _decide(segment)
    return tuple(_blocks(roots, ()))


def _grow(ends: Sequence[int]) -> tuple[list[_Segment], list[_Segment]]:
    """The tree's roots, and all segments from left to right."""
    roots: list[_Segment] = []
    segments: list[_Segment] = []
    open_segments: list[_Segment] = []
    starts = [index for index in range(len(ends)) if index == 0 or ends[index] != ends[index - 1]]
    for start, stop in pairwise([*starts, len(ends)]):
        while open_segments and open_segments[-1].end <= start:
            open_segments.pop()
        parent = open_segments[-1] if open_segments else None
        context = 0 if parent is None else parent.context + parent.stop - parent.start
        segment = _Segment(start=start, stop=stop, end=ends[start], context=context)
        (roots if parent is None else parent.children).append(segment)
        open_segments.append(segment)
        segments.append(segment)
    return roots, segments


def _decide(segment: _Segment) -> None:
    """Decides whether the subtree attends in one block, given the decisions for its children."""
    joint = _cost(segment.size, segment.context)
    runs = sum(_run_cost(run) for run in _runs(segment.children))
    apart = _chain_cost(segment.stop - segment.start, segment.context) + runs
    segment.is_joint = segment.size <= LONGEST_BLOCK and joint <= apart
    segment.cost = joint if segment.is_joint else apart


def _cost(queries: int, context: int) -> int:
    return CALL_PAIRS + queries * (context + queries)


def _chain_cost(length: int, context: int) -> int:
    return sum(_cost(b - a, context + a) for a, b in _chunks(0, length))


def _chunks(start: int, stop: int) -> list[Range]:
    """Divides a range evenly into parts of up to LONGEST_BLOCK."""
    parts = -(-(stop - start) // LONGEST_BLOCK)
    bounds = [start + (stop - start) * part // parts for part in range(parts + 1)]
    return list(pairwise(bounds))


def _runs(children: Sequence[_Segment]) -> list[list[_Segment]]:
    """Groups neighbours that attend together, because their masked-out pairs cost less than a call."""
    runs: list[list[_Segment]] = []
    size = 0
    for child in children:
        is_cheap = 2 * size * child.size < CALL_PAIRS and size + child.size <= LONGEST_BLOCK
        if runs and runs[-1][-1].is_joint and child.is_joint and is_cheap:
            runs[-1].append(child)
            size += child.size
        else:
            runs.append([child])
            size = child.size
    return runs


def _run_cost(run: Sequence[_Segment]) -> int:
    return run[0].cost if len(run) == 1 else _cost(run[-1].end - run[0].start, run[0].context)


def _blocks(siblings: Sequence[_Segment], context: tuple[Range, ...]) -> Iterator[Block]:
    """The blocks of neighbouring subtrees, which all see `context`."""
    todo = [(run, context) for run in reversed(_runs(siblings))]
    while todo:
        run, seen = todo.pop()
        first = run[0]
        if first.is_joint:
            yield Block(start=first.start, stop=run[-1].end, context=seen)
            continue
        for start, stop in _chunks(first.start, first.stop):
            yield Block(start=start, stop=stop, context=seen)
            seen = _joined(seen, (start, stop))
        todo += [(below, seen) for below in reversed(_runs(first.children))]


def _joined(context: tuple[Range, ...], last: Range) -> tuple[Range, ...]:
    """Adds a range, merged with the last one if they touch."""
    if context and context[-1][1] == last[0]:
        return (*context[:-1], (context[-1][0], last[1]))
    return (*context, last)
