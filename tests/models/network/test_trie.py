from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifine.models.network.blocks import CALL_PAIRS, LONGEST_BLOCK, partition
from verifine.models.network.trie import Tokens, count_distinct, lay_out, shared_length

sequences = st.lists(st.lists(st.integers(0, 2), max_size=6).map(tuple), max_size=7)


def test_a_trie_writes_what_sequences_begin_with_once() -> None:
    trie = lay_out([(7, 8, 1, 4), (7, 8, 2), (7, 8), (9,)])
    assert trie.token_ids == [7, 8, 1, 4, 2, 9]
    assert trie.position_ids == [0, 1, 2, 3, 2, 0]
    # 7 and 8 are seen until 9 begins, 1 and 4 until 2 does.
    assert trie.ends == [5, 5, 4, 4, 5, 6]
    assert trie.paths == ([0, 1, 2, 3], [0, 1, 4], [0, 1], [5])


@given(sequences)
def test_every_sequence_is_found_in_the_trie_and_nothing_is_there_twice(given: list[Tokens]) -> None:
    trie = lay_out(given)
    prefixes = {sequence[: length + 1] for sequence in given for length in range(len(sequence))}
    assert len(trie.token_ids) == len(prefixes) == count_distinct(given)
    for sequence, path in zip(given, trie.paths, strict=True):
        assert tuple(trie.token_ids[place] for place in path) == sequence
        assert [trie.position_ids[place] for place in path] == list(range(len(sequence)))


@given(sequences)
def test_a_token_is_seen_by_itself_and_its_descendants_alone(given: list[Tokens]) -> None:
    trie = lay_out(given)
    past = {place: set(path[: depth + 1]) for path in trie.paths for depth, place in enumerate(path)}
    size = len(trie.token_ids)
    for query, key in product(range(size), range(size)):
        assert (key in past[query]) == (key <= query < trie.ends[key])


@pytest.mark.parametrize(
    ("first", "second", "length"),
    [((), (1,), 0), ((1, 2), (1, 2), 2), ((1, 2), (1, 2, 3), 2), ((1, 2, 3), (1, 4, 3), 1), ((1,), (2,), 0)],
)
def test_the_shared_length_is_what_both_begin_with(first: Tokens, second: Tokens, length: int) -> None:
    assert shared_length(first, second) == shared_length(second, first) == length


def check_blocks(ends: Sequence[int]) -> int:
    """Blocks cover the axis in order, and every pair that is seen is in one. Returns the pairs computed."""
    blocks = partition(ends)
    assert [place for block in blocks for place in range(block.start, block.stop)] == list(range(len(ends)))
    computed = 0
    for block in blocks:
        context = [place for start, stop in block.context for place in range(start, stop)]
        assert context == sorted(set(context))
        assert all(start < stop for start, stop in block.context)
        assert block.stop - block.start <= LONGEST_BLOCK
        for query in range(block.start, block.stop):
            seen = {key for key in range(query + 1) if query < ends[key]}
            assert set(context) <= seen, "a context is seen whole"
            assert seen <= {*context, *range(block.start, block.stop)}
        computed += (block.stop - block.start) * (len(context) + block.stop - block.start)
    return computed


@given(sequences)
def test_blocks_have_every_pair_that_is_seen(given: list[Tokens]) -> None:
    check_blocks(lay_out(given).ends)


def group(prompt: int, completions: int, length: int) -> list[int]:
    """The ends of a prompt with completions that share nothing."""
    total = prompt + completions * length
    return [total] * prompt + [prompt + (i + 1) * length for i in range(completions) for _ in range(length)]


def test_short_completions_attend_together_and_long_ones_alone() -> None:
    assert len(partition(group(prompt=40, completions=8, length=10))) == 1
    blocks = partition(group(prompt=40, completions=8, length=300))
    assert len(blocks) == 9
    assert {block.context for block in blocks[1:]} == {((0, 40),)}


def test_what_is_masked_out_never_costs_more_than_the_calls_it_saves() -> None:
    for prompt, length in product((10, 100, 400), (5, 50, 200)):
        ends = group(prompt=prompt, completions=8, length=length)
        one_by_one = prompt * prompt + 8 * length * (prompt + length) + 9 * CALL_PAIRS
        assert check_blocks(ends) + len(partition(ends)) * CALL_PAIRS <= one_by_one


def test_a_long_chain_is_cut_so_that_little_of_it_is_masked() -> None:
    blocks = partition([2000] * 2000)
    assert [(block.start, block.stop) for block in blocks] == [(0, 500), (500, 1000), (1000, 1500), (1500, 2000)]
    # What touches is one range: nothing is copied to be joined.
    assert [block.context for block in blocks] == [(), ((0, 500),), ((0, 1000),), ((0, 1500),)]


def test_a_deep_chain_of_prefixes_needs_no_deep_recursion() -> None:
    trie = lay_out([(*tuple(range(length)), 7, 7) for length in range(1, 1500)])
    blocks = partition(trie.ends)
    assert blocks[-1].stop == len(trie.ends)
