from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from verifine.rollout.native.shared_rows import SharedRow, places_with_fewest_copies, split
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
    # Of four things the second ended, the first goes on in two ways, and one comes from elsewhere.
    assert places_with_fewest_copies([0, 0, 2, 3, None]) == [0, 1, 2, 3, 4]


def test_the_last_moves_into_a_gap() -> None:
    assert places_with_fewest_copies([0, 2]) == [0, 1]
    assert places_with_fewest_copies([None, 0]) == [1, 0]


@given(st.lists(st.integers(0, 9) | st.none(), max_size=12))
def test_nothing_moves_that_could_stay_and_there_are_no_gaps(old: list[int | None]) -> None:
    places = places_with_fewest_copies(old)
    assert sorted(places) == list(range(len(old)))
    staying = [before for before, after in zip(old, places, strict=True) if before == after]
    assert len(staying) == len({before for before in old if before is not None and before < len(old)})
