from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifine.learner.packing import even_ranges


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
