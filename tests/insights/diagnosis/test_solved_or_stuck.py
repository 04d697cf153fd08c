"""Runs of simulated policies: one that has solved its task, one that is stuck, and what is told of each."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from itertools import chain

import pytest

from verifine.insights.diagnosis.diagnose import diagnose
from verifine.insights.findings import Finding, Severity
from verifine.runs.record import RunRecord
from verifine.training.summary import summarize
from verifine.types import FinishReason, Grade, Group, Prompt, Rollout

MakeRun = Callable[..., RunRecord]
Policy = Callable[[int, int], float]
"""The rate of success of a prompt, given the step and the prompt's place among many."""

PROMPTS, STEPS = 8, 80
LENGTH = 10
"""Tokens of an answer. All but the first are certain."""


def sampled(rate: float, size: int, generator: random.Random) -> Group:
    """Answers of a policy that knows one right and one wrong answer."""
    prompt = Prompt(id="p", token_ids=(1,), item={})
    right = [generator.random() < rate for _ in range(size)]
    return Group(
        prompt=prompt,
        rollouts=tuple(
            Rollout(
                prompt=prompt,
                token_ids=(2,) * LENGTH,
                behaviour_logprobs=(math.log(rate if each else 1 - rate), *[0.0] * (LENGTH - 1)),
                text="",
                finish_reason=FinishReason.STOP,
            )
            for each in right
        ),
        grades=tuple(Grade(score=float(each), answer_ok=each) for each in right),
    )


def simulated(policy: Policy, size: int = 8, seed: int = 0) -> dict[str, Callable[[int], float | None]]:
    """The numbers of a run of that policy, by the function that makes them in training."""
    generator = random.Random(seed)
    rows: list[Mapping[str, float]] = []
    for step in range(1, STEPS + 1):
        groups = [sampled(policy(step, generator.randrange(1000)), size, generator) for _ in range(PROMPTS)]
        metrics = summarize(groups, None)
        trained = sum(len({grade.score for grade in group.grades}) > 1 for group in groups)
        rows.append({**metrics, "groups/trained": float(trained), "updates": float(trained > 0)})

    def number(name: str) -> Callable[[int], float | None]:
        return lambda step: rows[step - 1].get(name)

    return {
        "format_accuracy": lambda _: None,
        **{name: number(name) for name in dict.fromkeys(chain.from_iterable(rows))},
    }


def learning(before: float, after: float) -> Policy:
    """One rate for every prompt, which moves within 30 steps."""
    return lambda step, _: before + (after - before) * min(step / 30, 1)


def deciding(right: float) -> Policy:
    """Every prompt is undecided at first, and within 20 steps this share is always right, the others never."""
    return lambda step, place: 0.5 + (0.4999 if place < 1000 * right else -0.4999) * min(step / 20, 1)


def told(make_run: MakeRun, policy: Policy, seed: int = 0, size: int = 8) -> dict[str, Finding]:
    sections = {"sampling": {"group_size": size, "max_new_tokens": 64}}
    record = make_run(simulated(policy, size, seed), steps=STEPS, sections=sections)
    return {finding.name: finding for finding in diagnose(record)}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("rate", [0.95, 0.97, 0.99, 0.9999])
def test_a_run_that_did_well_ends_with_a_note_at_most(make_run: MakeRun, rate: float, seed: int) -> None:
    found = told(make_run, learning(0.4, rate), seed)
    assert {finding.severity for finding in found.values()} <= {Severity.NOTE}
    assert set(found) <= {"solved"}
    if rate >= 0.99:
        assert "solved" in found


