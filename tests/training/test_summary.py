from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from verifine.runs.metrics import explain_metrics
from verifine.training.summary import summarize
from verifine.types import FinishReason, Grade, GradeFault, Group, Prompt, Rollout, TokenUsage


def graded(grades: Sequence[Grade]) -> Group:
    prompt = Prompt(id="p", token_ids=(1,), item={})
    rollout = Rollout(
        prompt=prompt,
        token_ids=(2, 3),
        behaviour_logprobs=(-1.0, -1.0),
        text="x",
        finish_reason=FinishReason.STOP,
    )
    return Group(prompt=prompt, rollouts=(rollout,) * len(grades), grades=tuple(grades))


def test_a_part_is_averaged_over_the_scored_answers_that_have_it() -> None:
    broken = Grade(score=None, reason="broken", parts={"style": 100.0})
    groups = [
        graded([Grade(score=1.0, parts={"style": 1.0, "right": 1.0}), broken]),
        graded([Grade(score=0.0, parts={"style": 0.5, "right": 0.0}), Grade(score=0.5, parts={"style": 0.0})]),
    ]
    metrics = summarize(groups, None)
    assert {name: value for name, value in metrics.items() if name.startswith("rewards/")} == {
        "rewards/style": (1.0 + 0.5 + 0.0) / 3,
        "rewards/right": (1.0 + 0.0) / 2,
    }
    assert metrics["reward"] == 0.5
    assert metrics["unscorable"] == 1


def test_a_step_without_a_scored_answer_has_no_parts() -> None:
    metrics = summarize([graded([Grade.unscorable("broken")] * 2)], None)
    assert not [name for name in metrics if name.startswith("reward")]


def test_every_number_of_a_summary_is_explained() -> None:
    metrics = summarize(
        [graded([Grade(score=1.0, parts={"": 1.0, "a/b": 2.0}, format_ok=True, answer_ok=False)] * 2)], None
    )
    assert {metric.name for metric in explain_metrics(metrics)} == metrics.keys()


def test_the_graders_speed_failures_and_tokens_are_counted_over_every_answer() -> None:
    timeout = Grade.unscorable("too slow", GradeFault.UNRESPONSIVE_REWARD, seconds=5.0)
    no_json = Grade.failed("no JSON", GradeFault.SAMPLE_PARSE)
    judged = [
        Grade(score=1.0, seconds=float(i), usage={"judge": TokenUsage(prompt=10, completion=2, cached=5)})
        for i in range(1, 3)
    ]
    metrics = summarize([graded([timeout, no_json]), graded(judged)], None)
    assert {name: value for name, value in metrics.items() if name.startswith("grader/")} == {
        "grader/latency_p50": 1.0,  # of 0, 1, 2 and 5 seconds
        "grader/latency_p95": 5.0,
        "grader/error_rate": 0.5,
        "grader/timeout_rate": 0.25,
        "grader/judge_tokens": 24.0,
    }
    assert metrics["unscorable"] == 1


def test_without_a_judge_no_tokens_are_counted() -> None:
    assert "grader/judge_tokens" not in summarize([graded([Grade(score=1.0)] * 2)], None)


def test_the_entropy_of_an_answer_is_estimated_from_all_of_them() -> None:
    def answered(*logprobs: float) -> Rollout:
        (rollout, *_) = graded([Grade(score=1.0)]).rollouts
        return replace(rollout, token_ids=(2,) * len(logprobs), behaviour_logprobs=logprobs)

    group = graded([Grade(score=1.0), Grade.unscorable("broken")])
    group = replace(group, rollouts=(answered(-0.5, -1.5), answered(-0.25)))
    assert summarize([group], None)["completions/entropy_estimate"] == (2.0 + 0.25) / 2


def test_the_estimate_of_the_entropy_of_an_answer_has_no_bias() -> None:
    """Answers of one token, or of that and one of two more: the entropy is H(0.25) + 0.25 ln 2."""
    generator = random.Random(0)

    def answer() -> tuple[float, ...]:
        return (math.log(0.25), math.log(0.5)) if generator.random() < 0.25 else (math.log(0.75),)

    group = graded([Grade(score=1.0)] * 20_000)
    rollouts = tuple(
        replace(rollout, token_ids=(2,) * len(logprobs), behaviour_logprobs=logprobs)
        for rollout in group.rollouts
        if (logprobs := answer())
    )
    expected = -0.25 * math.log(0.25) - 0.75 * math.log(0.75) + 0.25 * math.log(2)
    found = summarize([replace(group, rollouts=rollouts)], None)["completions/entropy_estimate"]
    assert found == pytest.approx(expected, abs=0.02)


def test_tokens_of_thoughts_are_averaged_where_they_are_counted() -> None:
    group = graded([Grade(score=1.0), Grade(score=0.0)])
    assert not {name for name in summarize([group], None) if "reasoning" in name or "thinking" in name}
    (one, other) = group.rollouts
    thinking = replace(
        group, rollouts=(replace(one, reasoning_tokens=5, forced=(1,)), replace(other, reasoning_tokens=0))
    )
    metrics = summarize([thinking], None)
    assert metrics["completions/reasoning_tokens"] == 2.5
    assert metrics["completions/thinking_clipped_ratio"] == 0.5
    assert len(explain_metrics(dict.fromkeys(metrics, 0.0))) == len(metrics)
