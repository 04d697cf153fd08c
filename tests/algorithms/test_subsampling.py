from __future__ import annotations

import math
from itertools import product
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from verifine.algorithms.subsampling import SMALLEST_CHANCE, draw_weights, gradient_bounds, keep_chances
from verifine.learner.learner import TrainingBatch
from verifine.testing.models import load_tiny_model
from verifine.testing.training_batches import GRPO, make_learner, make_training_batch, sample_groups


def test_a_bound_is_what_tokens_weigh_times_how_unsure_they_were() -> None:
    bounds = gradient_bounds(
        weights=torch.tensor([0.25, 0.25, 0.5, 0.5]),
        advantages=torch.tensor([2.0, -2.0, -1.0, 3.0]),
        logprobs=torch.tensor([0.5, 0.75, 0.9, 1.0]).log(),
        group=torch.tensor([0, 0, 1, 2]),
        groups=4,
    )
    # 0.25 * 2 * (1 - 0.5) + 0.25 * 2 * (1 - 0.75); 0.5 * 1 * (1 - 0.9); a certain token; a group without tokens.
    torch.testing.assert_close(bounds, torch.tensor([0.375, 0.05, 0.0, 0.0]))


def test_rounding_that_makes_a_token_more_than_certain_gives_no_negative_bound() -> None:
    one = torch.ones(1)
    assert gradient_bounds(one, one, torch.tensor([1e-6]), torch.tensor([0]), 1).tolist() == [0.0]


def test_groups_below_the_cutoff_are_kept_in_proportion_to_their_bound() -> None:
    bounds = torch.tensor([3.0, 1.5, 0.75, 0.001, 0.0])  # the mean of the first four is 1.31275
    mean = 5.251 / 4
    expected = [1.0, 1.0, 0.75 / mean, SMALLEST_CHANCE, SMALLEST_CHANCE]
    assert keep_chances(bounds, 1.0).tolist() == pytest.approx(expected)
    assert keep_chances(bounds, 0.5).tolist() == pytest.approx([1.0, 1.0, 1.0, SMALLEST_CHANCE, SMALLEST_CHANCE])


def test_equal_bounds_and_the_smallest_number_are_kept_in_spite_of_rounding() -> None:
    assert keep_chances(torch.tensor([0.1] * 3), 1.0).tolist() == [1.0, 1.0, 1.0]
    assert keep_chances(torch.tensor([5e-324, 0.0], dtype=torch.float64), 0.01)[0] == 1


def test_where_no_group_has_a_gradient_all_are_kept() -> None:
    assert keep_chances(torch.zeros(3), 1.0).tolist() == [1.0, 1.0, 1.0]


def test_what_is_kept_by_chance_makes_up_for_what_is_not() -> None:
    weights = draw_weights(torch.tensor([1.0, 0.25, 0.25]), [0.999, 0.2, 0.3])
    assert weights.tolist() == [1.0, 4.0, 0.0]


@given(st.lists(st.floats(min_value=0, max_value=1e3), min_size=1, max_size=40), st.floats(min_value=0.01, max_value=1))
def test_the_largest_gradient_is_always_kept_and_no_group_counts_more_than_twenty_times(
    sizes: list[float], cutoff: float
) -> None:
    bounds = torch.tensor(sizes, dtype=torch.float64)
    chances = keep_chances(bounds, cutoff)
    assert chances[bounds.argmax()] == 1
    assert bool((chances >= SMALLEST_CHANCE).all() & (chances <= 1).all())
    order = bounds.argsort()
    assert bool((chances[order].diff() >= 0).all())


def test_the_expected_gradient_is_that_of_all_groups(tmp_path: Path) -> None:
    """Over every choice of groups, each weighed by its probability."""
    model = load_tiny_model(tmp_path)
    learner = make_learner(model)
    whole = make_training_batch(learner, sample_groups(model))
    chances = [0.25, 0.5, 1.0, 0.05]

    def gradient(training_batch: TrainingBatch) -> torch.Tensor:
        model.network.zero_grad()
        wanted = training_batch.weighted_groups()
        if not bool(wanted.any()):
            return torch.zeros_like(everything)
        learner._add_gradients(training_batch, GRPO.loss, wanted, learner._retry.size)
        grads = [each.grad for each in model.network.parameters() if each.grad is not None]
        found = torch.cat([grad.double().flatten() for grad in grads])
        learner._clear_gradients()
        return found

    everything = torch.zeros(0)
    everything = gradient(whole)
    expected = torch.zeros_like(everything)
    for is_kept in product((False, True), repeat=len(chances)):
        probability = math.prod(q if kept else 1 - q for kept, q in zip(is_kept, chances, strict=True))
        if probability:
            weights = draw_weights(torch.tensor(chances), [0.0 if kept else 1.0 for kept in is_kept])
            part = TrainingBatch(
                batch=whole.batch,
                estimates=whole.estimates,
                advantages=whole.advantages,
                group_weights=weights,
            )
            expected += probability * gradient(part)
    torch.testing.assert_close(expected, everything, rtol=1e-4, atol=1e-7)
