from __future__ import annotations

import json
from typing import Any

import pytest
from openai.types.fine_tuning.alpha import GraderRunResponse
from openai.types.fine_tuning.alpha.grader_run_response import Metadata, MetadataErrors
from pydantic import BaseModel

from verifine.config.graders import (
    AnyGrader,
    FormatGraderConfig,
    MultiGraderConfig,
    StringCheckGraderConfig,
    WeightedGraderConfig,
)
from verifine.graders.result import describe_grade
from verifine.types import Grade, GradeFault, TokenUsage

CHECK = StringCheckGraderConfig(type="string_check", name="check", input="a", reference="b", operation="eq")
SHORT = FormatGraderConfig(type="format", name="short", pattern="a")
MULTI = MultiGraderConfig(type="multi", name="both", graders={"a": CHECK, "b": SHORT}, calculate_output="a + b")
WEIGHTED = WeightedGraderConfig(
    type="weighted", name="sum", graders={"a": CHECK, "b": SHORT}, weights={"a": 0.5, "b": 0.5}
)

DETAILS = {
    GradeFault.PYTHON_SERVER: "python_grader_server_error_type",
    GradeFault.PYTHON_RUNTIME: "python_grader_runtime_error_details",
    GradeFault.MODEL_SERVER: "model_grader_server_error_details",
}


def response(grade: Grade, config: AnyGrader = CHECK, seconds: float = 0.25) -> dict[str, Any]:
    """What a client reads: the JSON there and back."""
    return dict(json.loads(describe_grade(config, grade, seconds).model_dump_json()))


def errors(grade: Grade) -> dict[str, Any]:
    return dict(response(grade)["metadata"]["errors"])


def keys_of(model: type[BaseModel]) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


def test_the_whole_response_is_as_worked_by_hand() -> None:
    assert response(Grade(score=1.0, parts={"check": 1.0}, answer_ok=True, reason="fine", format_ok=True)) == {
        "reward": 1.0,
        "sub_rewards": {},
        "model_grader_token_usage_per_model": {},
        "metadata": {
            "name": "check",
            "type": "string_check",
            "execution_time": 0.25,
            "scores": {"check": 1.0},
            "token_usage": None,
            "sampled_model_name": None,
            "errors": {
                "formula_parse_error": False,
                "sample_parse_error": False,
                "truncated_observation_error": False,
                "unresponsive_reward_error": False,
                "invalid_variable_error": False,
                "other_error": False,
                "python_grader_server_error": False,
                "python_grader_server_error_type": None,
                "python_grader_runtime_error": False,
                "python_grader_runtime_error_details": None,
                "model_grader_server_error": False,
                "model_grader_server_error_details": None,
                "model_grader_refusal_error": False,
                "model_grader_parse_error": False,
            },
        },
    }


@pytest.mark.parametrize(
    "grade",
    [
        Grade(score=0.5, parts={"a": 1.0, "b": 0.0}, usage={"judge": TokenUsage(prompt=3, completion=2)}),
        *(Grade.unscorable("why", fault) for fault in GradeFault),
    ],
)
@pytest.mark.parametrize("config", [CHECK, MULTI, WEIGHTED])
def test_openais_client_accepts_it_and_knows_every_key(grade: Grade, config: AnyGrader) -> None:
    told = response(grade, config)
    parsed = GraderRunResponse.model_validate(told, strict=True)
    assert parsed.to_dict() == told
    assert set(told) == keys_of(GraderRunResponse)
    assert set(told["metadata"]) == keys_of(Metadata)
    assert set(told["metadata"]["errors"]) == keys_of(MetadataErrors)


@pytest.mark.parametrize("fault", GradeFault)
def test_each_fault_raises_its_flag_and_no_other(fault: GradeFault) -> None:
    told = errors(Grade.unscorable("line 3 raised ValueError", fault))
    assert [key for key, value in told.items() if value is True] == [fault.value]
    details = {key: value for key, value in told.items() if not isinstance(value, bool)}
    expected = dict.fromkeys(DETAILS.values(), None) | (
        {DETAILS[fault]: "line 3 raised ValueError"} if fault in DETAILS else {}
    )
    assert details == expected


def test_several_faults_raise_several_flags_with_one_reason() -> None:
    faults = frozenset({GradeFault.MODEL_SERVER, GradeFault.UNRESPONSIVE_REWARD})
    told = errors(Grade(score=None, reason="no answer in 60 s", faults=faults))
    assert told["model_grader_server_error"]
    assert told["unresponsive_reward_error"]
    assert told["model_grader_server_error_details"] == "no answer in 60 s"


def test_unscorable_is_a_reward_of_0_that_is_never_without_an_error() -> None:
    told = response(Grade(score=None))
    assert told["reward"] == 0.0
    assert told["metadata"]["errors"]["other_error"]


def test_an_answer_that_failed_keeps_its_score_and_has_its_flag() -> None:
    told = response(Grade.failed("the answer is not JSON", GradeFault.SAMPLE_PARSE))
    assert (told["reward"], told["metadata"]["errors"]["sample_parse_error"]) == (0.0, True)
    assert not told["metadata"]["errors"]["other_error"]


@pytest.mark.parametrize(("config", "expected"), [(CHECK, {}), (MULTI, {"a": 1, "b": 0}), (WEIGHTED, {"a": 1, "b": 0})])
def test_only_combined_graders_have_sub_rewards(config: AnyGrader, expected: dict[str, float]) -> None:
    told = response(Grade(score=0.5, parts={"a": 1.0, "b": 0.0}), config)
    assert told["sub_rewards"] == expected
    assert told["metadata"]["scores"] == {"a": 1, "b": 0}
    assert (told["metadata"]["name"], told["metadata"]["type"]) == (config.name, config.type)


def test_tokens_are_told_for_each_judge_and_in_all() -> None:
    usage = {"small": TokenUsage(prompt=100, completion=20, cached=64), "large": TokenUsage(prompt=7, completion=1)}
    told = response(Grade(score=1.0, usage=usage))
    assert told["metadata"]["token_usage"] == 128
    assert told["model_grader_token_usage_per_model"] == {
        "small": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120, "cached_tokens": 64},
        "large": {"prompt_tokens": 7, "completion_tokens": 1, "total_tokens": 8, "cached_tokens": 0},
    }
