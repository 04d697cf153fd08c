"""The metrics of a step's answers."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from verifine.batch import RolloutBatch, sampled_entropy
from verifine.insights.scores import quantile
from verifine.runs.evaluations import mean_of_each
from verifine.training.group_outcomes import outcome_shares
from verifine.types import Grade, GradeFault, Group


def summarize(groups: Sequence[Group], pass_score: float | None) -> dict[str, float]:
    """Metrics over every answer that was sampled and graded in a step, kept for training or not.

    `pass_score` is as in `Trainer`.
    Unscorable answers count in `unscorable` and in the lengths, nowhere else. `reward_std` is the unbiased standard
    deviation within a group, averaged over the groups with two scores or more. `completions/entropy_estimate` is minus
    the log-probability of an answer, averaged: its expectation is the entropy of an answer, and unlike the learner's
    `entropy` it is known of a step without an update. A metric is left out where no grade says anything about it.
    """
    rollouts = RolloutBatch.of(groups)
    rewards = [row[ok] for row, ok in zip(rollouts.rewards, rollouts.valid, strict=True) if ok.any()]
    spreads = [row.std().item() for row in rewards if len(row) > 1]
    every_reward = [value for row in rewards for value in row.tolist()]
    lengths = torch.tensor([float(len(rollout.token_ids)) for group in groups for rollout in group.rollouts])
    every_grade = [grade for group in groups for grade in group.grades]
    grades = [grade for grade in every_grade if grade.valid]
    metrics = {
        "unscorable": float(len(every_grade) - len(grades)),
        "completions/mean_length": lengths.mean().item(),
        "completions/min_length": lengths.min().item(),
        "completions/max_length": lengths.max().item(),
        "completions/clipped_ratio": rollouts.truncated().sum().item() / len(lengths),
        "completions/entropy_estimate": (sampled_entropy(groups) or 0.0) * lengths.mean().item(),
    }
    thoughts = [each.reasoning_tokens for group in groups for each in group.rollouts]
    counted = [float(tokens) for tokens in thoughts if tokens is not None]
    ended = [float(bool(each.forced)) for group in groups for each in group.rollouts]
    optional = {
        "completions/reasoning_tokens": _mean(counted),
        "completions/thinking_clipped_ratio": _mean(ended) if counted else None,
        "reward": _mean(every_reward),
        "reward_std": _mean(spreads),
        "frac_reward_zero_std": _mean([float((row == row[0]).all()) for row in rewards]),
        "format_accuracy": _mean([float(grade.format_ok) for grade in grades if grade.format_ok is not None]),
        "answer_accuracy": _mean([float(grade.answer_ok) for grade in grades if grade.answer_ok is not None]),
    }
    return {
        **{name: value for name, value in optional.items() if value is not None},
        **{f"rewards/{name}": mean for name, mean in mean_of_each(grade.parts for grade in grades).items()},
        **outcome_shares(groups, pass_score),
        **metrics,
        **_grading(every_grade),
    }


def _grading(grades: Sequence[Grade]) -> dict[str, float]:
    """The grader's speed and failures, and the tokens of its judges."""
    seconds = sorted(grade.seconds for grade in grades)
    metrics = {
        "grader/latency_p50": quantile(seconds, 0.5),
        "grader/latency_p95": quantile(seconds, 0.95),
        "grader/error_rate": sum(bool(grade.faults) for grade in grades) / len(grades),
        "grader/timeout_rate": sum(GradeFault.UNRESPONSIVE_REWARD in grade.faults for grade in grades) / len(grades),
    }
    usages = [usage for grade in grades for usage in grade.usage.values()]
    if usages:
        metrics["grader/judge_tokens"] = float(sum(usage.prompt + usage.completion for usage in usages))
    return metrics


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
