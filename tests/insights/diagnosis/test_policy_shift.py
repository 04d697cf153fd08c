"""KL, clipping and the critic."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from verifine.insights.findings import Finding

Findings = Callable[..., dict[str, Finding]]


def after(step: int, before: float, then: float) -> Callable[[int], float]:
    """`before` up to `step`, `then` from the next on."""
    return lambda now: before if now <= step else then


@pytest.mark.parametrize(
    ("kl", "answers", "is_told"),
    [
        (after(40, 0.1, 0.2), 0.5, True),
        (after(40, 0.1, 0.19), 0.5, False),
        (after(40, 0.15, 0.25), 0.5, False),
        (after(40, 0.1, 0.2), lambda step: 0.3 + step / 200, False),
    ],
    ids=["doubled", "still near", "not doubled", "while it learns"],
)
def test_a_kl_that_doubles_for_nothing_is_told(
    findings: Findings, kl: Callable[[int], float], answers: object, is_told: bool
) -> None:
    found = findings({"kl": kl, "answer_accuracy": answers})
    assert ("kl_grows" in found) is is_told


def test_the_kl_penalty_is_raised_from_what_it_is_and_needs_an_algorithm_that_has_one(findings: Findings) -> None:
    numbers = {"kl": after(40, 0.1, 0.2), "answer_accuracy": 0.5}
    held = findings(numbers, sections={"algorithm": {"name": "grpo", "beta": 0.04}})["kl_grows"]
    assert held.remedies[0].startswith("Raise algorithm.beta from 0.04 to 0.12")
    assert "such as grpo" in findings(numbers, sections={"algorithm": {"name": "dapo"}})["kl_grows"].remedies[0]


@pytest.mark.parametrize(("peak", "is_told"), [(0.101, True), (0.1, False)])
def test_a_kl_of_ten_times_what_it_was_is_a_jump(findings: Findings, peak: float, is_told: bool) -> None:
    found = findings({"kl": lambda step: peak if step == 33 else 0.01})
    assert ("kl_jumps" in found) is is_told
    if is_told:
        assert found["kl_jumps"].steps == (33, 33)
        assert "In step 33" in found["kl_jumps"].what


def test_a_jump_from_almost_nothing_to_very_little_is_none(findings: Findings) -> None:
    assert "kl_jumps" not in findings({"kl": lambda step: 0.04 if step == 33 else 0.0001})


@pytest.mark.parametrize(
    ("algorithm", "share", "is_told"),
    [("grpo", 0.3, True), ("grpo", 0.29, False), ("gspo", 0.5, False), ("gspo", 0.6, True)],
)
def test_updates_that_are_mostly_clipped_are_told(
    findings: Findings, algorithm: str, share: float, is_told: bool
) -> None:
    sections = {"algorithm": {"name": algorithm, "epochs": 4, "mini_batches": 2}}
    found = findings({"clip_ratio/region_mean": share}, sections=sections)
    assert ("clip_saturation" in found) is is_told
    if is_told:
        assert found["clip_saturation"].remedies[0] == "Lower algorithm.epochs from 4 to 2."
        assert "Lower algorithm.mini_batches from 2 to 1." in found["clip_saturation"].remedies


@pytest.mark.parametrize(("explained", "steps", "is_told"), [(-0.1, 60, True), (0.05, 60, False), (-0.1, 59, False)])
def test_a_critic_that_foresees_nothing_is_told_after_a_while(
    findings: Findings, explained: float, steps: int, is_told: bool
) -> None:
    sections = {"algorithm": {"name": "ppo"}}
    found = findings({"critic/explained_variance": explained}, steps=steps, sections=sections)
    assert ("critic_blind" in found) is is_told
