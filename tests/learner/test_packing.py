from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from verifine.learner.packing import even_ranges, pack
from verifine.testing.training_batches import make_batch
from verifine.types import FinishReason, Grade, Group, Prompt, Rollout


@pytest.mark.parametrize(
    ("sizes", "limit", "ranges"),
    [
        ([], 10, []),
        ([4, 4, 4, 4], 16, [(0, 4)]),
        # Greedy would take three and leave one.
        ([4, 4, 4, 4], 12, [(0, 2), (2, 4)]),
        ([9, 1, 1, 9], 10, [(0, 2), (2, 4)]),
        # One that is too large stands alone.
        ([2, 30, 2], 10, [(0, 1), (1, 2), (2, 3)]),
        ([5, 5], -3, [(0, 1), (1, 2)]),
    ],
)
def test_ranges_are_few_and_even(sizes: list[int], limit: int, ranges: list[tuple[int, int]]) -> None:
    assert even_ranges(sizes, [0] * len(sizes), limit) == ranges


@given(st.lists(st.integers(1, 20), min_size=1, max_size=12), st.integers(1, 60))
def test_ranges_cover_everything_in_order_within_the_limit(sizes: list[int], limit: int) -> None:
    ranges = even_ranges(sizes, [0] * len(sizes), limit)
    assert [index for a, b in ranges for index in range(a, b)] == list(range(len(sizes)))
    assert all(sum(sizes[a:b]) <= limit or b - a == 1 for a, b in ranges)
    # No fewer ranges would do: two neighbours never fit into one where the first is filled greedily.
    fewest, used = 1, 0
    for size in sizes:
        if used and used + size > limit:
            fewest, used = fewest + 1, 0
        used += size
    assert len(ranges) == fewest


def test_what_neighbours_share_is_counted_once_in_a_range_and_again_in_the_next() -> None:
    # 10 alone, 10 + 2 with the second, 10 + 2 + 2 with the third; the fourth shares nothing.
    assert even_ranges([10, 10, 10, 10], [0, 8, 8, 0], 14) == [(0, 3), (3, 4)]
    # Without the third, which would be 14; alone it is 10 again.
    assert even_ranges([10, 10, 10], [0, 8, 8], 13) == [(0, 2), (2, 3)]


def test_a_group_over_the_budget_is_split_where_its_answers_differ_most() -> None:
    prompt = Prompt(id="p", token_ids=(1, 2, 3, 4), item={})
    texts = [(5, 6, 7, 8), (9, 6, 7, 8), (5, 6, 7, 9), (9, 6, 7, 9)]
    batch = make_batch([graded(prompt, texts)])
    (whole,) = pack(batch, torch.tensor([True]), 100, torch.device("cpu"))
    # The prompt, 5 6 7 and 9 6 7.
    assert len(whole.tree.token_ids) == 4 + 3 + 3
    parts = pack(batch, torch.tensor([True]), 7, torch.device("cpu"))
    assert [part.tree.token_ids.tolist() for part in parts] == [[1, 2, 3, 4, 5, 6, 7], [1, 2, 3, 4, 9, 6, 7]]
    for micro in (whole, *parts):
        assert batch.tokens[micro.index].tolist() == micro.tree.spread(micro.tree.targets).tolist()
    assert sorted(index for part in parts for index in part.index.tolist()) == list(range(16))


def graded(prompt: Prompt, answers: Sequence[tuple[int, ...]]) -> Group:
    rollouts = tuple(
        Rollout(
            prompt=prompt,
            token_ids=answer,
            behaviour_logprobs=(-1.0,) * len(answer),
            text="",
            finish_reason=FinishReason.STOP,
        )
        for answer in answers
    )
    return Group(prompt=prompt, rollouts=rollouts).graded([Grade(score=1.0)] * len(answers))
