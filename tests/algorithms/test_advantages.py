from __future__ import annotations

import pytest
import torch
from torch import Tensor

from verifine.algorithms import (
    batch_scaled,
    gae,
    group_centered,
    group_normalized,
    leave_one_out,
    returns_to_go,
    whitened,
)


def exact(numbers: list[float] | list[list[float]]) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


def everyone(rewards: Tensor) -> Tensor:
    return torch.ones_like(rewards, dtype=torch.bool)


def test_group_1_0_0_1_is_normalized_to_the_worked_number() -> None:
    rewards = torch.tensor([[1.0, 0.0, 0.0, 1.0]], dtype=torch.float64)
    advantages = group_normalized(rewards, torch.ones_like(rewards, dtype=torch.bool))
    expected = 0.5 / ((1 / 3) ** 0.5 + 1e-4)
    assert expected == pytest.approx(0.86588, abs=1e-5)
    torch.testing.assert_close(advantages, torch.tensor([[1.0, -1.0, -1.0, 1.0]], dtype=torch.float64) * expected)


def test_group_1_0_0_1_left_one_out_has_the_worked_number() -> None:
    rewards = exact([[1.0, 0.0, 0.0, 1.0]])
    expected = exact([[1.0, -1.0, -1.0, 1.0]]) * 2 / 3
    torch.testing.assert_close(leave_one_out(rewards, everyone(rewards)), expected, rtol=1e-6, atol=0)


def test_four_tens_and_four_zeros_have_the_worked_numbers() -> None:
    rewards = exact([[10.0] * 4 + [0.0] * 4])
    signs = exact([1.0] * 4 + [-1.0] * 4)
    torch.testing.assert_close(
        leave_one_out(rewards, everyone(rewards))[0], signs * 40 / 7, rtol=1e-6, atol=0
    )  # 5.7143
    torch.testing.assert_close(whitened(group_centered(rewards, everyone(rewards))[0]), signs)


def test_rewards_1_2_3_are_compared_with_the_mean_of_the_others() -> None:
    rewards = exact([[1.0, 2.0, 3.0]])
    torch.testing.assert_close(leave_one_out(rewards, everyone(rewards)), exact([[-1.5, 0.0, 1.5]]))


def test_a_batch_is_scaled_by_the_spread_of_all_its_rewards() -> None:
    rewards = exact([[0.0, 2.0], [4.0, 6.0]])
    # Mean 3, squares 9 + 1 + 1 + 9 = 20, over n - 1 = 3.
    expected = exact([[-1.0, 1.0], [-1.0, 1.0]]) / ((20 / 3) ** 0.5 + 1e-4)
    torch.testing.assert_close(batch_scaled(rewards, everyone(rewards)), expected)


@pytest.mark.parametrize(
    ("gamma", "lam", "expected"),
    [(1.0, 1.0, [6.0, 5.0, 3.0]), (0.5, 1.0, [2.75, 3.5, 3.0]), (1.0, 0.5, [3.625, 4.25, 3.0])],
)
def test_generalized_advantages_lead_to_the_worked_returns(gamma: float, lam: float, expected: list[float]) -> None:
    rewards, values = exact([1.0, 2.0, 3.0]), exact([0.5, 1.0, 1.5])
    advantages, returns = gae(rewards, values, torch.zeros(3, dtype=torch.long), gamma, lam)
    torch.testing.assert_close(returns, exact(expected))
    torch.testing.assert_close(advantages, exact(expected) - values)


def test_a_rollouts_estimates_know_nothing_of_its_neighbours() -> None:
    row = torch.tensor([0, 0, 3, 3, 3])
    rewards, values = exact([1.0, 2.0, 1.0, 2.0, 3.0]), exact([0.3, 0.6, 0.5, 1.0, 1.5])
    _, returns = gae(rewards, values, row, 1.0, 1.0)
    torch.testing.assert_close(returns, exact([3.0, 2.0, 6.0, 5.0, 3.0]))


def test_returns_to_go_have_the_worked_numbers() -> None:
    returns = returns_to_go(exact([1.0, 2.0, 3.0]), torch.zeros(3, dtype=torch.long), 0.5)
    torch.testing.assert_close(returns, exact([2.75, 3.5, 3.0]))


def test_whitening_divides_by_the_spread_of_the_population() -> None:
    # Mean 2, squares 4 + 0 + 4 over n = 3.
    torch.testing.assert_close(whitened(exact([0.0, 2.0, 4.0])), exact([-1.0, 0.0, 1.0]) * 1.5**0.5)


def test_an_invalid_rollout_does_not_count() -> None:
    rewards = torch.tensor([[1.0, 0.0, 100.0, 0.0]])
    valid = torch.tensor([[True, True, False, True]])
    without = group_normalized(torch.tensor([[1.0, 0.0, 0.0]]), torch.ones(1, 3, dtype=torch.bool))
    advantages = group_normalized(rewards, valid)
    assert advantages[0, 2] == 0
    torch.testing.assert_close(advantages[0, [0, 1, 3]], without[0])


def test_an_invalid_reward_that_is_not_a_number_does_not_spread() -> None:
    rewards = torch.tensor([[1.0, float("nan"), 0.0]])
    advantages = group_normalized(rewards, torch.tensor([[True, False, True]]))
    assert torch.isfinite(advantages).all()
    assert advantages[0, 0] > 0


def test_a_group_with_one_valid_rollout_has_no_advantage() -> None:
    advantages = group_normalized(torch.tensor([[1.0, 5.0]]), torch.tensor([[True, False]]))
    assert (advantages == 0).all()


def test_returns_stay_within_their_rollout_whatever_its_number() -> None:
    row = torch.tensor([1, 1, 0])
    assert returns_to_go(torch.tensor([0.0, 5.0, 7.0]), row, 1.0).tolist() == [5, 5, 7]
    assert gae(torch.tensor([0.0, 5.0, 7.0]), torch.zeros(3), row, 1.0, 1.0)[0].tolist() == [5, 5, 7]
