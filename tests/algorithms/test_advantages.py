from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from verifine.algorithms import group_centered, group_normalized

rewards_and_validity = st.integers(2, 6).flatmap(
    lambda size: st.lists(
        st.tuples(
            st.lists(st.floats(-10, 10, width=32), min_size=size, max_size=size),
            st.lists(st.booleans(), min_size=size, max_size=size),
        ),
        min_size=1,
        max_size=4,
    )
)


def tensors(groups: list[tuple[list[float], list[bool]]]) -> tuple[Tensor, Tensor]:
    return (
        torch.tensor([rewards for rewards, _ in groups], dtype=torch.float64),
        torch.tensor([valid for _, valid in groups]),
    )


def naive_group_normalized(rewards: Tensor, valid: Tensor, epsilon: float) -> Tensor:
    result = torch.zeros_like(rewards)
    for p in range(rewards.shape[0]):
        kept = [float(rewards[p, g]) for g in range(rewards.shape[1]) if valid[p, g]]
        if len(kept) < 2:
            continue
        mean = sum(kept) / len(kept)
        std = (sum((r - mean) ** 2 for r in kept) / (len(kept) - 1)) ** 0.5
        for g in range(rewards.shape[1]):
            if valid[p, g]:
                result[p, g] = (float(rewards[p, g]) - mean) / (std + epsilon)
    return result


def test_group_1_0_0_1_is_normalized_to_the_worked_number() -> None:
    rewards = torch.tensor([[1.0, 0.0, 0.0, 1.0]], dtype=torch.float64)
    advantages = group_normalized(rewards, torch.ones_like(rewards, dtype=torch.bool))
    expected = 0.5 / ((1 / 3) ** 0.5 + 1e-4)
    assert expected == pytest.approx(0.86588, abs=1e-5)
    torch.testing.assert_close(advantages, torch.tensor([[1.0, -1.0, -1.0, 1.0]], dtype=torch.float64) * expected)


@given(rewards_and_validity)
def test_group_normalized_agrees_with_a_loop(groups: list[tuple[list[float], list[bool]]]) -> None:
    rewards, valid = tensors(groups)
    torch.testing.assert_close(
        group_normalized(rewards, valid), naive_group_normalized(rewards, valid, 1e-4), rtol=1e-9, atol=1e-9
    )


@given(rewards_and_validity, st.floats(-5, 5))
def test_shifting_a_groups_rewards_changes_no_advantage(
    groups: list[tuple[list[float], list[bool]]], shift: float
) -> None:
    rewards, valid = tensors(groups)
    for credit in (group_normalized, group_centered):
        torch.testing.assert_close(credit(rewards + shift, valid), credit(rewards, valid), rtol=1e-6, atol=1e-6)


@given(rewards_and_validity)
def test_scaling_rewards_scales_centered_advantages(groups: list[tuple[list[float], list[bool]]]) -> None:
    rewards, valid = tensors(groups)
    torch.testing.assert_close(group_centered(3 * rewards, valid), 3 * group_centered(rewards, valid))


@pytest.mark.parametrize("value", [0.1, 1 / 3, 0.7, -2.3])
def test_group_with_equal_rewards_has_exactly_zero_advantage(value: float) -> None:
    rewards = torch.full((2, 7), value)
    valid = torch.ones_like(rewards, dtype=torch.bool)
    assert (group_normalized(rewards, valid) == 0).all()
    assert (group_centered(rewards, valid) == 0).all()


def test_an_invalid_rollout_counts_for_nobody() -> None:
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
