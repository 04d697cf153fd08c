"""What OpenAI's `POST /fine_tuning/alpha/graders/run` answers, made from a grade.

Nothing is added to it, so that a program written for OpenAI's API reads ours. A failed grade is a result like any
other: its reward is 0 and its errors say why.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from pydantic import BaseModel, ConfigDict

from verifine.config.graders import AnyGrader, MultiGraderConfig, WeightedGraderConfig
from verifine.types import Grade, GradeFault, TokenUsage


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class JudgeUsage(_Answer):
    """The tokens of one judge."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cached_tokens: int


class GraderErrors(_Answer):
    """What went wrong; every key is always there. The flags are the values of `GradeFault`."""

    formula_parse_error: bool
    sample_parse_error: bool
    truncated_observation_error: bool
    unresponsive_reward_error: bool
    invalid_variable_error: bool
    other_error: bool
    python_grader_server_error: bool
    python_grader_server_error_type: str | None
    python_grader_runtime_error: bool
    python_grader_runtime_error_details: str | None
    model_grader_server_error: bool
    model_grader_server_error_details: str | None
    model_grader_refusal_error: bool
    model_grader_parse_error: bool


class GraderMetadata(_Answer):
    """How the grading went."""

    name: str
    type: str
    execution_time: float
    """In seconds."""
    scores: Mapping[str, float]
    token_usage: int | None
    """The tokens of all judges; None: no judge was asked."""
    sampled_model_name: str | None
    errors: GraderErrors


class GraderResult(_Answer):
    """The whole response."""

    reward: float
    """0 where the answer is unscorable."""
    sub_rewards: Mapping[str, float]
    model_grader_token_usage_per_model: Mapping[str, JudgeUsage]
    metadata: GraderMetadata


_DETAILS: Mapping[GradeFault, str] = {
    GradeFault.PYTHON_SERVER: "python_grader_server_error_type",
    GradeFault.PYTHON_RUNTIME: "python_grader_runtime_error_details",
    GradeFault.MODEL_SERVER: "model_grader_server_error_details",
}
"""The keys that hold the reason of a fault."""


def describe_grade(config: AnyGrader, grade: Grade, seconds: float) -> GraderResult:
    """The response for one answer that took `seconds` to grade."""
    is_combined = isinstance(config, MultiGraderConfig | WeightedGraderConfig)
    tokens = sum((usage.prompt + usage.completion for usage in grade.usage.values()), start=0)
    return GraderResult(
        reward=0.0 if grade.score is None else grade.score,
        sub_rewards=dict(grade.parts) if is_combined else {},
        model_grader_token_usage_per_model={model: _usage(usage) for model, usage in grade.usage.items()},
        metadata=GraderMetadata(
            name=config.name,
            type=config.type,
            execution_time=seconds,
            scores=dict(grade.parts),
            token_usage=tokens if grade.usage else None,
            sampled_model_name=None,
            errors=_errors(grade),
        ),
    )


def _errors(grade: Grade) -> GraderErrors:
    faults: Collection[GradeFault] = grade.faults
    if grade.score is None and not faults:
        faults = {GradeFault.OTHER}  # a reward of 0 that no grader gave always has an error
    flags = {fault.value: fault in faults for fault in GradeFault}
    details = {key: grade.reason if fault in faults else None for fault, key in _DETAILS.items()}
    return GraderErrors.model_validate({**flags, **details})


def _usage(usage: TokenUsage) -> JudgeUsage:
    return JudgeUsage(
        prompt_tokens=usage.prompt,
        completion_tokens=usage.completion,
        total_tokens=usage.prompt + usage.completion,
        cached_tokens=usage.cached,
    )
