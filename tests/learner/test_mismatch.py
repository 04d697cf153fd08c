from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from verifine.algorithms.algorithm import default_algorithm
from verifine.batch import Estimates
from verifine.learner.objective import ForwardOutput, Objective


def metrics_of(
    behaviour: list[float], now: list[float], old: list[float] | None, parts: list[list[int]]
) -> dict[str, float]:
    """What an update notes of tokens that are read part by part."""
    n = len(behaviour)
    objective = Objective(
        loss=default_algorithm("grpo").loss,
        weights=torch.full((n,), 1 / n),
        row=torch.zeros(n, dtype=torch.long),
        advantages=torch.ones(n),
        entropy=torch.zeros(n),
        ratio=torch.zeros(n),
        returns=None,
        behaviour_logprobs=torch.tensor(behaviour),
        estimates=Estimates(
            old_logprobs=None if old is None else torch.tensor(old), reference_logprobs=None, values=None
        ),
    )
    for part in parts:
        objective.evaluate(torch.tensor(part), reading([now[index] for index in part]))
    return objective.metrics.read().metrics()


def reading(logprobs: list[float]) -> ForwardOutput:
    values: Tensor = torch.tensor(logprobs, requires_grad=True)
    return ForwardOutput(logprobs=values, entropy=torch.zeros(len(logprobs)), values=None)


PARTS = [[[0, 1, 2, 3]], [[2, 0], [3], [1]]]


@pytest.mark.parametrize("parts", PARTS, ids=["at once", "in parts"])
def test_the_mismatch_is_of_the_learners_logprobs_and_those_that_were_sampled_with(parts: list[list[int]]) -> None:
    # The learner finds the tokens half as, as, twice as and four times as likely as the sampler did.
    behaviour = [-1.0, -2.0, -3.0, -4.0]
    now = [each + math.log(times) for each, times in zip(behaviour, (0.5, 1.0, 2.0, 4.0), strict=True)]
    metrics = metrics_of(behaviour, now, None, parts)
    log2 = math.log(2)
    assert metrics["mismatch/mean"] == pytest.approx((1 + 0 + 1 + 2) * log2 / 4, rel=1e-5)
    assert metrics["mismatch/max"] == pytest.approx(2 * log2, rel=1e-5)
    # ratio - 1 - log(ratio) of each: log 2 - 0.5, 0, 1 - log 2, 3 - 2 log 2.
    assert metrics["mismatch/kl"] == pytest.approx((3.5 - 2 * log2) / 4, rel=1e-5)


def test_where_a_batch_is_used_again_the_mismatch_stays_that_of_the_policy_that_sampled() -> None:
    behaviour = [-1.0, -2.0, -3.0, -4.0]
    moved = [-0.2, -0.9, -5.0, -1.0]
    metrics = metrics_of(behaviour, moved, behaviour, PARTS[0])
    assert metrics["mismatch/mean"] == metrics["mismatch/max"] == metrics["mismatch/kl"] == 0
    assert metrics["ratio/max"] == pytest.approx(math.exp(3))


def test_the_divergence_is_the_expectation_over_what_is_sampled() -> None:
    # Sampler 0.5, 0.25, 0.25, learner 0.25, 0.25, 0.5; four draws in the sampler's proportions.
    sampler, learner = (0.5, 0.5, 0.25, 0.25), (0.25, 0.25, 0.25, 0.5)
    metrics = metrics_of([math.log(p) for p in sampler], [math.log(p) for p in learner], None, PARTS[1])
    expected = 0.5 * math.log(0.5 / 0.25) + 0 + 0.25 * math.log(0.25 / 0.5)
    assert metrics["mismatch/kl"] == pytest.approx(expected, rel=1e-5)
