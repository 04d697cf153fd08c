"""A learning rate that moves nothing, gradients that explode, and updates that were not made."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import pytest

from verifine.insights.findings import Finding

Findings = Callable[..., dict[str, Finding]]


def wavering(value: float, by: float) -> Callable[[int], float]:
    return lambda step: value + by * (-1) ** step


STILL: Mapping[str, object] = {
    "answer_accuracy": wavering(0.3, 0.05),
    "reward": wavering(0.3, 0.05),
    "format_accuracy": wavering(0.5, 0.05),
    "entropy": wavering(0.9, 0.02),
    "completions/mean_length": wavering(30.0, 1.0),
    "frac_reward_zero_std": 0.25,
}


@pytest.mark.parametrize(
    ("change", "is_told"),
    [
        ({}, True),
        ({"kl": 1e-5}, True),
        ({"answer_accuracy": lambda step: 0.3 + step / 200}, False),
        ({"entropy": lambda step: 0.9 - step / 200}, False),
        ({"completions/mean_length": lambda step: 30.0 - step / 10}, False),
        ({"kl": 0.01}, False),
        ({"clip_ratio/region_mean": 0.01}, False),
        ({"frac_reward_zero_std": 0.9}, False),
        ({"updates": 0.5}, False),
    ],
    ids=["nothing", "hardly", "answers", "entropy", "length", "kl", "clipping", "no signal", "few updates"],
)
def test_a_learning_rate_is_too_small_only_where_nothing_moves(
    findings: Findings, change: Mapping[str, object], is_told: bool
) -> None:
    found = findings({**STILL, **change})
    assert ("learning_rate_too_small" in found) is is_told


def test_the_learning_rate_is_raised_from_what_it_is(findings: Findings) -> None:
    assert findings(STILL)["learning_rate_too_small"].remedies == ("Raise optim.learning_rate from 1e-05 to 3e-05.",)
    with_lora = findings(STILL, sections={"model": {"lora": {}}})["learning_rate_too_small"]
    assert "ten times" in with_lora.remedies[1]
    automatic = findings({**STILL, "learning_rate": 2e-6}, sections={"optim": {"learning_rate": "auto"}})
    assert automatic["learning_rate_too_small"].remedies[0] == "Raise optim.learning_rate from 2e-06 to 6e-06."


def test_a_warm_up_is_waited_for(findings: Findings) -> None:
    slow = {"optim": {"learning_rate": 1e-5, "warmup_steps": 31}}
    assert "learning_rate_too_small" not in findings(STILL, sections=slow)
    assert "learning_rate_too_small" in findings(STILL, sections=slow, steps=61)


@pytest.mark.parametrize(("norm", "is_told"), [(10.1, True), (10.0, False)])
def test_a_gradient_of_ten_times_the_median_before_it_is_a_spike(
    findings: Findings, norm: float, is_told: bool
) -> None:
    found = findings({"grad_norm": lambda step: norm if step == 33 else 1.0})
    assert ("gradient_spikes" in found) is is_told
    if is_told:
        assert found["gradient_spikes"].numbers == {"grad_norm": norm, "grad_norm_usually": 1.0, "spikes": 1.0}


def test_a_gradient_like_those_of_the_first_steps_is_no_spike(findings: Findings) -> None:
    """Once the policy is sure, most steps have next to none."""

    def sure_from_step_25_on(later: float) -> Callable[[int], float]:
        return lambda step: later if step == 50 else 3.0 if step < 25 else 0.01

    assert "gradient_spikes" not in findings({"grad_norm": sure_from_step_25_on(9.0)})
    assert "gradient_spikes" in findings({"grad_norm": sure_from_step_25_on(31.0)})


def test_a_spike_is_told_where_the_first_steps_made_no_update(findings: Findings) -> None:
    def later(step: int) -> float | None:
        return None if step < 25 else 50.0 if step == 50 else 1.0

    assert "gradient_spikes" in findings({"grad_norm": later})


def test_a_spike_before_there_is_a_median_is_none(findings: Findings) -> None:
    assert "gradient_spikes" not in findings({"grad_norm": lambda step: 100.0 if step == 10 else 1.0})
    assert "gradient_spikes" in findings({"grad_norm": lambda step: 100.0 if step == 11 else 1.0})


@pytest.mark.parametrize(("steps", "severity"), [((33,), "note"), ((50,), "warning"), ((20, 25, 33), "warning")])
def test_one_spike_long_ago_is_only_a_note(findings: Findings, steps: tuple[int, ...], severity: str) -> None:
    found = findings({"grad_norm": lambda step: 50.0 if step in steps else 1.0})["gradient_spikes"]
    assert (found.severity, found.steps) == (severity, (steps[0], steps[-1]))


def skipped(*steps: int) -> dict[str, object]:
    """As the learner reports it live; in the file, what is not finite is null and reads back as missing."""
    return {
        "loss": lambda step: math.nan if step in steps else 0.001,
        "grad_norm": lambda step: math.inf if step in steps else 1.0,
        "update_skipped": lambda step: float(step in steps),
    }


@pytest.mark.parametrize(("steps", "severity"), [((33,), "warning"), ((50, 55), "warning"), ((45, 50, 55), "problem")])
def test_updates_that_were_not_finite_are_told(findings: Findings, steps: tuple[int, ...], severity: str) -> None:
    found = findings(skipped(*steps))["not_finite"]
    assert (found.severity, found.steps) == (severity, (steps[0], steps[-1]))
    assert f"in {len(steps)} of 60 steps" in found.what
    assert found.remedies[0] == "Set model.precision to float32."


def test_a_null_in_the_file_is_not_finite_either(findings: Findings) -> None:
    assert "not_finite" in findings({"update_skipped": 1.0, "loss": None, "grad_norm": None})


def test_a_step_without_anything_to_learn_is_skipped_for_another_reason(findings: Findings) -> None:
    """It goes through no batch, so it has no micro-batch."""
    silent = {"update_skipped": 1.0, "loss": None, "grad_norm": None, "memory/micro_batch_tokens": None}
    assert "not_finite" not in findings(silent)
