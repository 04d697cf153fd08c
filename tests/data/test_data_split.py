from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifine.data import hold_out
from verifine.types import Example


def examples(count: int) -> list[Example]:
    return [Example(id=str(index), messages=(), item={}) for index in range(count)]


@pytest.mark.parametrize(
    ("count", "size", "held"),
    [(0, 64, 0), (19, 64, 0), (20, 64, 2), (20, 1, 1), (29, 64, 2), (640, 64, 64), (5000, 64, 64), (5000, 0, 0)],
)
def test_a_tenth_is_held_out_but_no_more_than_asked(count: int, size: int, held: int) -> None:
    train, held_out = hold_out(examples(count), seed=0, size=size)
    assert (len(train), len(held_out)) == (count - held, held)


@given(st.integers(min_value=0, max_value=200), st.integers(min_value=0, max_value=99), st.integers(0, 30))
def test_every_example_is_on_one_side_and_in_its_order(count: int, seed: int, size: int) -> None:
    train, held_out = hold_out(examples(count), seed, size)
    for side in (train, held_out):
        assert side == sorted(side, key=lambda example: int(example.id))
    assert sorted(train + held_out, key=lambda example: int(example.id)) == examples(count)


def test_the_seed_decides_which() -> None:
    held = [tuple(example.id for example in hold_out(examples(500), seed, 20)[1]) for seed in (1, 1, 2)]
    assert held[0] == held[1] != held[2]
