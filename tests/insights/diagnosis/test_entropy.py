"""A model that hardly tries anything new, and one that gets ever more undecided."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from verifine.config.recipes import RECIPES
from verifine.insights.findings import Finding

Findings = Callable[..., dict[str, Finding]]


def after(step: int, before: float, then: float) -> Callable[[int], float]:
    """`before` up to `step`, `then` from the next on."""
    return lambda now: before if now <= step else then


def collapsed(**others: object) -> dict[str, object]:
    """Sure, alike, and half wrong."""
    numbers = {"frac_reward_zero_std": 0.96, "answer_accuracy": 0.5, "completions/mean_length": 10}
    return {"completions/entropy_estimate": after(5, 12.0, 0.5), **numbers, **others}


@pytest.mark.parametrize(
    ("numbers", "severity"),
    [
        (collapsed(), "problem"),
        (collapsed(frac_reward_zero_std=0.9), "warning"),
        (collapsed(frac_reward_zero_std=0.89), None),
        (collapsed(answer_accuracy=0.86), None),
        (collapsed(answer_accuracy=lambda step: 0.3 + step / 200), None),
        (collapsed(**{"groups/frac_all_wrong": 0.2}), "problem"),
        (collapsed(**{"groups/frac_all_wrong": 0.19}), None),
        (collapsed(**{"completions/entropy_estimate": after(5, 12.0, 1.6)}), None),
        (collapsed(**{"completions/entropy_estimate": after(5, 1.9, 0.5)}), None),
        (collapsed(entropy=None), "problem"),
    ],
    ids=[
        "for long",
        "for now",
        "answers differ",
        "right",
        "still learning",
        "some prompts are lost",
        "few prompts are lost",
        "not so sure",
        "sure from the start",
        "without an update that measures it",
    ],
)
def test_a_model_that_is_sure_alike_and_wrong_has_collapsed(
    findings: Findings, numbers: Mapping[str, object], severity: str | None
) -> None:
    found = findings(numbers).get("entropy_collapse")
    assert (None if found is None else found.severity.value) == severity
    if found is not None:
        assert found.numbers["completions/entropy_estimate"] == pytest.approx(0.5)
        assert found.numbers["completions/entropy_estimate_at_first"] == pytest.approx(12)


def test_a_collapse_after_success_says_that_the_model_has_learned(findings: Findings) -> None:
    rising = collapsed(answer_accuracy=lambda step: min(0.2 + step / 50, 0.6))
    assert "It has learned before: answer_accuracy rose from 0.3" in findings(rising)["entropy_collapse"].what
    assert "learned before" not in findings(collapsed())["entropy_collapse"].what


def test_a_collapse_is_told_once_and_not_as_a_lack_of_signal_too(findings: Findings) -> None:
    assert "no_signal" not in findings(collapsed())


def test_the_way_out_of_a_collapse_starts_from_what_is_set(findings: Findings) -> None:
    plain = findings(collapsed())["entropy_collapse"].remedies
    assert plain[0].startswith("Set algorithm.entropy_bonus to 0.01")
    assert "5e-06 and 2e-05" in " ".join(plain)
    assert "clip_high" not in " ".join(plain)
    algorithm = {"name": "grpo", "entropy_bonus": 0.02, "epochs": 2}
    changed = findings(collapsed(), sections={"algorithm": algorithm})["entropy_collapse"].remedies
    assert changed[0].startswith("Raise algorithm.entropy_bonus from 0.02 to 0.04")
    assert any("algorithm.clip_high" in change for change in changed)
    held = findings(collapsed(), sections={"algorithm": {"name": "grpo", "entropy_control": {"highest": 0.02}}})
    assert held["entropy_collapse"].remedies[0].startswith("Raise algorithm.entropy_control.highest from 0.02 to 0.04")


@pytest.mark.parametrize("name", RECIPES)
def test_a_wider_clip_is_advised_only_where_it_is_wider_than_the_one_in_effect(findings: Findings, name: str) -> None:
    def advises(**settings: object) -> bool:
        sections = {"algorithm": {"name": name, "epochs": 2, **settings}}
        remedies = findings(collapsed(), sections=sections)["entropy_collapse"].remedies
        return any("algorithm.clip_high" in remedy for remedy in remedies)

    # cispo's own bound is 5 and dapo's is 0.28; gspo clips whole rollouts, on another scale.
    assert advises() == (name not in {"cispo", "dapo", "gspo"})
    assert advises(clip_high=0.25) == (name != "gspo")
    assert not advises(clip_high=0.28)
    assert not advises(epochs=1)


def rising(last: float) -> Callable[[int], float]:
    """From 0.5 at the beginning, in a straight line, to `last` at step 60."""
    return lambda step: 0.5 + (last - 0.5) * step / 60


@pytest.mark.parametrize(
    ("last", "answers", "is_told"),
    [(3.0, 0.3, True), (1.5, 0.3, False), (3.0, lambda step: 0.3 + step / 200, False)],
    ids=["into noise", "a little", "while it learns"],
)
def test_an_entropy_that_rises_without_better_answers_is_told(
    findings: Findings, last: float, answers: object, is_told: bool
) -> None:
    found = findings({"entropy": rising(last), "answer_accuracy": answers})
    assert ("entropy_rises" in found) is is_told


def test_an_entropy_bonus_is_the_first_to_go_where_entropy_rises(findings: Findings) -> None:
    numbers = {"entropy": rising(3.0), "answer_accuracy": 0.3}
    sections = {"algorithm": {"name": "grpo", "entropy_bonus": 0.05}}
    assert findings(numbers, sections=sections)["entropy_rises"].remedies[0] == (
        "Lower algorithm.entropy_bonus from 0.05 to 0.01."
    )
