from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from verifine.config import RunConfig, build_config
from verifine.insights.findings import Severity
from verifine.insights.scores import collect_scores
from verifine.preflight.sampling import SamplingFacts, judge_sampling
from verifine.types import Grade


def graded(
    facts: SamplingFacts, scores: Sequence[float], *, judged: bool = True, signal: int = 0, anywhere: bool = False
) -> SamplingFacts:
    """The same facts with these scores, of which those of 1 are right answers."""
    grades = [Grade(score=score, answer_ok=score == 1 if judged else None) for score in scores]
    return replace(facts, scores=collect_scores(grades), groups_with_signal=signal, has_signal=signal > 0 or anywhere)


def found(facts: SamplingFacts, config: RunConfig, best: float | None = 1.0) -> list[tuple[str, str]]:
    return [(finding.severity.value, finding.name) for finding in judge_sampling(facts, config, best)]


def test_answers_that_differ_give_nothing_to_say(sampling: SamplingFacts, config: RunConfig) -> None:
    assert found(sampling, config) == []


def test_five_hundred_and_twelve_wrong_answers_in_thirty_two_groups_are_a_blocker(
    sampling: SamplingFacts, config: RunConfig
) -> None:
    assert found(graded(replace(sampling, prompts=64), [0.0] * 512), config) == [("blocker", "too_hard")]
    assert found(graded(replace(sampling, prompts=32, samples=16), [0.0] * 512), config) == [("blocker", "too_hard")]


def test_the_wrong_answers_of_a_step_are_a_warning_with_their_numbers(
    sampling: SamplingFacts, config: RunConfig
) -> None:
    facts = graded(sampling, [0.0] * 64)
    assert found(facts, config) == [("warning", "too_hard")]
    (finding,) = judge_sampling(facts, config, 1.0)
    # Wilson's interval of 0 in 8.
    assert finding.evidence == (
        "0 of 8 groups with signal (95 % interval of the share: 0% to 32%), mean score 0.00, 0 of 64 answers right"
    )
    assert "format_weight" in finding.remedies[0]


@pytest.mark.parametrize(("prompts", "samples"), [(63, 8), (31, 20)])
def test_fewer_groups_or_answers_can_be_chance(
    prompts: int, samples: int, sampling: SamplingFacts, config: RunConfig
) -> None:
    config = config.model_copy(update={"sampling": config.sampling.model_copy(update={"group_size": samples})})
    few = replace(sampling, prompts=prompts, samples=samples)
    assert found(graded(few, [0.0] * prompts * samples), config) == [("warning", "too_hard")]


def test_all_right_answers_leave_nothing_to_learn(sampling: SamplingFacts, config: RunConfig) -> None:
    assert found(graded(sampling, [1.0] * 64), config) == [("blocker", "nothing_left_to_learn")]
    few = replace(sampling, prompts=7)
    assert found(graded(few, [1.0] * 56), config) == [("warning", "nothing_left_to_learn")]


@pytest.mark.parametrize("judged", [True, False])
def test_nearly_all_right_answers_of_a_step_may_leave_something(
    judged: bool, sampling: SamplingFacts, config: RunConfig
) -> None:
    facts = graded(sampling, [0.0] * 3 + [1.0] * 61, judged=judged)
    assert found(facts, config) == [("warning", "nothing_left_to_learn")]


def test_an_answer_that_could_not_be_scored_may_not_be_right(sampling: SamplingFacts, config: RunConfig) -> None:
    grades = [*[Grade(score=1.0, answer_ok=True)] * 63, Grade.unscorable("away")]
    facts = replace(sampling, scores=collect_scores(grades), groups_with_signal=0)
    assert found(facts, config) == [("warning", "nothing_left_to_learn")]


def test_single_answers_say_nothing_of_what_differs_in_a_group(sampling: SamplingFacts, config: RunConfig) -> None:
    facts = graded(replace(sampling, prompts=512, samples=1), [0.0] * 512)
    assert found(facts, config) == [("note", "smaller_groups")]
    ppo = build_config({"data": {"task": "add"}, "algorithm": {"name": "ppo"}, "sampling": {"group_size": 1}})
    assert found(facts, ppo) == [("blocker", "too_hard")]


def test_where_no_answer_is_judged_the_best_score_says_what_is_right(
    sampling: SamplingFacts, config: RunConfig
) -> None:
    facts = graded(sampling, [2.0] * 64, judged=False)
    assert found(facts, config, best=2.0) == [("blocker", "nothing_left_to_learn")]
    assert found(facts, config, best=None) == [("warning", "no_signal")]
    assert found(facts, config, best=4.0) == [("warning", "no_signal")]


def test_prompts_that_are_always_right_or_never_teach_nothing(sampling: SamplingFacts, config: RunConfig) -> None:
    facts = graded(sampling, [1.0] * 32 + [0.0] * 32, anywhere=True)
    assert found(facts, config) == [("warning", "no_signal")]
    (finding,) = judge_sampling(facts, config, 1.0)
    assert "sampling.group_size, now 8" in finding.remedies[0]
    assert "algorithm: dapo" in finding.remedies[0]


