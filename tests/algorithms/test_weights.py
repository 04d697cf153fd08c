from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from verifine.algorithms import sequence_mean, token_mean

ROW = torch.tensor([0, 0, 0, 2, 5, 5])
"""Three rollouts of 3, 1 and 2 tokens; rows 1, 3 and 4 are invalid and not on the axis."""


def test_token_mean_gives_every_token_the_same() -> None:
    torch.testing.assert_close(token_mean(ROW), torch.full((6,), 1 / 6))


def test_sequence_mean_gives_every_rollout_the_same() -> None:
    expected = torch.tensor([1 / 9, 1 / 9, 1 / 9, 1 / 3, 1 / 6, 1 / 6])
    torch.testing.assert_close(sequence_mean(ROW), expected)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_weights_add_up_to_one(lengths: list[int]) -> None:
    row = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    for weights in (token_mean(row), sequence_mean(row)):
        torch.testing.assert_close(weights.sum(), torch.tensor(1.0))


def test_an_empty_batch_has_no_weights() -> None:
    empty = torch.tensor([], dtype=torch.long)
    assert token_mean(empty).shape == sequence_mean(empty).shape == (0,)
