from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from verifine.rollout.native.shared_rows import SharedRow, arrange_with_fewest_copies, split
from verifine.rollout.scheduler import Request

REQUEST = Request(id="p", token_ids=(1,), keys=(0, 1, 2, 3, 4, 5), max_new_tokens=9, has_ended=lambda _: False)


def test_a_stem_splits_where_its_samples_draw_different_tokens() -> None:
    row = SharedRow(request=REQUEST, samples=[0, 2, 5], token_ids=[7], logprobs=[-0.5])
    children = split(row, [(8, -1.0), (9, -2.0), (8, -1.0)])
    assert [(child.samples, child.token_ids, child.logprobs) for child in children] == [
        ([0, 5], [7, 8], [-0.5, -1.0]),
        ([2], [7, 9], [-0.5, -2.0]),
    ]


def test_the_stem_of_a_single_sample_grows() -> None:
    (child,) = split(SharedRow(request=REQUEST, samples=[3], token_ids=[7], logprobs=[-0.5]), [(8, -1.0)])
    assert (child.samples, child.token_ids, child.logprobs) == ([3], [7, 8], [-0.5, -1.0])


def test_what_goes_on_stays_where_it_is_and_gaps_are_filled() -> None:
    # Of four things the second ended, and the first goes on in two ways.
    arrangement = arrange_with_fewest_copies([0, 0, 2, 3])
    assert arrangement.order == [0, 1, 2, 3]
    assert (arrangement.sources, arrangement.targets) == ([0], [1])


def test_the_last_moves_into_a_gap() -> None:
    arrangement = arrange_with_fewest_copies([0, 2])
    assert arrangement.order == [0, 1]
    assert (arrangement.sources, arrangement.targets) == ([2], [1])


@given(st.lists(st.integers(0, 9), max_size=12).map(sorted))
def test_moving_as_arranged_puts_everything_in_its_place(parents: list[int]) -> None:
    old = [f"thing {place}" for place in range(10)]
    arrangement = arrange_with_fewest_copies(parents)
    new = [*old, *[""] * len(parents)]
    moved = [old[source] for source in arrangement.sources]
    for target, thing in zip(arrangement.targets, moved, strict=True):
        new[target] = thing
    assert sorted(arrangement.order) == list(range(len(parents)))
    assert new[: len(parents)] == [old[parents[index]] for index in arrangement.order]
    # Nothing is moved that could stay, and nothing is read after it was written over.
    assert not set(arrangement.sources) & set(arrangement.targets)
    assert len(arrangement.sources) == len(parents) - len({parent for parent in parents if parent < len(parents)})