@pytest.mark.parametrize("name", ["ppo", "reinforce_pp"])
def test_an_algorithm_that_compares_across_prompts_learns_from_them(name: str, sampling: SamplingFacts) -> None:
    config = build_config({"data": {"task": "add"}, "algorithm": {"name": name}, "sampling": {"max_new_tokens": 16}})
    assert found(graded(sampling, [1.0] * 32 + [0.0] * 32, anywhere=True), config) == []
    nothing = graded(sampling, [0.0] * 64)
    assert found(nothing, config) == [("warning", "too_hard")]
    (finding,) = judge_sampling(nothing, config, None)
    assert finding.evidence == "mean score 0.00, 0 of 64 answers right"


def test_answers_that_are_all_alike_ask_for_a_higher_temperature(sampling: SamplingFacts, config: RunConfig) -> None:
    facts = replace(graded(sampling, [0.3] * 64, judged=False), different_texts=1 / 8)
    (finding,) = judge_sampling(facts, config, None)
    assert "raise sampling.temperature (now 1)" in finding.remedies[0]


@pytest.mark.parametrize(("wrong", "is_easy"), [(3, True), (4, False)])
def test_nearly_all_right_is_little_left_to_learn(
    wrong: int, is_easy: bool, sampling: SamplingFacts, config: RunConfig
) -> None:
    facts = graded(sampling, [0.0] * wrong + [1.0] * (64 - wrong), signal=2)
    assert (("warning", "little_left_to_learn") in found(facts, config)) == is_easy


def test_never_right_but_with_signal_is_a_warning(sampling: SamplingFacts, config: RunConfig) -> None:
    assert found(graded(sampling, [0.0, 0.1] * 32, signal=8), config) == [("warning", "never_right")]


@pytest.mark.parametrize(("signal", "is_little"), [(1, True), (2, False)])
def test_few_groups_with_signal_are_a_warning(
    signal: int, is_little: bool, sampling: SamplingFacts, config: RunConfig
) -> None:
    facts = graded(sampling, [1.0, 0.0] * 32, signal=signal)
    assert found(facts, config) == [("warning", "little_signal")] * is_little


@pytest.mark.parametrize(("truncated", "is_told"), [(0.2, False), (0.21, True)])
def test_many_answers_cut_off_are_a_warning(
    truncated: float, is_told: bool, sampling: SamplingFacts, config: RunConfig
) -> None:
    facts = replace(sampling, truncated=truncated)
    assert found(facts, config) == [("warning", "answers_cut_off")] * is_told
    remedies = [finding.remedies[0] for finding in judge_sampling(facts, config, 1.0)]
    assert all("sampling.max_new_tokens (now 16)" in remedy for remedy in remedies)


@pytest.mark.parametrize(("right", "is_told"), [(13, False), (12, True)])
def test_a_format_that_the_model_does_not_know_is_a_warning(
    right: int, is_told: bool, sampling: SamplingFacts, config: RunConfig
) -> None:
    # A fifth of 64 answers is 12.8.
    grades = [Grade(score=float(index < right), format_ok=index < right) for index in range(64)]
    facts = replace(sampling, scores=collect_scores(grades))
    assert found(facts, config) == [("warning", "format_unknown")] * is_told


@pytest.mark.parametrize(
    ("failed", "severity"), [(3, None), (4, Severity.WARNING), (32, Severity.WARNING), (33, Severity.BLOCKER)]
)
def test_answers_that_cannot_be_scored_are_told(
    failed: int, severity: Severity | None, sampling: SamplingFacts, config: RunConfig
) -> None:
    grades = [*[Grade.unscorable("the judge is away")] * failed, *[Grade(score=0.5)] * (64 - failed)]
    findings = judge_sampling(replace(sampling, scores=collect_scores(grades)), config, None)
    assert [finding.severity for finding in findings] == ([] if severity is None else [severity])
    assert all(finding.evidence == f"the judge is away ({failed} times)" for finding in findings)


def test_where_nothing_can_be_scored_that_is_all_there_is_to_say(sampling: SamplingFacts, config: RunConfig) -> None:
    facts = replace(sampling, scores=collect_scores([Grade.unscorable("away")] * 64), groups_with_signal=0)
    assert found(facts, config) == [("blocker", "model_answers_unscorable")]


def test_smaller_groups_than_those_of_training_are_noted(sampling: SamplingFacts, config: RunConfig) -> None:
    larger = config.model_copy(update={"sampling": config.sampling.model_copy(update={"group_size": 16})})
    assert found(sampling, larger) == [("note", "smaller_groups")]


def test_useful_groups_are_expected_within_wilsons_interval(sampling: SamplingFacts) -> None:
    # Half of 8: 0.2152 to 0.7848.
    low, high = replace(sampling, groups_with_signal=4).useful_groups(10)
    assert (low, high) == pytest.approx((2.152, 7.848), abs=1e-3)


def test_where_a_whole_step_is_compared_groups_of_equal_rewards_teach(
    sampling: SamplingFacts, config: RunConfig
) -> None:
    facts = graded(sampling, [1.0] * 32 + [0.0] * 32, anywhere=True)
    assert [name for _, name in found(facts, config)] == ["no_signal"]
    whole = build_config({"data": {"task": "largest"}, "reward": {"scaling": "batch", "batch_baseline": 1.0}})
    assert found(facts, whole) == []
