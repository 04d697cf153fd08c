"""What must hold of the mathematics, whatever the numbers: the list in the design of the algorithms."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from random import Random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from verifine.algorithms import (
    batch_scaled,
    cispo,
    clipped,
    group_centered,
    group_normalized,
    k1,
    k2,
    k3,
    leave_one_out,
    reinforce,
    sequence_clipped,
    sequence_mean,
    value_loss,
    whitened,
)
from verifine.algorithms.algorithm import Algorithm, default_algorithm
from verifine.config.recipes import RECIPES
from verifine.testing.conformance import Exercise, make_exercise, work_out
from verifine.testing.oracle_batch import NaiveRollout, random_prompts
from verifine.testing.oracle_rows import NaiveStep

MAX_TOKENS = 10
ESTIMATORS = [group_normalized, group_centered, leave_one_out, batch_scaled]
PRECISIONS = [(torch.float64, 1e-12), (torch.float32, 1e-6)]
"""And the largest difference between two gradients that are the same, as a share of the largest number in them."""

Advantages = Callable[[Tensor, Tensor], Tensor]

seeds = st.integers(0, 2**32 - 1)
rewards_and_validity = st.tuples(st.integers(1, 4), st.integers(2, 6)).flatmap(
    lambda shape: st.tuples(
        st.lists(st.integers(-40, 40), min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]).map(
            lambda eighths: torch.tensor(eighths, dtype=torch.float64).view(shape) / 8
        ),
        st.lists(st.booleans(), min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]).map(
            lambda valid: torch.tensor(valid).view(shape)
        ),
    )
)
"""Rewards in eighths, so that shifting and scaling by powers of two does not round."""


def with_kl(name: str) -> Algorithm:
    """The row with everything that adds to its terms, where it has it."""
    row = default_algorithm(name)
    kl = row.loss.kl and replace(row.loss.kl, beta=0.2)
    return replace(row, loss=replace(row.loss, kl=kl, entropy_bonus=0.01, importance_cap=1.5))


def step(seed: int, prompts: int = 3, group_size: int = 4) -> list[list[NaiveRollout]]:
    return random_prompts(Random(seed), prompts=prompts, group_size=group_size, max_tokens=MAX_TOKENS)


@pytest.mark.parametrize("estimate", [group_normalized, group_centered, leave_one_out])
@given(batch=rewards_and_validity, eighths=st.lists(st.integers(-40, 40), min_size=4, max_size=4))
def test_shifting_a_groups_rewards_changes_no_advantage(
    estimate: Advantages, batch: tuple[Tensor, Tensor], eighths: list[int]
) -> None:
    rewards, valid = batch
    shift = torch.tensor(eighths[: len(rewards)], dtype=torch.float64)[:, None] / 8
    torch.testing.assert_close(estimate(rewards + shift, valid), estimate(rewards, valid), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("estimate", [group_centered, leave_one_out])
@given(batch=rewards_and_validity, scale=st.sampled_from([0.25, 2.0, 8.0]))
def test_scaling_rewards_scales_advantages(estimate: Advantages, batch: tuple[Tensor, Tensor], scale: float) -> None:
    rewards, valid = batch
    torch.testing.assert_close(estimate(scale * rewards, valid), scale * estimate(rewards, valid))


@pytest.mark.parametrize("estimate", [group_normalized, batch_scaled])
@given(batch=rewards_and_validity, scale=st.sampled_from([0.25, 2.0, 8.0]))
def test_scaling_rewards_is_scaling_epsilon_of_normalized_advantages(
    estimate: Callable[[Tensor, Tensor, float], Tensor], batch: tuple[Tensor, Tensor], scale: float
) -> None:
    rewards, valid = batch
    torch.testing.assert_close(
        estimate(scale * rewards, valid, 1e-4), estimate(rewards, valid, 1e-4 / scale), rtol=1e-12, atol=1e-13
    )


@pytest.mark.parametrize("estimate", ESTIMATORS)
@given(batch=rewards_and_validity, seed=seeds)
def test_permuting_prompts_and_rollouts_permutes_advantages(
    estimate: Advantages, batch: tuple[Tensor, Tensor], seed: int
) -> None:
    rewards, valid = batch
    generator = torch.Generator().manual_seed(seed)
    prompts = torch.randperm(rewards.shape[0], generator=generator)[:, None]
    rollouts = torch.stack([torch.randperm(rewards.shape[1], generator=generator) for _ in range(len(rewards))])
    permuted = estimate(rewards[prompts, rollouts], valid[prompts, rollouts])
    torch.testing.assert_close(permuted, estimate(rewards, valid)[prompts, rollouts], rtol=1e-12, atol=1e-13)


@given(batch=rewards_and_validity)
def test_the_whole_batchs_mean_as_baseline_leaves_nothing_over_and_moves_a_group_of_equal_rewards(
    batch: tuple[Tensor, Tensor],
) -> None:
    rewards, valid = batch
    advantages = group_centered(rewards, valid, batch_share=1.0)
    torch.testing.assert_close(advantages.sum(), torch.zeros((), dtype=rewards.dtype), rtol=0, atol=1e-12)
    if valid.any():
        expected = torch.where(valid, rewards - rewards[valid].mean(), torch.zeros_like(rewards))
        torch.testing.assert_close(advantages, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("estimate", ESTIMATORS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(value=st.floats(-1e6, 1e6, width=32), size=st.integers(1, 9), is_valid=st.lists(st.booleans(), min_size=9))
def test_a_group_of_equal_rewards_has_exactly_zero_advantage(
    estimate: Advantages, dtype: torch.dtype, value: float, size: int, is_valid: list[bool]
) -> None:
    rewards = torch.full((2, size), value, dtype=dtype)
    rewards[1] = torch.arange(size)
    valid = torch.ones_like(rewards, dtype=torch.bool)
    valid[0] = torch.tensor(is_valid[:size])
    assert (estimate(rewards, valid)[0] == 0).all()


@given(value=st.floats(-1e6, 1e6, width=32), size=st.integers(1, 50))
def test_equal_advantages_whiten_to_exactly_zero(value: float, size: int) -> None:
    assert (whitened(torch.full((size,), value)) == 0).all()


@pytest.mark.parametrize("estimate", [group_normalized, group_centered, leave_one_out])
@given(batch=rewards_and_validity)
def test_an_invalid_rollout_only_makes_its_group_smaller(estimate: Advantages, batch: tuple[Tensor, Tensor]) -> None:
    rewards, valid = batch
    advantages = estimate(rewards.where(valid, torch.nan), valid)
    assert (advantages[~valid] == 0).all()
    for p in range(len(rewards)):
        kept = rewards[p, valid[p]][None]
        if kept.numel():
            alone = estimate(kept, torch.ones_like(kept, dtype=torch.bool))[0]
            torch.testing.assert_close(advantages[p, valid[p]], alone, rtol=1e-12, atol=1e-13)


def by_rollout(
    answer: NaiveStep, prompts: list[list[NaiveRollout]]
) -> dict[NaiveRollout, tuple[list[float], list[float]]]:
    """The advantages and the gradient of every rollout that is on the axis."""
    told: dict[NaiveRollout, tuple[list[float], list[float]]] = {}
    for i, advantage, slope in zip(answer.row, answer.advantages, answer.gradient, strict=True):
        group = prompts[answer.kept_prompts[i // len(prompts[0])]]
        advantages, gradient = told.setdefault(group[i % len(group)], ([], []))
        advantages.append(advantage)
        gradient.append(slope)
    return told


@pytest.mark.parametrize("name", RECIPES)
@given(seed=seeds)
@settings(max_examples=25)
def test_permuting_a_step_permutes_what_it_says_and_nothing_else(name: str, seed: int) -> None:
    prompts, random = step(seed), Random(seed)
    permuted = [random.sample(group, len(group)) for group in random.sample(prompts, len(prompts))]
    before = by_rollout(work_out(with_kl(name), prompts, MAX_TOKENS, torch.float64), prompts)
    after = by_rollout(work_out(with_kl(name), permuted, MAX_TOKENS, torch.float64), permuted)
    assert before.keys() == after.keys()
    for rollout, (advantages, gradient) in before.items():
        assert after[rollout][0] == pytest.approx(advantages, rel=1e-12, abs=1e-12)
        assert after[rollout][1] == pytest.approx(gradient, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("name", RECIPES)
@given(seed=seeds)
@settings(max_examples=25)
def test_what_an_invalid_rollout_holds_changes_nothing(name: str, seed: int) -> None:
    prompts, others = step(seed), step(seed + 1)
    replaced = [
        [
            mine if mine.valid else replace(other, valid=False, reward=100.0)
            for mine, other in zip(group, other_group, strict=True)
        ]
        for group, other_group in zip(prompts, others, strict=True)
    ]
    before = work_out(with_kl(name), prompts, MAX_TOKENS, torch.float64)
    after = work_out(with_kl(name), replaced, MAX_TOKENS, torch.float64)
    assert by_rollout(before, prompts) == by_rollout(after, replaced)
    assert before.loss == after.loss


def random_split(exercise: Exercise, random: Random, parts: int) -> Iterator[Tensor]:
    """The tokens of whole rollouts, dealt out at random; a part may be empty."""
    rollouts = exercise.batch.row.unique()
    dealt = torch.tensor([random.randrange(parts) for _ in rollouts])
    for part in range(parts):
        yield torch.isin(exercise.batch.row, rollouts[dealt == part]).nonzero().flatten()


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("name", RECIPES)
def test_any_split_into_ranks_and_micro_batches_gives_the_same_gradient(
    name: str, dtype: torch.dtype, tolerance: float
) -> None:
    row = with_kl(name)
    for seed in range(20):
        exercise, random = make_exercise(row, step(seed, prompts=6), MAX_TOKENS, dtype), Random(seed)
        batch, count = exercise.batch, len(exercise.batch.row)
        weights = row.loss.weights(batch.row, batch.group_size, MAX_TOKENS, dtype)
        # A linear model of three parameters that every token depends on stands for the network.
        features = torch.randn(3, 3, count, generator=torch.Generator().manual_seed(seed)).to(dtype)
        parameters = torch.zeros(3, 3, dtype=dtype, requires_grad=True)

        def gradient(
            index: Tensor,
            exercise: Exercise = exercise,
            features: Tensor = features,
            parameters: Tensor = parameters,
            weights: Tensor = weights,
        ) -> Tensor:
            moved = (parameters[:, :, None] * features).sum(dim=1)
            reading = replace(
                exercise,
                logprobs=exercise.logprobs.detach() + moved[0],
                entropies=exercise.entropies.detach() + moved[1],
                values=None if exercise.values is None else exercise.values.detach() + moved[2],
            )
            loss = (weights[index] * reading.terms(row.loss, index)).sum()
            (slope,) = torch.autograd.grad(loss, parameters)
            return slope

        whole = gradient(torch.arange(count))
        ranks = [
            torch.stack([gradient(index[torch.isin(index, part)]) for part in random_split(exercise, random, 3)]).sum(0)
            for index in random_split(exercise, random, 2)
        ]
        largest = whole.abs().max().item()
        torch.testing.assert_close(sum(ranks), whole, rtol=0, atol=tolerance * largest, msg=f"seed {seed}")


log_ratios = st.one_of(
    st.floats(-0.15, 0.15), st.floats(0.3, 1.0), st.floats(1.2, 1.6), st.floats(-1.0, -0.3), st.floats(-3.0, -1.1)
)
"""Away from the corners at ratios .8, 1.2, 1.28 and 3, where there is no derivative to speak of."""
advantages_away_from_zero = st.one_of(st.floats(0.1, 3), st.floats(-3, -0.1))
tokens = st.lists(st.tuples(log_ratios, advantages_away_from_zero, st.floats(-5, -0.1)), min_size=1, max_size=6)


def exact(numbers: list[float]) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


def columns(drawn: list[tuple[float, float, float]]) -> tuple[Tensor, Tensor, Tensor]:
    """Log-probabilities, old ones, advantages."""
    old = exact([each[2] for each in drawn])
    return (old + exact([each[0] for each in drawn])).requires_grad_(), old, exact([each[1] for each in drawn])


@given(drawn=tokens, dual=st.sampled_from([None, 3.0]))
def test_gradient_of_clipped_agrees_with_finite_differences(
    drawn: list[tuple[float, float, float]], dual: float | None
) -> None:
    logprobs, old, advantages = columns(drawn)
    assert torch.autograd.gradcheck(lambda x: clipped(x, old, advantages, 0.2, 0.28, dual), logprobs)


@given(drawn=tokens)
def test_gradient_of_reinforce_agrees_with_finite_differences(drawn: list[tuple[float, float, float]]) -> None:
    logprobs, _, advantages = columns(drawn)
    assert torch.autograd.gradcheck(lambda x: reinforce(x, advantages), logprobs)


@given(
    rollouts=st.lists(
        st.tuples(log_ratios, st.lists(st.tuples(st.floats(-0.02, 0.02), advantages_away_from_zero), min_size=1)),
        min_size=1,
        max_size=3,
    )
)
def test_gradient_of_sequence_clipped_agrees_with_finite_differences(
    rollouts: list[tuple[float, list[tuple[float, float]]]],
) -> None:
    numbered = [(2 * i, drift, *token) for i, (drift, drawn) in enumerate(rollouts) for token in drawn[:4]]
    row = torch.tensor([each[0] for each in numbered])
    advantages, old = exact([each[3] for each in numbered]), torch.full((len(numbered),), -2.0, dtype=torch.float64)
    logprobs = (old + exact([each[1] + each[2] for each in numbered])).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: sequence_clipped(x, old, advantages, row, 0.2, 0.28), logprobs)


@given(drawn=tokens)
def test_gradient_of_cispo_agrees_with_finite_differences_at_a_held_ratio(
    drawn: list[tuple[float, float, float]],
) -> None:
    logprobs, old, advantages = columns(drawn)
    start = logprobs.detach().clone()
    # Old log-probabilities that move along hold the ratio: it is a constant of the gradient.
    assert torch.autograd.gradcheck(lambda x: cispo(x, old + x.detach() - start, advantages, 1.0), logprobs)


value_distances = st.one_of(st.floats(-0.15, 0.15), st.floats(0.3, 1), st.floats(-1, -0.3))


@given(drawn=st.lists(st.tuples(st.floats(-1, 1), value_distances, st.floats(-3, 3)), min_size=1, max_size=6))
def test_gradient_of_the_value_loss_agrees_with_finite_differences(drawn: list[tuple[float, float, float]]) -> None:
    old = exact([each[0] for each in drawn])
    values, returns = old + exact([each[1] for each in drawn]), exact([each[2] for each in drawn])
    near = old + (values - old).clamp(-0.2, 0.2)
    # Two branches that are as far from the return meet in a corner.
    returns = returns + 0.05 * ((values - returns).abs() - (near - returns).abs()).abs().lt(0.01)
    assert torch.autograd.gradcheck(lambda x: value_loss(x, old, returns, 0.2), values.requires_grad_())


@pytest.mark.parametrize("estimator", [k1, k2, k3])
@given(drawn=tokens)
def test_gradients_of_kl_agree_with_finite_differences(
    estimator: Callable[[Tensor, Tensor], Tensor], drawn: list[tuple[float, float, float]]
) -> None:
    logprobs, reference, _ = columns(drawn)
    assert torch.autograd.gradcheck(lambda x: estimator(x, reference), logprobs)


@given(drawn=tokens)
def test_at_ratio_one_every_surrogate_has_the_gradient_of_reinforce(drawn: list[tuple[float, float, float]]) -> None:
    _, old, advantages = columns(drawn)
    row = torch.arange(len(old)) // 2
    # A rollout's tokens share their advantage; its ratio spreads the gradient over them.
    shared = advantages[row * 2]
    logprobs = old.clone().requires_grad_()
    weights = sequence_mean(row, dtype=torch.float64)
    (expected,) = torch.autograd.grad((weights * reinforce(logprobs, shared)).sum(), logprobs)
    for terms in (
        clipped(logprobs, old, shared, 0.2, 0.28),
        clipped(logprobs, old, shared, 0.2, 0.28, dual=3.0),
        cispo(logprobs, old, shared, 5.0),
        sequence_clipped(logprobs, old, shared, row, 3e-4, 4e-4),
    ):
        (gradient,) = torch.autograd.grad((weights * terms).sum(), logprobs)
        torch.testing.assert_close(gradient, expected, rtol=1e-12, atol=0)


@given(
    logits=st.lists(st.tuples(st.floats(-2, 2), st.floats(-1, 1)), min_size=2, max_size=6),
    size=st.floats(1e-4, 1e-2),
)
def test_estimators_of_kl_agree_to_second_order_over_the_policy(logits: list[tuple[float, float]], size: float) -> None:
    policy = exact([each[0] for each in logits]).log_softmax(0)
    reference = (policy + size * exact([each[1] for each in logits])).log_softmax(0)
    first, second, third = ((policy.exp() * each(policy, reference)).sum().item() for each in (k1, k2, k3))
    # |d| <= 2 size, and what is left out begins with d^3 / 6.
    assert abs(first - third) <= 1e-15 + 1e-12 * size
    assert abs(second - third) <= 2 * size**3