def test_groups_without_signal_are_no_finding_of_a_model_that_is_nearly_always_right(make_run: MakeRun) -> None:
    """At 0.95, two thirds of groups of eight are all right."""
    record = make_run(simulated(learning(0.4, 0.95)), steps=STEPS)
    silent = [report.metrics["frac_reward_zero_std"] for report in record.metrics[-20:]]
    assert sum(silent) / 20 == pytest.approx(0.95**8, abs=0.08)
    assert diagnose(record) == []


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("right", [0.3, 0.6, 0.75])
def test_a_model_that_decided_many_prompts_wrong_is_stuck(make_run: MakeRun, right: float, seed: int) -> None:
    found = told(make_run, deciding(right), seed)
    assert list(found) == ["entropy_collapse"]
    collapse = found["entropy_collapse"]
    assert collapse.severity is Severity.PROBLEM
    assert collapse.numbers["groups/frac_all_wrong"] == pytest.approx(1 - right, abs=0.12)
    assert collapse.numbers["groups/undecidedness"] < 0.05
    assert "all wrong)" in collapse.what


def test_a_model_that_is_decided_but_not_sure_of_its_words_lacks_signal(make_run: MakeRun) -> None:
    """The entropy of an answer stays high where a right answer can be written in many ways."""
    numbers = {**simulated(deciding(0.6)), "completions/entropy_estimate": 20.0}
    found = {finding.name: finding for finding in diagnose(make_run(numbers, steps=STEPS))}
    assert list(found) == ["no_signal"]
    stuck = found["no_signal"]
    assert stuck.severity is Severity.PROBLEM
    expected, wrong = stuck.numbers["groups/frac_mixed_expected"], stuck.numbers["groups/frac_all_wrong"]
    assert f"{wrong:.0%} all wrong. The model has decided most prompts" in stuck.what
    assert f"{expected:.0%} would be mixed, and 0% are" in stuck.what
    assert expected > 0.85
    assert stuck.remedies[0].startswith("Set algorithm.entropy_bonus")
    assert not any("sampling.group_size" in change for change in stuck.remedies)


@pytest.mark.parametrize(("right", "topic"), [(0.85, "no_signal"), (0.97, "solved")])
def test_a_model_that_decided_nearly_all_prompts_right_gets_a_note(make_run: MakeRun, right: float, topic: str) -> None:
    found = told(make_run, deciding(right))
    assert [(finding.name, finding.severity) for finding in found.values()] == [(topic, Severity.NOTE)]
    assert found[topic].numbers["groups/frac_all_wrong"] == pytest.approx(1 - right, abs=0.06)


def test_groups_too_small_for_the_rate_of_success_are_told_apart_from_decided_prompts(make_run: MakeRun) -> None:
    found = told(make_run, learning(0.1, 0.1), size=2)
    assert list(found) == ["no_signal"]
    rare = found["no_signal"]
    assert rare.numbers["groups/undecidedness"] == pytest.approx(1, abs=0.3)
    assert "what chance gives groups of 2" in rare.what
    assert rare.remedies[0].startswith("Raise sampling.group_size from 2 to 4")


def test_a_model_that_is_never_right_is_given_easier_prompts(make_run: MakeRun) -> None:
    found = told(make_run, learning(0.001, 0.001))
    assert "too_hard" in found
    assert found["too_hard"].severity is Severity.PROBLEM
    assert found["too_hard"].numbers["groups/frac_all_wrong"] > 0.95


def test_an_undecided_model_is_not_stuck(make_run: MakeRun) -> None:
    assert told(make_run, learning(0.5, 0.5)) == {}


@pytest.mark.parametrize(
    ("pass_score", "right", "topic", "severity"),
    [
        (8.0, 0.96, "solved", "note"),
        (8.0, 0.5, "no_signal", "problem"),
        (None, 0.96, "no_signal", "problem"),
    ],
)
def test_scores_without_bounds_are_judged_where_it_is_known_what_passes(
    make_run: MakeRun, pass_score: float | None, right: float, topic: str, severity: str
) -> None:
    numbers = {
        "answer_accuracy": None,
        "format_accuracy": None,
        "reward": lambda step: 2.0 if step < 20 else 10 * right,
        "frac_reward_zero_std": 0.96,
        "groups/frac_all_right": lambda step: 0.1 if step < 20 else right,
        "groups/frac_all_wrong": 1 - right,
    }
    sections = {"evaluation": {"pass_score": pass_score}}
    found = {finding.name: finding for finding in diagnose(make_run(numbers, sections=sections))}
    assert {name: finding.severity.value for name, finding in found.items()} == {topic: severity}
