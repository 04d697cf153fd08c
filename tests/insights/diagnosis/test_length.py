"""Answers that are cut off, and answers that grow or shrink."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from verifine.insights.findings import Finding

Findings = Callable[..., dict[str, Finding]]


@pytest.mark.parametrize(
    ("share", "answers", "severity"),
    [(0.2, 0.5, "warning"), (0.5, 0.5, "problem"), (0.19, 0.5, None), (1.0, 0.95, None)],
    ids=["many", "most", "some", "all, and right"],
)
def test_answers_without_their_end_are_told(
    findings: Findings, share: float, answers: float, severity: str | None
) -> None:
    found = findings({"completions/clipped_ratio": share, "answer_accuracy": answers}).get("answers_cut_off")
    assert (None if found is None else found.severity.value) == severity
    if found is not None:
        assert found.remedies[0] == "Raise sampling.max_new_tokens from 64 to 128."


def test_a_share_that_is_charged_for_already_is_not_proposed(findings: Findings) -> None:
    cut_off = {"completions/clipped_ratio": 0.4}
    assert any("reward.overlong_share" in change for change in findings(cut_off)["answers_cut_off"].remedies)
    charged = findings(cut_off, sections={"reward": {"overlong_share": 0.2}})["answers_cut_off"]
    assert not any("reward.overlong_share" in change for change in charged.remedies)


def to(length: float) -> Callable[[int], float]:
    """20 tokens in the first ten steps, and from step 40 on `length`."""
    return lambda step: 20.0 if step <= 10 else 20 + (length - 20) * min(1.0, (step - 10) / 30)


@pytest.mark.parametrize(
    ("length", "answers", "severity"),
    [
        (40.0, 0.5, "warning"),
        (38.0, 0.5, None),
        (10.0, 0.5, "warning"),
        (11.0, 0.5, None),
        (40.0, lambda step: 0.3 + step / 200, "note"),
    ],
    ids=["twice as long", "longer", "half as long", "shorter", "twice as long, and better"],
)
def test_answers_that_change_their_length_for_nothing_are_told(
    findings: Findings, length: float, answers: object, severity: str | None
) -> None:
    numbers = {"completions/mean_length": to(length), "answer_accuracy": answers}
    found = findings(numbers).get("length_drift")
    assert (None if found is None else found.severity.value) == severity


def test_what_makes_wrong_answers_long_is_named(findings: Findings) -> None:
    longer = findings({"completions/mean_length": to(60.0), "answer_accuracy": 0.5})["length_drift"]
    assert longer.what == "Answers grew from 20 to 60 tokens, and the answers did not get better."
    assert any("algorithm.name to dr_grpo" in change for change in longer.remedies)
    shorter = findings({"completions/mean_length": to(5.0), "answer_accuracy": 0.5})["length_drift"]
    assert shorter.remedies == ("Read some answers of the latest steps in rollouts/.",)
