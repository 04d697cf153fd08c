"""What an owner is told of a run: from its events and steps to OpenAI's events of a job."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from verifine.runs.evaluations import step_of_name
from verifine.runs.events import (
    EvaluationDone,
    FindingRaised,
    ModelSaved,
    RunEvent,
    TrainingResumed,
    TrainingStarted,
)
from verifine.runs.jsonl import finite
from verifine.service.jobs.job import JobNews
from verifine.service.supervisor.held_out import FINAL
from verifine.service.supervisor.result_files import PART
from verifine.types import Json, StepReport

_TIMES = {"sampling": "timing/generate_s", "training": "timing/update_s", "full_iteration": "step_time"}
"""OpenAI's names for parts of a step, and ours."""


def news_of(event: RunEvent, graders: Mapping[str, str]) -> JobNews | None:
    """None: it is nothing for an owner. `graders`: as `grader_types`."""
    match event:
        case TrainingStarted():
            return JobNews(message="Fine-tuning job started")
        case TrainingResumed(step=step):
            return JobNews(message=f"Fine-tuning job continued from step {step}")
        case ModelSaved(step=step):
            return JobNews(message=f"The model of step {step} was saved")
        case FindingRaised(what=what, severity=severity):
            return JobNews(message=what, level="warn" if severity != "info" else "info")
        case EvaluationDone(name=name, numbers=numbers):
            return _evaluated(name, numbers, graders)
    return None


def grader_types(grader: Json) -> dict[str, str]:
    """The type of each grader of a job by its name; of one that combines others, those of its parts."""
    if not isinstance(grader, dict):
        return {}
    parts = grader.get("graders")
    if isinstance(parts, list):
        parts = {str(part["name"]): part for part in parts if isinstance(part, dict)}
    found = parts if isinstance(parts, dict) else {str(grader.get("name", grader["type"])): grader}
    return {name: str(part["type"]) for name, part in found.items() if isinstance(part, dict)}


def news_of_step(report: StepReport, total_steps: int | None, graders: Mapping[str, str]) -> JobNews:
    """The numbers of a step, under OpenAI's names where it has them, and all of them under ours.

    `graders`: as `grader_types`.
    """
    reward = report.metrics.get("reward")
    thoughts = report.metrics.get("completions/reasoning_tokens")
    of = "" if total_steps is None else f"/{total_steps}"
    told = "" if reward is None else f", train mean reward={reward:.4g}"
    parts = {name.removeprefix(PART): mean for name, mean in report.metrics.items() if name.startswith(PART)}
    times = {name: report.metrics[ours] for name, ours in _TIMES.items() if ours in report.metrics}
    data: dict[str, Json] = {
        "step": report.step,
        "total_steps": total_steps,
        "scores": {
            "train_reward_mean": reward,
            "graders": _grader_scores("train_reward_mean", parts, reward, graders),
        },
        "usage": {"samples": {"train_reasoning_tokens_mean": thoughts}},
        "timing": {"step": _numbers(times)},
        "train_mean_reward": reward,
        "mean_unresponsive_rewards": report.metrics.get("grader/timeout_rate"),
        "reasoning_tokens_mean": thoughts,
        "completion_tokens_mean": report.metrics.get("completions/mean_length"),
        "verifine": _numbers(report.metrics),
    }
    return JobNews(message=f"Step {report.step}{of}{told}", type="metrics", data=data)


def tell_steps(
    reports: Sequence[StepReport], told: int, total_steps: int | None, graders: Mapping[str, str]
) -> tuple[list[JobNews], int]:
    """The news of steps after `told`, and the last step that is told then."""
    new = [report for report in reports if report.step > told]
    return [news_of_step(report, total_steps, graders) for report in new], max([told, *(report.step for report in new)])


def _evaluated(name: str, numbers: Mapping[str, Any], graders: Mapping[str, str]) -> JobNews:
    reward = numbers.get("reward")
    told = f"full validation mean reward={reward:.4g}" if isinstance(reward, int | float) else "no answer was scored"
    value = float(reward) if isinstance(reward, int | float) else None
    data: dict[str, Json] = {
        "evaluation": name,
        "step": None if name == FINAL else step_of_name(name),
        "scores": {
            "valid_reward_mean": value,
            "graders": _grader_scores("valid_reward_mean", numbers.get("parts") or {}, value, graders),
        },
        "full_valid_mean_reward": value,
    }
    return JobNews(message=f"Evaluation {name}: {told}", type="metrics", data=data)


def _grader_scores(
    field: str, parts: Mapping[str, float], whole: float | None, graders: Mapping[str, str]
) -> list[Json]:
    """The mean of each, `whole` if it is the only one; null: there is none."""
    alone = whole if len(graders) == 1 else None
    means = {name: parts.get(name, alone) for name in graders}
    scores = _numbers({name: math.nan if mean is None else mean for name, mean in means.items()})
    return [{"name": name, "type": graders[name], field: score} for name, score in scores.items()]


def _numbers(values: Mapping[str, float]) -> dict[str, Json]:
    return {name: value if finite(value) is not None else None for name, value in values.items()}
