from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from verifine.config.graders import EndpointGraderConfig
from verifine.errors import GraderError
from verifine.graders import build_grader
from verifine.graders.endpoint import EndpointGrader
from verifine.graders.remote import Clock
from verifine.graders.services import Services
from verifine.types import Grade, GradeFault, Sample

if TYPE_CHECKING:
    from tests.graders.remote.conftest import StubService

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()

Ask = Callable[..., Grade]


@pytest.fixture
def ask(service: StubService, clock: Clock) -> Ask:
    """`ask(sample, environment, token_env=..., ...)`: the grade of one sample."""

    def grade(sample: Sample | None = None, environment: dict[str, str] | None = None, **more: Any) -> Grade:
        config = EndpointGraderConfig(type="endpoint", name="mine", url=f"{service.url}/grade", **more)
        grader = build_grader(config, Services(environment=environment or {}, clock=clock))
        try:
            (only,) = grader.grade([sample or Sample(output_text="hi", item={})])
        finally:
            grader.close()
        return only

    return grade


def test_the_whole_request(service: StubService, clock: Clock) -> None:
    service.answers(service.answer({"score": 1}))
    config = EndpointGraderConfig(
        type="endpoint", url=f"{service.url}/grade", headers={"X-Team": "a"}, token_env="TOKEN"
    )
    grader = EndpointGrader(
        config, Services(environment={"TOKEN": "t0"}, clock=clock), new_id=iter(["1", "2"]).__next__
    )
    grader.grade([Sample(output_text="é", item={"gt": [1, None]}), Sample(output_text="é", item={})])
    grader.close()
    first, second = sorted(service.seen, key=lambda seen: str(seen.json["trace_id"]))
    assert first.path == "/grade"
    assert {"x-team": "a", "authorization": "Bearer t0", "content-type": "application/json"}.items() <= (
        first.headers.items()
    )
    assert not any(name.startswith("webhook") for name in first.headers)
    message = {"role": "assistant", "content": "é"}
    assert first.json == {
        "sample": {
            "output_text": "é",
            "output_json": None,
            "output_tools": [],
            "choices": [{"index": 0, "message": message}],
            "opened_text": "",
            "reasoning_text": "",
        },
        "item": {"gt": [1, None]},
        "trace_id": "msg_1",
    }
    assert second.json["trace_id"] == "msg_2"


def test_a_score_and_nothing_else(service: StubService, ask: Ask) -> None:
    service.answers(service.answer({"score": -2.5}))
    result = ask()
    assert result.seconds > 0
    assert replace(result, seconds=0.0) == Grade(score=-2.5, parts={"mine": -2.5})


def test_everything_that_can_be_said(service: StubService, ask: Ask) -> None:
    answer = {"score": 1, "parts": {"a": 0.5, "b": 1}, "format_ok": True, "answer_ok": False, "reason": "so"}
    service.answers(service.answer(answer))
    assert replace(ask(), seconds=0.0) == Grade(
        score=1.0, reason="so", parts={"a": 0.5, "b": 1.0}, format_ok=True, answer_ok=False
    )


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ([], "as a whole: "),
        (None, "as a whole: "),
        (1.0, "as a whole: "),
        ({}, "score: Field required"),
        ({"score": "1"}, "score: "),
        ({"score": True}, "score: "),
        ({"score": 10**400}, "score: "),
        ({"score": 1, "parts": {"a": "1"}}, "parts.a: "),
        ({"score": 1, "parts": [1]}, "parts: "),
        ({"score": 1, "format_ok": 1}, "format_ok: "),
        ({"score": 1, "answer_ok": "yes"}, "answer_ok: "),
        ({"score": 1, "reason": 7}, "reason: "),
        ({"score": 1, "anwser_ok": True}, "anwser_ok: "),
        ({"reward": 1, "score": "x"}, "and 1 more faults"),
    ],
)
def test_an_answer_of_another_form_is_unscorable_and_says_where(
    service: StubService, ask: Ask, answer: object, told: str
) -> None:
    service.answers(service.answer(answer))
    result = ask()
    assert result.score is None
    assert result.faults == {GradeFault.OTHER}
    assert result.reason is not None
    assert result.reason.startswith('the endpoint\'s answer is not {"score": number, ...}: ')
    assert told in result.reason


@pytest.mark.parametrize("body", [b"", b"oops", b'{"score": NaN}', b'{"score": 1e999}', b'{"score": 1, "score": 2}'])
def test_what_is_not_json_is_unscorable(service: StubService, ask: Ask, body: bytes) -> None:
    service.answers(service.answer(body=body))
    assert ask().faults == {GradeFault.OTHER}


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"score": None, "reason": "no such account"}, "the endpoint says: no such account"),
        ({"score": None}, "the endpoint says: no score, and no reason"),
    ],
)
def test_the_service_may_say_that_it_cannot_score(service: StubService, ask: Ask, answer: object, told: str) -> None:
    service.answers(service.answer(answer))
    assert replace(ask(), seconds=0.0) == Grade.unscorable(told)


def test_a_service_that_is_too_slow_is_told_apart(service: StubService, ask: Ask) -> None:
    service.answers(service.answer(drips="headers"))
    assert ask(timeout_s=0.05, max_retries=0).faults == {GradeFault.UNRESPONSIVE_REWARD}


