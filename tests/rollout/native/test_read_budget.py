from __future__ import annotations

from verifine.rollout.native.read_budget import ReadBudget


def test_what_is_read_together_fits() -> None:
    budget = ReadBudget(5)
    assert budget.takes([(1, 2, 3)])
    assert not budget.takes([(4, 5, 6)])
    assert budget.takes([(4, 5)]), "what was refused is not counted"
    assert not budget.takes([(6,)])


def test_the_first_is_read_however_long_it_is() -> None:
    budget = ReadBudget(5)
    assert budget.takes([(1,) * 9, (2,) * 9])
    assert not budget.takes([(3,)])


def test_a_beginning_that_neighbours_share_is_counted_once() -> None:
    budget = ReadBudget(6)
    assert budget.takes([(1, 2, 3), (1, 2, 3, 4)])
    assert budget.takes([(1, 2, 5, 6)])
    assert budget.takes([(1, 2)])
    assert not budget.takes([(1, 3)])
