"""OpenAI's graders run and validate, with its own client."""

from __future__ import annotations

from typing import Any

import httpx2
import openai
import pytest

from verifine.config.graders import PythonGraderConfig
from verifine.service.child import ChildLimits, Children
from verifine.service.trials.question import GraderTrial, try_grader_in_child

NO_TIME = ChildLimits(wall_s=0.001, memory_bytes=4 << 30)
STRING_CHECK: dict[str, Any] = {
    "type": "string_check",
    "name": "exact",
    "input": "{{ sample.output_text }}",
    "reference": "{{ item.answer }}",
    "operation": "eq",
}
PYTHON: dict[str, Any] = {"type": "python", "name": "own", "source": "def grade(sample, item):\n    return item['x']\n"}
MULTI: dict[str, Any] = {
    "type": "multi",
    "name": "both",
    "graders": {"exact": STRING_CHECK, "length": {**PYTHON, "source": "def grade(sample, item):\n    return 0.5\n"}},
    "calculate_output": "exact + length",
}


@pytest.mark.parametrize(
    ("grader", "sample", "item", "reward", "errors"),
    [
        (STRING_CHECK, "4", {"answer": "4"}, 1.0, set()),
        (STRING_CHECK, "5", {"answer": "4"}, 0.0, set()),
        (STRING_CHECK, "4", {}, 0.0, {"invalid_variable_error"}),
        (MULTI, "4", {"answer": "4"}, 1.5, set()),
        (PYTHON, "", {"x": 0.25}, 0.25, set()),
        (PYTHON, "", {}, 0.0, {"python_grader_runtime_error", "python_grader_runtime_error_details"}),
        (PYTHON, "", {"x": "a"}, 0.0, {"python_grader_runtime_error", "python_grader_runtime_error_details"}),
    ],
)
def test_an_answer_is_graded_and_a_failure_is_a_result(
    client: openai.OpenAI, grader: Any, sample: str, item: dict[str, Any], reward: float, errors: set[str]
) -> None:
    answer = client.fine_tuning.alpha.graders.run(grader=grader, model_sample=sample, item=item)
    assert answer.reward == reward
    shown = answer.metadata.errors.to_dict()
    assert len(shown) == 14
    assert {name for name, value in shown.items() if value} == errors


def test_the_scores_of_the_parts_are_told(client: openai.OpenAI) -> None:
    answer = client.fine_tuning.alpha.graders.run(grader=MULTI, model_sample="4", item={"answer": "4"})  # type: ignore[arg-type]
    assert answer.sub_rewards == {"exact": 1.0, "length": 0.5}
    assert (answer.metadata.name, answer.metadata.type) == ("both", "multi")


def test_a_valid_grader_comes_back_with_its_defaults(client: openai.OpenAI, http: httpx2.Client) -> None:
    assert client.fine_tuning.alpha.graders.validate(grader=PYTHON).grader is not None  # type: ignore[arg-type]
    answer = http.post("/v1/fine_tuning/alpha/graders/validate", json={"grader": PYTHON}).json()
    assert answer["grader"]["source"] == PYTHON["source"]
    assert answer["grader"]["timeout_s"] == 5.0


@pytest.mark.parametrize(
    ("grader", "param", "code"),
    [
        ({**PYTHON, "source": "def grade(sample, item:\n"}, "grader", "invalid_grader"),
        ({**PYTHON, "source": "x = 1\n"}, "grader", "invalid_grader"),
        ({**STRING_CHECK, "operation": "neq"}, "grader.operation", "invalid_value"),
        ({"type": "magic"}, "grader", "invalid_value"),
        ({"type": "endpoint", "url": "http://10.0.0.1/"}, "grader", "invalid_grader"),
        ({**MULTI, "calculate_output": "exact +"}, "grader.calculate_output", "invalid_value"),
    ],
)
@pytest.mark.parametrize("route", ["run", "validate"])
def test_a_grader_that_cannot_be_used_is_refused(
    http: httpx2.Client, route: str, grader: Any, param: str, code: str
) -> None:
    more = {"model_sample": "4"} if route == "run" else {}
    answer = http.post(f"/v1/fine_tuning/alpha/graders/{route}", json={"grader": grader, **more})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["code"]) == (400, param, code)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"grader": STRING_CHECK}, "model_sample"),
        ({"model_sample": "x"}, "grader"),
        ({"grader": STRING_CHECK, "model_sample": 3}, "model_sample"),
        ({"grader": STRING_CHECK, "model_sample": "", "item": []}, "item"),
    ],
)
def test_a_field_that_is_missing_or_wrong_is_named(http: httpx2.Client, fields: dict[str, Any], param: str) -> None:
    answer = http.post("/v1/fine_tuning/alpha/graders/run", json=fields)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_a_process_of_its_own_gives_the_same_result(children: Children) -> None:
    grader = PythonGraderConfig(type="python", source=PYTHON["source"])
    outcome = try_grader_in_child(children, GraderTrial(grader=grader, sample="", item={"x": 0.25}))
    assert outcome.result is not None
    assert outcome.result.reward == 0.25
    broken = PythonGraderConfig(type="python", source="x = 1\n")
    assert try_grader_in_child(children, GraderTrial(grader=broken, sample=None, item={})).problem is not None


def test_grading_that_takes_too_long_is_a_result(children: Children) -> None:
    grader = PythonGraderConfig(type="python", source=PYTHON["source"])
    outcome = try_grader_in_child(children, GraderTrial(grader=grader, sample="", item={}), NO_TIME)
    assert outcome.result is not None
    assert outcome.result.metadata.errors.unresponsive_reward_error
    assert outcome.result.reward == 0
    only_built = try_grader_in_child(children, GraderTrial(grader=grader, sample=None, item={}), NO_TIME)
    assert only_built.problem is not None
