from __future__ import annotations

import pytest

from verifine.service.jobs.plan import plan_job
from verifine.service.jobs.request import ReinforcementHyperparameters
from verifine.wire.api_error import ApiError


def given(**values: object) -> ReinforcementHyperparameters:
    return ReinforcementHyperparameters.model_validate(values)


def test_auto_means_eight_prompts_eight_answers_and_about_a_hundred_steps() -> None:
    plan = plan_job(given(), rows=400)
    assert (plan.batch_size, plan.group_size, plan.n_epochs, plan.steps) == (8, 8, 2, 100)
    assert (plan.eval_interval, plan.eval_samples) == (10, 1)
    assert (plan.learning_rate_multiplier, plan.compute_multiplier) == (1.0, 1.0)


@pytest.mark.parametrize(("rows", "batch", "epochs", "steps"), [(1, 1, 50, 50), (5, 5, 50, 50), (8000, 8, 1, 1000)])
def test_few_and_many_rows_keep_to_the_limits(rows: int, batch: int, epochs: int, steps: int) -> None:
    plan = plan_job(given(), rows)
    assert (plan.batch_size, plan.n_epochs, plan.steps) == (batch, epochs, steps)


def test_what_is_given_is_kept() -> None:
    asked = given(
        batch_size=4, n_epochs=3, compute_multiplier=2, eval_interval=5, eval_samples=7, learning_rate_multiplier=0.5
    )
    plan = plan_job(asked, rows=10)
    assert (plan.batch_size, plan.group_size, plan.n_epochs, plan.steps) == (4, 16, 3, 9)
    assert (plan.eval_interval, plan.eval_samples, plan.learning_rate_multiplier) == (5, 7, 0.5)


@pytest.mark.parametrize(("steps", "epochs", "interval"), [(6, 1, 1), (30, 5, 3), (10_000, 50, 1000)])
def test_steps_that_are_given_decide_epochs_and_evaluations(steps: int, epochs: int, interval: int) -> None:
    plan = plan_job(given(), rows=54, steps=steps)
    assert (plan.steps, plan.n_epochs, plan.eval_interval) == (steps, epochs, interval)
    fixed = plan_job(given(n_epochs=2, eval_interval=4), rows=54, steps=steps)
    assert (fixed.steps, fixed.n_epochs, fixed.eval_interval) == (steps, 2, 4)


@pytest.mark.parametrize(("multiplier", "group_size"), [(0.1, 2), (0.5, 4), (1.3, 10), (10, 80)])
def test_the_multiplier_scales_the_answers_to_a_prompt_and_leaves_two_to_compare(
    multiplier: float, group_size: int
) -> None:
    assert plan_job(given(compute_multiplier=multiplier), rows=100).group_size == group_size


def test_a_group_size_of_ours_is_written_back_with_the_multiplier_that_it_is() -> None:
    asked = given(group_size=12, algorithm="dapo", reasoning_effort="low")
    assert plan_job(asked, rows=800).write_back(asked) == {
        "batch_size": 8,
        "learning_rate_multiplier": 1.0,
        "n_epochs": 1,
        "compute_multiplier": 1.5,
        "eval_interval": 10,
        "eval_samples": 1,
        "reasoning_effort": "low",
        "algorithm": "dapo",
        "group_size": 12,
    }


@pytest.mark.parametrize(
    ("values", "field"),
    [({"batch_size": 11}, "batch_size"), ({"group_size": 4, "compute_multiplier": 1.0}, "compute_multiplier")],
)
def test_values_that_do_not_go_together_are_refused(values: dict[str, object], field: str) -> None:
    with pytest.raises(ApiError) as refusal:
        plan_job(given(**values), rows=10)
    assert refusal.value.body.param == f"method.reinforcement.hyperparameters.{field}"
