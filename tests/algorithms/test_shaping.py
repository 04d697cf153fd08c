from __future__ import annotations

import torch

from verifine.algorithms import drop_truncated, format_gate, has_signal, on_last_token, overlong_penalty


def test_the_overlong_penalty_falls_linearly_to_minus_one_at_the_limit() -> None:
    lengths = torch.tensor([[1, 12, 14, 16, 18, 20]])
    expected = torch.tensor([[0.0, 0.0, -0.25, -0.5, -0.75, -1.0]])
    torch.testing.assert_close(overlong_penalty(lengths, max_tokens=20, buffer=8), expected)


def test_a_truncated_rollout_never_scores_above_an_almost_truncated_one() -> None:
    penalties = overlong_penalty(torch.arange(1, 21)[None], max_tokens=20, buffer=8)[0]
    assert (penalties.diff() <= 0).all()
    assert penalties[-1] == penalties.min() == -1


def test_dropping_truncated_rollouts_keeps_invalid_ones_invalid() -> None:
    valid = torch.tensor([[True, True, False]])
    truncated = torch.tensor([[True, False, False]])
    assert drop_truncated(valid, truncated).tolist() == [[False, True, False]]


def test_a_group_has_signal_only_where_valid_rewards_differ() -> None:
    rewards = torch.tensor([[1.0, 0.0], [1.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
    valid = torch.tensor([[True, True], [True, True], [True, False], [False, False]])
    assert has_signal(rewards, valid).tolist() == [True, False, False, False]


def test_a_wrong_format_earns_nothing_and_forgives_nothing() -> None:
    rewards = torch.tensor([[1.0, 1.0, -0.5, 0.0]])
    format_ok = torch.tensor([[True, False, False, False]])
    assert format_gate(rewards, format_ok).tolist() == [[1.0, 0.0, -0.5, 0.0]]


def test_the_reward_is_at_the_last_token_of_each_rollout_that_is_there() -> None:
    rewards = torch.tensor([[1.0, float("nan")], [3.0, 4.0]])
    assert on_last_token(rewards, torch.tensor([0, 0, 2, 3, 3])).tolist() == [0.0, 1.0, 3.0, 0.0, 4.0]