def test_a_service_that_says_no_is_unscorable_in_its_words(service: StubService, ask: Ask) -> None:
    service.answers(service.answer({"detail": "no such team"}, status=403))
    result = ask()
    assert result.faults == {GradeFault.OTHER}
    assert result.reason == (
        f"the endpoint gave no score: {service.url}/grade answered with status 403: no such team; check the key that "
        "is sent"
    )


def test_a_request_that_is_made_again_says_that_it_is_the_same(
    service: StubService, ask: Ask, pauses: list[float]
) -> None:
    service.answers(service.answer(status=503), service.answer(resets=True), service.answer({"score": 1}))
    assert ask(environment={"SECRET": SECRET}, secret_env="SECRET").score == 1
    assert len(pauses) == 2
    assert len({seen.body for seen in service.seen}) == 1
    assert {seen.headers["webhook-id"] for seen in service.seen} == {service.seen[0].json["trace_id"]}


def test_a_signature_is_what_the_specification_says(service: StubService, ask: Ask) -> None:
    service.answers(service.answer({"score": 1}))
    ask(environment={"SECRET": SECRET + "\n"}, secret_env="SECRET")
    (seen,) = service.seen
    signed = f"{seen.headers['webhook-id']}.1700000000.".encode() + seen.body
    assert seen.headers["webhook-timestamp"] == "1700000000"
    wanted = base64.b64encode(hmac.digest(KEY, signed, hashlib.sha256)).decode()
    assert seen.headers["webhook-signature"] == f"v1,{wanted}"


def test_each_attempt_is_signed_at_its_own_time(service: StubService) -> None:
    times = iter([1000.0, 1000.0, 1400.0])

    async def sleep(_: float) -> None:
        pass

    service.answers(service.answer(status=503), service.answer({"score": 1}))
    config = EndpointGraderConfig(type="endpoint", url=service.url, secret_env="SECRET")
    clock = Clock(sleep=sleep, now=times.__next__)
    grader = EndpointGrader(config, Services(environment={"SECRET": SECRET}, clock=clock))
    grader.grade([Sample(output_text="", item={})])
    grader.close()
    assert [seen.headers["webhook-timestamp"] for seen in service.seen] == ["1000", "1400"]


def test_openais_client_accepts_the_signature(service: StubService) -> None:
    openai = pytest.importorskip("openai")
    service.answers(service.answer({"score": 1}))
    config = EndpointGraderConfig(type="endpoint", url=service.url, secret_env="SECRET")
    grader = EndpointGrader(config, Services(environment={"SECRET": SECRET}, clock=Clock(now=time.time)))
    grader.grade([Sample(output_text="é", item={})])
    grader.close()
    (seen,) = service.seen
    webhooks = openai.OpenAI(api_key="x", webhook_secret=SECRET).webhooks
    webhooks.verify_signature(seen.body.decode(), seen.headers)
    with pytest.raises(openai.InvalidWebhookSignatureError):
        webhooks.verify_signature(seen.body.decode() + " ", seen.headers)


@pytest.mark.parametrize(
    "item", [{"x": float("nan")}, {"x": "\ud800"}, {"x": object()}], ids=["NaN", "half a character", "no JSON"]
)
def test_a_row_that_json_cannot_say_is_unscorable_and_not_sent(service: StubService, ask: Ask, item: Any) -> None:
    result = ask(Sample(output_text="", item=item))
    assert result.faults == {GradeFault.OTHER}
    assert result.reason is not None
    assert result.reason.startswith("the row cannot be sent to the endpoint as JSON: ")
    assert service.seen == []


@pytest.mark.parametrize(
    ("more", "environment", "told"),
    [
        ({"token_env": "TOKEN"}, {}, "variable TOKEN is not set"),
        ({"secret_env": "SECRET"}, {}, "variable SECRET is not set"),
        ({"secret_env": "SECRET"}, {"SECRET": "hunter2"}, r"secret_env: SECRET: must be whsec_"),
        ({"token_env": "TOKEN"}, {"TOKEN": "hunter2\nx: y"}, "variable TOKEN is not plain ASCII"),
        ({"headers": {"x y": "1"}}, {}, r"headers\.x y: not a header"),
        ({"headers": {"x": "1\r\ny: 2"}}, {}, r"headers\.x: not a header"),
        ({"headers": {"Content-Length": "1"}}, {}, r"headers\.Content-Length: set by Verifine itself"),
    ],
)
def test_what_cannot_be_sent_is_told_when_the_grader_is_built(
    ask: Ask, more: dict[str, Any], environment: dict[str, str], told: str
) -> None:
    with pytest.raises(GraderError, match=told) as caught:
        ask(environment=environment, **more)
    assert "hunter2" not in str(caught.value)


def test_a_token_and_a_secret_are_in_no_message_and_no_repr(service: StubService, clock: Clock) -> None:
    environment = {"TOKEN": "hunter2hunter2", "SECRET": SECRET}
    service.answers(service.answer(body=b"who is hunter2hunter2?", status=400))
    config = EndpointGraderConfig(type="endpoint", url=service.url, token_env="TOKEN", secret_env="SECRET")
    grader = EndpointGrader(config, Services(environment=environment, clock=clock))
    (result,) = grader.grade([Sample(output_text="", item={})])
    shown = "".join(map(repr, (result, grader, vars(grader))))
    grader.close()
    assert "who is [secret]?" in (result.reason or "")
    assert "hunter2" not in shown
    assert SECRET not in shown
