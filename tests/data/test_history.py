"""What is remembered of prompts, and how likely they are asked again."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from verifine.data import PromptCounts, PromptHistory, asking_chance
from verifine.data.history import DECAY, MOST_PROMPTS, UNKNOWN

counts = st.builds(PromptCounts, right=st.floats(0, 500), wrong=st.floats(0, 500))


def after(*groups: tuple[int, int]) -> PromptCounts:
    """What is known after groups of so many right and wrong answers."""
    history = PromptHistory()
    for right, wrong in groups:
        history = history.note([("x", PromptCounts(right=right, wrong=wrong))])
    return history.of("x")


def chance_by_integration(known: PromptCounts, group_size: int, steps: int = 20_000) -> float:
    """The same as a sum over success rates p = sin^2 t, which takes the ends off the density of the prior."""
    angles = [(i + 0.5) * math.pi / 2 / steps for i in range(steps)]
    rates = [math.sin(t) ** 2 for t in angles]
    mixed = [1 - p**group_size - (1 - p) ** group_size for p in rates]
    # Beta(r + 1/2, w + 1/2): p^(r - 1/2) (1 - p)^(w - 1/2) dp = 2 sin^2r cos^2w dt
    density = [math.pow(math.sin(t), 2 * known.right) * math.pow(math.cos(t), 2 * known.wrong) for t in angles]
    known_mixed = sum(d * m for d, m in zip(density, mixed, strict=True)) / sum(density)
    return min(known_mixed / (sum(mixed) / steps), 1.0)


def test_old_answers_count_less() -> None:
    known = after((8, 0), (2, 6))
    assert known == PromptCounts(right=DECAY * 8 + 2, wrong=6)
    assert known.rate == pytest.approx((6.4 + 2.5) / (6.4 + 2 + 6 + 1))
    assert UNKNOWN.rate == 0.5


def test_a_rate_is_never_0_or_1_however_often_it_is_seen() -> None:
    assert 0 < after(*[(0, 8)] * 200).rate < 0.02
    assert 0.98 < after(*[(8, 0)] * 200).rate < 1


@pytest.mark.parametrize("group_size", [2, 4, 8, 16])
@pytest.mark.parametrize("groups", [((8, 0),), ((0, 8),), ((8, 0), (8, 0)), ((7, 1),), ((3, 5), (8, 0)), ((1, 0),)])
def test_a_chance_is_the_posterior_one_of_a_mixed_group(groups: tuple[tuple[int, int], ...], group_size: int) -> None:
    known = after(*groups)
    assert asking_chance(known, group_size, 0.05) == pytest.approx(chance_by_integration(known, group_size), rel=1e-3)


def test_prompts_are_asked_less_the_longer_they_are_decided() -> None:
    right = [asking_chance(after(*[(8, 0)] * visits), 8, 0.05) for visits in range(12)]
    assert right[0] == 1.0
    assert right == sorted(right, reverse=True)
    assert [round(chance, 2) for chance in right[1:4]] == [0.47, 0.32, 0.26]
    wrong = [asking_chance(after(*[(0, 8)] * visits), 8, 0.05) for visits in range(12)]
    assert right == pytest.approx(wrong)
    assert asking_chance(after((8, 0), (7, 1)), 8, 0.05) > 2 * asking_chance(after((8, 0), (8, 0)), 8, 0.05)
    assert asking_chance(after((4, 4)), 8, 0.05) == 1.0


@given(counts, st.integers(2, 64), st.floats(0.05, 1))
def test_a_chance_is_never_below_the_floor(known: PromptCounts, group_size: int, floor: float) -> None:
    assert floor <= asking_chance(known, group_size, floor) <= 1
    assert asking_chance(UNKNOWN, group_size, floor) == 1
    assert asking_chance(known, group_size, floor) == pytest.approx(
        asking_chance(PromptCounts(right=known.wrong, wrong=known.right), group_size, floor)
    )


def test_what_was_not_asked_for_the_longest_time_is_forgotten_first() -> None:
    one = PromptCounts(right=1)
    full = PromptHistory().note((str(number), one) for number in range(MOST_PROMPTS))
    later = full.note([("0", one), ("new", one), ("newer", one)])
    assert len(later.counts) == MOST_PROMPTS
    assert "1" not in later.counts
    assert "2" not in later.counts
    assert list(later.counts)[-3:] == ["0", "new", "newer"]
    assert later.of("0").right == 1 + DECAY
    assert later.of("1") == UNKNOWN
    assert len(full.counts) == MOST_PROMPTS, "a history does not change"


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), counts), max_size=30))
def test_a_history_written_as_json_is_the_same_history(answered: list[tuple[str, PromptCounts]]) -> None:
    """To the last bit, and in the same order, which decides what is forgotten."""
    history = PromptHistory().note(answered)
    adapter = TypeAdapter(PromptHistory)
    read = adapter.validate_python(json.loads(json.dumps(adapter.dump_python(history, mode="json"))))
    assert read == history
    assert list(read.counts) == list(history.counts)
