from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifine.data import PromptSampler
from verifine.data.randomness import random_for
from verifine.errors import DataError
from verifine.types import Example

counts = st.integers(min_value=0, max_value=40)
sizes = st.integers(min_value=1, max_value=12)
seeds = st.integers(min_value=0, max_value=2**63)


def examples(count: int) -> list[Example]:
    return [Example(id=str(index), messages=(), item={}) for index in range(count)]


@given(sizes, seeds, counts, counts, counts)
def test_drawing_in_two_parts_is_drawing_at_once(size: int, seed: int, start: int, first: int, second: int) -> None:
    whole = PromptSampler(examples(size), seed).draw(start, first + second)
    sampler = PromptSampler(examples(size), seed)
    late = sampler.draw(start + first, second)
    assert sampler.draw(start, first) + late == whole


@given(sizes, seeds, st.integers(min_value=0, max_value=5))
def test_each_epoch_is_a_permutation(size: int, seed: int, epoch: int) -> None:
    draws = PromptSampler(examples(size), seed).draw(epoch * size, size)
    assert sorted(int(draw.example.id) for draw in draws) == list(range(size))
    assert {draw.epoch for draw in draws} == {epoch}


def test_ids_tell_the_epochs_apart() -> None:
    draws = PromptSampler(examples(3), seed=0).draw(0, 9)
    assert sorted(draw.id for draw in draws) == ["0", "0@1", "0@2", "1", "1@1", "1@2", "2", "2@1", "2@2"]
    assert all(draw.id.partition("@")[0] == draw.example.id for draw in draws)


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    def order(seed: int, epoch: int) -> tuple[str, ...]:
        return tuple(draw.example.id for draw in PromptSampler(examples(50), seed).draw(50 * epoch, 50))

    orders = {order(seed, epoch) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9


def test_only_the_examples_that_are_drawn_are_read() -> None:
    read: list[int] = []

    class Watched(list[Example]):
        def __getitem__(self, index: Any) -> Any:
            read.append(index)
            return super().__getitem__(index)

    PromptSampler(Watched(examples(1000)), seed=0).draw(500, 3)
    assert len(read) == 3


def half_the_odd_ones(example_id: str) -> float:
    return 0.5 if int(example_id) % 2 else 1.0


@given(sizes, seeds, counts, counts)
def test_with_a_chance_of_1_the_order_is_that_of_drawing(size: int, seed: int, position: int, count: int) -> None:
    sampler = PromptSampler(examples(size), seed)
    selection = sampler.select(position, count, lambda _: 1.0)
    assert list(selection.draws) == sampler.draw(position, count)
    assert (selection.skipped, selection.position) == ((), position + count)


@given(sizes, seeds, counts, counts, counts)
def test_selecting_in_two_parts_is_selecting_at_once(size: int, seed: int, start: int, first: int, second: int) -> None:
    sampler = PromptSampler(examples(size), seed)
    whole = sampler.select(start, first + second, half_the_odd_ones)
    early = sampler.select(start, first, half_the_odd_ones)
    late = PromptSampler(examples(size), seed).select(early.position, second, half_the_odd_ones)
    assert early.draws + late.draws == whole.draws
    assert early.skipped + late.skipped == whole.skipped
    assert late.position == whole.position


def test_what_is_selected_and_what_is_left_out_is_the_order_of_drawing() -> None:
    sampler = PromptSampler(examples(9), seed=3)
    selection = sampler.select(4, 50, half_the_odd_ones)
    passed = sampler.draw(4, selection.position - 4)
    assert sorted([*selection.draws, *selection.skipped], key=passed.index) == passed
    assert all(int(draw.example.id) % 2 for draw in selection.skipped)
    assert len({draw.id for draw in selection.draws}) == 50


def test_an_example_is_asked_as_often_as_its_chance_says_and_never_given_up() -> None:
    chances = {"0": 1.0, "1": 0.5, "2": 0.05}
    selection = PromptSampler(examples(3), seed=0).select(0, 4000, chances.__getitem__)
    asked = [sum(draw.example.id == name for draw in selection.draws) for name in chances]
    epochs = selection.position / 3
    assert [count / epochs for count in asked] == pytest.approx(list(chances.values()), abs=0.02)
    # Compared with all prompts alike, the rare one is asked at least as often as the floor says.
    assert asked[2] / (4000 / 3) > 0.05


def test_no_examples_are_refused() -> None:
    with pytest.raises(DataError, match="no examples to draw from"):
        PromptSampler([], seed=0)


def test_random_numbers_are_those_of_their_purpose_in_every_process() -> None:
    program = "from verifine.data.randomness import random_for; print(random_for('epoch', 7, 0).random())"
    printed = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": salt},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for salt in ("1", "2")
    }
    assert printed == {f"{random_for('epoch', 7, 0).random()}\n"}


def test_purposes_do_not_run_into_each_other() -> None:
    purposes: list[tuple[str | int, ...]] = [("a", 1, 2), ("a", 12), ("a", "1", 2), ("a1", 2), ("b", 1, 2)]
    assert len({random_for(*purpose).random() for purpose in purposes}) == len(purposes)
