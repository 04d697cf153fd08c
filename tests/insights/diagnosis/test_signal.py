"""Groups without signal: all wrong, all right, or always the same of each prompt."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from verifine.insights.findings import Finding

Findings = Callable[..., dict[str, Finding]]

SIGNAL = {"too_hard", "too_easy", "solved", "no_signal"}


def groups(silent: float, right: float | Callable[[int], float], **others: float) -> dict[str, object]:
    """In groups with signal, half of the answers are right."""
    numbers: dict[str, object] = {"frac_reward_zero_std": silent, "answer_accuracy": right, **others}
    if isinstance(right, float):
        all_right = right - (1 - silent) / 2
        numbers |= {"groups/frac_all_right": all_right, "groups/frac_all_wrong": silent - all_right}
    return numbers


@pytest.mark.parametrize(
    ("numbers", "topic", "severity"),
    [
        (groups(1.0, 0.0), "too_hard", "problem"),
        (groups(0.95, 0.05), "too_hard", "problem"),
        (groups(0.75, 0.05), "too_hard", "warning"),
        (groups(0.74, 0.05), None, None),
        (groups(0.75, 0.95), "too_easy", "warning"),
        (groups(0.75, lambda step: 0.3 if step <= 10 else 0.9), "solved", "note"),
        (groups(0.95, 0.6), "no_signal", "problem"),
        (groups(0.75, 0.6), "no_signal", "warning"),
        (groups(0.75, lambda step: 0.5 + step / 300), None, None),
        # At 0.7, with 0.8 silent, of whom half of the 0.2 are right: 0.2 are silent and wrong. At 0.75 it is 0.15.
        (groups(0.8, 0.7), "no_signal", "warning"),
        (groups(0.8, 0.75), "no_signal", "note"),
    ],
    ids=[
        "hopeless",
        "hopeless enough",
        "hard",
        "hard, with a signal",
        "easy from the start",
        "solved by training",
        "no signal at all",
        "little signal",
        "little signal, and still learning",
        "some prompts are lost",
        "few prompts are lost",
    ],
)
def test_groups_that_teach_nothing_are_told_apart_by_what_they_are_right_in(
    findings: Findings, numbers: Mapping[str, object], topic: str | None, severity: str | None
) -> None:
    found = {name: finding for name, finding in findings(numbers).items() if name in SIGNAL}
    assert list(found) == ([] if topic is None else [topic])
    if topic is not None:
        assert found[topic].severity == severity
        assert found[topic].steps == (41, 60)


def test_ten_steps_are_enough_to_say_so_and_nine_are_not(findings: Findings) -> None:
    assert "too_hard" in findings(groups(1.0, 0.0), steps=10)
    assert "too_hard" not in findings(groups(1.0, 0.0), steps=9)


def test_a_reward_from_0_to_1_is_as_good_as_right_answers(findings: Findings) -> None:
    unjudged = {"answer_accuracy": None, "format_accuracy": None, "frac_reward_zero_std": 0.9}
    assert "too_hard" in findings({**unjudged, "reward": 0.02})
    assert "too_easy" in findings({**unjudged, "reward": 0.97})


def test_of_a_reward_without_bounds_nobody_says_that_it_is_all_or_nothing(findings: Findings) -> None:
    unjudged = {"answer_accuracy": None, "format_accuracy": None, "frac_reward_zero_std": 0.9}
    for reward in (-3.0, 7.0):
        found = findings({**unjudged, "reward": reward})
        assert SIGNAL & set(found) == {"no_signal"}
        assert f"the average reward is {reward:.2f}" in found["no_signal"].what


def test_an_algorithm_with_a_filter_counts_only_what_it_could_not_replace(findings: Findings) -> None:
    sections = {"algorithm": {"name": "dapo"}}
    assert "no_signal" not in findings(groups(0.9, 0.5, **{"groups/missing": 5}), sections=sections)
    found = findings(groups(0.9, 0.5, **{"groups/missing": 6}), sections=sections)["no_signal"]
    assert found.numbers["groups/missing"] == 6
    assert not any("algorithm.name to dapo" in change for change in found.remedies)


def test_an_algorithm_that_compares_across_prompts_learns_from_groups_that_are_all_alike(findings: Findings) -> None:
    sections = {"algorithm": {"name": "reinforce_pp"}}
    assert not SIGNAL & set(findings(groups(1.0, 0.5), sections=sections))
    assert "no_signal" in findings(groups(1.0, 0.5, **{"groups/trained": 0.0}), sections=sections)


def test_groups_that_are_all_alike_teach_where_the_whole_step_is_the_baseline(findings: Findings) -> None:
    sections = {"reward": {"batch_baseline": 0.5, "scaling": "batch"}}
    assert not SIGNAL & set(findings(groups(1.0, 0.5), sections=sections))
    found = findings(groups(1.0, 0.5, **{"groups/trained": 0.0}), sections=sections)["no_signal"]
    assert not any("reward.batch_baseline" in change for change in found.remedies)


def test_the_way_out_names_keys_and_values(findings: Findings) -> None:
    own_data = {"data": {"train": "rows.jsonl"}, "grader": {"type": "answer", "compare": "number"}}
    hard = findings(groups(1.0, 0.0), sections=own_data)["too_hard"]
    assert any("data.train" in change for change in hard.remedies)
    assert any("sampling.group_size from 8 to 16" in change for change in hard.remedies)
    assert "data.task" in findings(groups(1.0, 0.0))["too_hard"].remedies[0]
    assert any("reward.batch_baseline to 0.5" in change for change in findings(groups(0.8, 0.5))["no_signal"].remedies)
    assert any("algorithm.name to dapo" in change for change in findings(groups(0.8, 0.5))["no_signal"].remedies)
