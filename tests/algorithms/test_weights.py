from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from verifine.algorithms import constant_length, prompt_mean, rollout_sum, sequence_mean, token_mean

ROW = torch.tensor([0, 0, 0, 2, 5, 5])
"""Three rollouts of 3, 1 and 2 tokens; rows 1, 3 and 4 are invalid and not on the axis."""


def test_token_mean_gives_every_token_the_same() -> None:
    torch.testing.assert_close(token_mean(ROW), torch.full((6,), 1 / 6))


def test_sequence_mean_gives_every_rollout_the_same() -> None:
    expected = torch.tensor([1 / 9, 1 / 9, 1 / 9, 1 / 3, 1 / 6, 1 / 6])
    torch.testing.assert_close(sequence_mean(ROW), expected)


def test_prompt_mean_gives_every_prompt_the_same() -> None:
    # Groups of 3: rows 0 and 2 are of one prompt, row 5 of another.
    expected = torch.tensor([1 / 8] * 4 + [1 / 4] * 2)
    torch.testing.assert_close(prompt_mean(ROW, 3), expected)


def test_constant_length_divides_by_what_a_rollout_may_take() -> None:
    torch.testing.assert_close(constant_length(ROW, 10), torch.full((6,), 1 / 30))


def test_rollout_sum_divides_by_rollouts_alone() -> None:
    torch.testing.assert_close(rollout_sum(ROW), torch.full((6,), 1 / 3))


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_weights_add_up_to_one(lengths: list[int]) -> None:
    row = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    for weights in (token_mean(row), sequence_mean(row), prompt_mean(row, 2)):
        torch.testing.assert_close(weights.sum(), torch.tensor(1.0))


def test_an_empty_batch_has_no_weights() -> None:
    empty = torch.tensor([], dtype=torch.long)
    for weights in (
        token_mean(empty),
        sequence_mean(empty),
        prompt_mean(empty, 2),
        constant_length(empty, 10),
        rollout_sum(empty),
    ):
        assert weights.shape == (0,)
