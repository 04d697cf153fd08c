from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifine.data import hold_out

fingerprints = st.lists(st.integers(min_value=0, max_value=30), max_size=120)
"""Few values, so many examples share one."""


@pytest.mark.parametrize(
    ("count", "size", "held"),
    [(0, 64, 0), (19, 64, 0), (20, 64, 2), (20, 1, 1), (29, 64, 2), (640, 64, 64), (5000, 64, 64), (5000, 0, 0)],
)
def test_a_tenth_is_held_out_but_no_more_than_asked(count: int, size: int, held: int) -> None:
    train, held_out = hold_out(range(count), seed=0, size=size)
    assert (len(train), len(held_out)) == (count - held, held)


@given(fingerprints, st.integers(min_value=0, max_value=99), st.integers(0, 30))
def test_every_example_is_on_one_side_and_in_its_order(prints: list[int], seed: int, size: int) -> None:
    train, held_out = hold_out(prints, seed, size)
    for side in (train, held_out):
        assert list(side) == sorted(side)
    assert sorted([*train, *held_out]) == list(range(len(prints)))


@given(fingerprints, st.integers(min_value=0, max_value=99), st.integers(0, 30))
def test_what_is_held_out_is_never_trained_on(prints: list[int], seed: int, size: int) -> None:
    train, held_out = hold_out(prints, seed, size)
    assert not {prints[index] for index in train} & {prints[index] for index in held_out}
    assert len(held_out) <= min(size, len(prints) // 10)


def test_a_file_given_twice_is_split_into_pairs() -> None:
    prints = [*range(100), *range(100)]
    _, held_out = hold_out(prints, seed=3, size=64)
    assert len(held_out) == 20
    assert [index + 100 for index in held_out[:10]] == list(held_out[10:])


def test_what_does_not_fit_stays_in_training() -> None:
    train, held_out = hold_out([7] * 50, seed=0, size=64)
    assert (len(train), len(held_out)) == (50, 0)


def test_the_seed_decides_which() -> None:
    held = [tuple(hold_out(range(500), seed, 20)[1]) for seed in (1, 1, 2)]
    assert held[0] == held[1] != held[2]


def test_the_largest_fingerprints_are_told_apart() -> None:
    prints = [2**64 - 1 - index for index in range(100)]
    random.Random(0).shuffle(prints)
    assert hold_out(prints, 5, 64) == hold_out(range(100), 5, 64)
