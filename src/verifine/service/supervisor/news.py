"""What an owner is told of a run: from its events and steps to OpenAI's events of a job."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from verifine.insights.findings import Finding, Severity, finding_text
from verifine.runs.evaluations import step_of_name
from verifine.runs.events import (
    EvaluationDone,
    FindingRaised,
    ModelSaved,
    RunChecked,
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


def tell_run(
    events: Sequence[RunEvent],
    steps: Sequence[tuple[int, JobNews]],
    graders: Mapping[str, str],
    model_step: int | None,
) -> list[JobNews]:
    """The news of events and of steps, in the order in which they happened, though they come from two files.

    `graders`: as `grader_types`; `model_step`: of the model that was saved last, None: none was.
    """
    told: list[JobNews] = []
    left = list(steps)
    for event in events:
        after = _steps_before(event)
        while left and left[0][0] <= after:
            told.append(left.pop(0)[1])
        model_step = event.step if isinstance(event, ModelSaved) else model_step
        told += news_of(event, graders, model_step)
    return [*told, *(news for _, news in left)]


def _steps_before(event: RunEvent) -> float:
    """How many steps had been taken when it happened; 0: that is not known."""
    match event:
        case EvaluationDone(name=name):
            return math.inf if name == FINAL else step_of_name(name)
        case ModelSaved(step=step):
            return step
        case FindingRaised(steps=(_, last)):
            return last
    return 0


def news_of(event: RunEvent, graders: Mapping[str, str], model_step: int | None) -> list[JobNews]:
    """What an owner is told of it. The other arguments as in `tell_run`."""
    match event:
        case RunChecked(findings=findings):
            return [
                _found(each["severity"], each["what"], each.get("evidence", ""), each.get("remedies", ()))
                for each in findings
                if each["severity"] not in (Severity.NOTE, Severity.BLOCKER)  # which the run ends with
            ]
        case TrainingStarted():
            return [JobNews(message="Fine-tuning job started")]
        case TrainingResumed(step=step):
            return [JobNews(message=f"Fine-tuning job continued from step {step}")]
        case ModelSaved(step=step):
            return [JobNews(message=f"The model of step {step} was saved")]
        case FindingRaised():
            return [_found(event.severity, event.what, event.evidence, event.remedies)]
        case EvaluationDone(name=name, numbers=numbers):
            return [_evaluated(name, numbers, graders, model_step)]
    return []


def news_of_finding(finding: Finding) -> JobNews:
    return _found(finding.severity, finding.what, finding.evidence, finding.remedies)


def _found(severity: str, what: str, evidence: str, remedies: Sequence[str]) -> JobNews:
    message = finding_text(what, evidence, remedies[:1])
    return JobNews(message=message, level="info" if severity == Severity.NOTE else "warn")


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


def news_of_steps(
    reports: Sequence[StepReport], told: int, total_steps: int | None, graders: Mapping[str, str]
) -> list[tuple[int, JobNews]]:
    """The news of steps after `told`."""
    new = (report for report in reports if report.step > told)
    return [(report.step, news_of_step(report, total_steps, graders)) for report in new]


def _evaluated(name: str, numbers: Mapping[str, Any], graders: Mapping[str, str], model_step: int | None) -> JobNews:
    reward = numbers.get("reward")
    told = f"full validation mean reward={reward:.4g}" if isinstance(reward, int | float) else "no answer was scored"
    value = float(reward) if isinstance(reward, int | float) else None
    data: dict[str, Json] = {
        "evaluation": name,
        "step": model_step if name == FINAL else step_of_name(name),
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
