from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from verifine.algorithms import clipped


def at_ratios(ratios: list[float]) -> torch.Tensor:
    return torch.tensor(ratios, dtype=torch.float64).log()


def test_clipped_has_the_worked_mean() -> None:
    ratios = at_ratios([0.5, 1.0, 1.5])
    terms = clipped(ratios, torch.zeros_like(ratios), torch.tensor([1.0, -1.0, 2.0], dtype=torch.float64), 0.2, 0.2)
    assert terms.mean().item() == pytest.approx(-0.6333, abs=1e-4)


def test_dual_clip_has_the_worked_terms() -> None:
    ratios = at_ratios([0.5, 1.0, 10.0])
    advantages = torch.tensor([1.0, -1.0, -4.0], dtype=torch.float64)
    terms = clipped(ratios, torch.zeros_like(ratios), advantages, 0.2, 0.2, dual=3.0)
    torch.testing.assert_close(terms, torch.tensor([-0.5, 1.0, 12.0], dtype=torch.float64))


def test_clip_higher_lets_a_likelier_good_token_earn_up_to_its_bound() -> None:
    ratio = at_ratios([1.25, 1.4])
    advantages = torch.ones(2, dtype=torch.float64)
    terms = clipped(ratio, torch.zeros_like(ratio), advantages, 0.2, 0.28)
    torch.testing.assert_close(terms, torch.tensor([-1.25, -1.28], dtype=torch.float64))


@pytest.mark.parametrize(
    ("ratio", "advantage", "moves"), [(1.3, 1.0, False), (1.3, -1.0, True), (0.7, 1.0, True), (0.7, -1.0, False)]
)
def test_a_token_beyond_the_clip_has_no_gradient_where_it_would_go_further(
    ratio: float, advantage: float, moves: bool
) -> None:
    logprobs = at_ratios([ratio]).requires_grad_()
    terms = clipped(
        logprobs, torch.zeros(1, dtype=torch.float64), torch.tensor([advantage], dtype=torch.float64), 0.2, 0.2
    )
    (gradient,) = torch.autograd.grad(terms.sum(), logprobs)
    assert (gradient.item() != 0) == moves


@given(st.lists(st.tuples(st.floats(-0.15, 0.15), st.floats(-3, 3)), min_size=1, max_size=5))
def test_gradients_agree_with_finite_differences(pairs: list[tuple[float, float]]) -> None:
    logprobs = torch.tensor([pair[0] for pair in pairs], dtype=torch.float64, requires_grad=True)
    advantages = torch.tensor([pair[1] for pair in pairs], dtype=torch.float64)
    old = torch.zeros_like(advantages)
    assert torch.autograd.gradcheck(lambda x: clipped(x, old, advantages, 0.2, 0.28), logprobs)


def test_at_ratio_one_the_gradient_is_that_of_reinforce() -> None:
    logprobs = torch.tensor([-1.0, -2.0, -0.1], requires_grad=True)
    advantages = torch.tensor([1.0, -2.0, 0.5])
    (gradient,) = torch.autograd.grad(clipped(logprobs, logprobs.detach(), advantages, 0.2, 0.2).sum(), logprobs)
    torch.testing.assert_close(gradient, -advantages)
