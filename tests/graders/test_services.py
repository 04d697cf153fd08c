from __future__ import annotations

from verifine.config import EmbedderConfig, GradingConfig, ServiceConfig
from verifine.graders import Services
from verifine.graders.sandbox import Level

JUDGE = ServiceConfig(base_url="http://127.0.0.1:1/v1")
OTHER = ServiceConfig(base_url="http://127.0.0.1:2/v1")
RUN = GradingConfig(workers=3, judge=OTHER, embedder=EmbedderConfig(base_url="http://127.0.0.1:3/v1", model="m"))


def test_a_runs_grading_section_is_used_with_the_same_environment_and_level() -> None:
    services = Services(environment={"KEY": "x"}, level=Level.UNSAFE).for_run(RUN)
    assert services.grading == RUN
    assert (services.environment, services.is_unsafe) == ({"KEY": "x"}, True)


def test_a_judge_that_was_given_before_takes_precedence_over_the_runs() -> None:
    services = Services(grading=GradingConfig(judge=JUDGE)).for_run(RUN)
    assert services.judge() == JUDGE
    assert services.grading == RUN.model_copy(update={"judge": JUDGE})
    assert not services.is_unsafe
