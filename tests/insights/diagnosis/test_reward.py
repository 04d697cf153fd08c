"""The format without the answers, and a reward that does not stay up."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from verifine.insights.findings import Finding

Findings = Callable[..., dict[str, Finding]]


def between(first: float, last: float) -> Callable[[int], float]:
    """In a straight line, from step 1 to step 60."""
    return lambda step: first + (last - first) * (step - 1) / 59


@pytest.mark.parametrize(
    ("form", "answer", "is_told"),
    [
        (between(0.4, 1.0), 0.3, True),
        (between(0.4, 1.0), between(0.3, 0.5), False),
        (between(0.9, 0.98), 0.3, False),
        (0.95, 0.1, True),
        (0.95, 0.12, False),
        (between(0.4, 1.0), 0.85, False),
    ],
    ids=["the format alone", "both", "neither much", "format, never right", "format, sometimes right", "already right"],
)
def test_a_model_that_learns_the_format_and_not_the_answers_is_told(
    findings: Findings, form: object, answer: object, is_told: bool
) -> None:
    assert ("format_without_accuracy" in findings({"format_accuracy": form, "answer_accuracy": answer})) is is_told


def test_what_the_format_earns_is_lowered_where_it_can_be(findings: Findings) -> None:
    numbers = {"format_accuracy": between(0.4, 1.0), "answer_accuracy": 0.3}
    task = findings(numbers)["format_without_accuracy"].remedies
    assert task[0].startswith("Set reward.format_gate to true")
    own = {"data": {"train": "rows.jsonl"}, "grader": {"type": "answer", "compare": "number"}}
    assert "grader.format_weight" in findings(numbers, sections=own)["format_without_accuracy"].remedies[0]
    gated = findings(numbers, sections={"reward": {"format_gate": True}})["format_without_accuracy"].remedies
    assert not any("format_gate" in change for change in gated)


def hill(top: float, end: float) -> Callable[[int], float]:
    """Up from 0.2 to `top` at step 30, and from there to `end` at step 40, with a little noise."""

    def value(step: int) -> float:
        noise = 0.01 if step % 2 else -0.01
        if step <= 30:
            return 0.2 + (top - 0.2) * step / 30 + noise
        return top + (end - top) * min(1.0, (step - 30) / 10) + noise

    return value


@pytest.mark.parametrize(
    ("answers", "is_told"),
    [(hill(0.8, 0.2), True), (hill(0.8, 0.7), False), (hill(0.25, 0.2), False), (hill(0.8, 0.8), False)],
    ids=["all of it lost", "a little lost", "hardly a hill", "it stays up"],
)
def test_a_reward_that_was_once_higher_is_told(
    findings: Findings, answers: Callable[[int], float], is_told: bool
) -> None:
    found = findings({"answer_accuracy": answers}, steps=70)
    assert ("reward_collapse" in found) is is_told


def test_a_collapse_names_its_best_steps_and_the_way_back(findings: Findings) -> None:
    found = findings({"answer_accuracy": hill(0.8, 0.2)}, steps=70)["reward_collapse"]
    assert found.severity == "problem"
    assert found.numbers["answer_accuracy"] == pytest.approx(0.2, abs=0.01)
    values = [hill(0.8, 0.2)(step) for step in range(1, 71)]
    best = max(sum(values[start : start + 20]) / 20 for start in range(31))  # the latest twenty are not among them
    assert found.numbers["answer_accuracy_at_best"] == pytest.approx(best)
    assert "optim.learning_rate from 1e-05 to 3e-06" in found.remedies[0]
    assert "algorithm.beta to 0.02" in found.remedies[1]


def test_a_reward_that_only_falls_is_told_too(findings: Findings) -> None:
    found = findings({"answer_accuracy": between(0.6, 0.1)})
    assert "reward_collapse" in found
