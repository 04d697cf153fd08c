from __future__ import annotations

import pytest
import torch

from verifine.algorithms import (
    cispo,
    clipped,
    reinforce,
    sequence_clipped,
    sequence_log_ratio,
    truncated_importance,
    value_loss,
)


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


def test_a_rollouts_tokens_share_one_ratio() -> None:
    ratios = at_ratios([0.5, 1.0, 1.5])
    advantages = torch.tensor([1.0, -1.0, 2.0], dtype=torch.float64)
    row = torch.zeros(3, dtype=torch.long)
    ratio = sequence_log_ratio(ratios, torch.zeros_like(ratios), row).exp()
    torch.testing.assert_close(ratio, torch.full_like(ratio, 0.75 ** (1 / 3)))  # .9086
    terms = sequence_clipped(ratios, torch.zeros_like(ratios), advantages, row, 0.2, 0.2)
    assert terms.mean().item() == pytest.approx(-0.6057, abs=1e-4)


def test_a_rollout_beyond_its_clip_has_no_gradient_in_any_token() -> None:
    logprobs = at_ratios([1.0, 1.5, 0.9]).requires_grad_()
    row = torch.tensor([0, 0, 2])
    terms = sequence_clipped(
        logprobs, torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64), row, 0.2, 0.2
    )
    (gradient,) = torch.autograd.grad(terms.sum(), logprobs)
    torch.testing.assert_close(terms, torch.tensor([-1.2, -1.2, -0.9], dtype=torch.float64))
    torch.testing.assert_close(gradient, torch.tensor([0.0, 0.0, -0.9], dtype=torch.float64))


def test_cispo_caps_the_ratio_and_keeps_the_gradient() -> None:
    logprobs = at_ratios([0.5, 4.0]).requires_grad_()
    advantages = torch.tensor([2.0, 1.0], dtype=torch.float64)
    terms = cispo(logprobs, torch.zeros(2, dtype=torch.float64), advantages, 1.0)
    (gradient,) = torch.autograd.grad(terms.sum(), logprobs)
    torch.testing.assert_close(gradient, torch.tensor([-1.0, -2.0], dtype=torch.float64))


def test_reinforce_is_the_advantage_times_the_logprob() -> None:
    assert reinforce(torch.tensor([-2.0, -0.5]), torch.tensor([3.0, -1.0])).tolist() == [6.0, -0.5]


def test_a_critic_is_judged_by_the_worse_of_its_value_and_its_clipped_value() -> None:
    values, old = torch.tensor([1.0, 1.0, 0.1]), torch.zeros(3)
    returns = torch.tensor([3.0, 0.5, 0.0])
    # (1 - 3)^2 or (.2 - 3)^2; (1 - .5)^2 or (.2 - .5)^2; .1 is within .2 of 0.
    torch.testing.assert_close(value_loss(values, old, returns, 0.2), torch.tensor([3.92, 0.125, 0.005]))


def test_the_importance_factor_is_capped_and_constant() -> None:
    old = at_ratios([0.5, 1.0, 3.0]).requires_grad_()
    factor = truncated_importance(old, torch.zeros(3, dtype=torch.float64), 2.0)
    torch.testing.assert_close(factor, torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64))
    assert not factor.requires_grad
