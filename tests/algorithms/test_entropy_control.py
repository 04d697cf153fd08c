from __future__ import annotations

from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifine.algorithms.entropy_control import EntropyState, next_bonus, next_entropy_state
from verifine.config import EntropyControlConfig

SETTINGS = EntropyControlConfig(target=0.5, start_steps=2, step=0.01, highest=0.03)


def after(*entropies: float | None) -> EntropyState:
    return reduce(lambda state, entropy: next_entropy_state(state, entropy, SETTINGS), entropies, EntropyState())


def test_the_target_is_a_share_of_the_first_steps_mean() -> None:
    assert after().target(SETTINGS) is None
    assert after(1.0).target(SETTINGS) is None
    assert after(1.0, 2.0).target(SETTINGS) == pytest.approx(0.75)
    assert after(1.0, 2.0, 5.0, 0.1).target(SETTINGS) == pytest.approx(0.75), "later steps do not move it"


def test_the_bonus_rises_under_the_target_and_falls_over_it() -> None:
    assert after(1.0, 1.0).bonus == 0
    assert after(1.0, 1.0, 0.4).bonus == pytest.approx(0.01)
    assert after(1.0, 1.0, 0.4, 0.4, 0.6).bonus == pytest.approx(0.01)
    assert after(1.0, 1.0, 0.4, 0.5).bonus == pytest.approx(0.01), "at the target it stays"


def test_a_bonus_that_came_down_to_nothing_rises_again() -> None:
    assert after(1.0, 1.0, 0.4, 0.9, 0.9, 0.9).bonus == 0
    assert after(1.0, 1.0, 0.4, 0.9, 0.9, 0.9, 0.4).bonus == pytest.approx(0.01)


def test_a_step_without_an_answer_changes_nothing() -> None:
    assert after(1.0, None, 1.0, 0.4) == after(1.0, 1.0, 0.4)
    assert after(1.0, 1.0, 0.4, None) == after(1.0, 1.0, 0.4)


@given(
    entropies=st.lists(st.floats(0, 10)),
    target=st.floats(0, 5),
    step=st.floats(1e-6, 1),
    highest=st.floats(1e-6, 1),
)
def test_the_bonus_stays_within_its_bounds_and_moves_towards_the_target(
    entropies: list[float], target: float, step: float, highest: float
) -> None:
    bonus = 0.0
    for entropy in entropies:
        before, bonus = bonus, next_bonus(bonus, entropy, target, step, highest)
        assert 0 <= bonus <= highest
        assert bonus >= before if entropy < target else bonus <= before
