"""Which service a judge asks: that of the configuration, or that of the environment."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from verifine.config.graders import ScoreModelGraderConfig
from verifine.config.grading import GradingConfig, ServiceConfig
from verifine.errors import GraderError
from verifine.graders import build_grader
from verifine.graders.services import Services
from verifine.types import Grade, Sample

if TYPE_CHECKING:
    from tests.graders.remote.conftest import StubService

MakeServices = Callable[..., Services]

JUDGE = ScoreModelGraderConfig.model_validate(
    {
        "type": "score_model",
        "name": "kind",
        "model": "judge-1",
        "input": [{"role": "user", "content": "How kind is: {{ sample.output_text }}"}],
    }
)


def grade(services: Services) -> Grade:
    grader = build_grader(JUDGE, services)
    try:
        (only,) = grader.grade([Sample(output_text="Hello", item={})])
        return only
    finally:
        grader.close()


def test_without_a_judge_the_way_to_one_is_told() -> None:
    with pytest.raises(GraderError, match=r"grading\.judge\.base_url, .* OPENAI_BASE_URL"):
        build_grader(JUDGE, Services(environment={"OPENAI_API_KEY": "sk-1"}))


def test_the_environment_of_openais_clients_is_used_where_the_configuration_names_no_judge(
    service: StubService,
) -> None:
    service.answers(service.verdict(1))
    environment = {"OPENAI_BASE_URL": f"{service.url}/v1/", "OPENAI_API_KEY": "sk-1"}
    assert grade(Services(environment=environment)).score == 1
    del environment["OPENAI_API_KEY"]
    assert grade(Services(environment=environment)).score == 1
    assert [(seen.path, seen.headers.get("authorization")) for seen in service.seen] == [
        ("/v1/chat/completions", "Bearer sk-1"),
        ("/v1/chat/completions", None),
    ]


def test_the_configuration_goes_before_the_environment(service: StubService, make_services: MakeServices) -> None:
    service.answers(service.verdict(1))
    environment = {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1", "OPENAI_API_KEY": "sk-1"}
    assert grade(make_services(environment)).score == 1
    assert "authorization" not in service.seen[0].headers, "a key goes only where the configuration sends it"


@pytest.mark.parametrize(
    ("judge", "environment", "told"),
    [
        (None, {"OPENAI_BASE_URL": "judge:8000"}, "OPENAI_BASE_URL"),
        (ServiceConfig(base_url="http://judge/v1", api_key_env="JUDGE_KEY"), {}, "JUDGE_KEY"),
    ],
)
def test_a_judge_that_cannot_be_asked_is_told_when_the_grader_is_built(
    judge: ServiceConfig | None, environment: dict[str, str], told: str
) -> None:
    with pytest.raises(GraderError, match=told) as caught:
        build_grader(JUDGE, Services(grading=GradingConfig(judge=judge), environment=environment))
    assert "hunter2" not in str(caught.value)
