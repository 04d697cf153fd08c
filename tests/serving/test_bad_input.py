"""Requests that are wrong, too large or too many: each with the envelope and code of OpenAI's API."""

from __future__ import annotations

import copy
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import httpx2
import openai
import pytest
from tests.serving.conftest import LIMITS
from transformers import PreTrainedTokenizerFast

from verifine.serving import ServedModel, ServingLimits
from verifine.serving.prompts import read_chat, read_texts
from verifine.testing.servers import RunningServer, running_server
from verifine.wire.api_error import ApiError
from verifine.wire.completion_requests import ChatRequest, CompletionRequest

USER = {"role": "user", "content": "Hi"}
CHAT: dict[str, Any] = {"model": "tiny", "messages": [USER]}
LONGEST_PROMPT = LIMITS.context_tokens


@pytest.fixture
def plain(server: RunningServer) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=server.url) as client:
        yield client


def refusal(response: httpx2.Response) -> tuple[int, str, str | None, str | None]:
    """Status, type, param and code."""
    assert response.headers["x-request-id"]
    (error,) = response.json().values()
    assert set(error) == {"message", "type", "param", "code"}
    assert "Traceback" not in error["message"]
    return response.status_code, error["type"], error["param"], error["code"]


def image(kind: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "text", "text": "What is it?"}, {"type": kind, kind: {"url": "x"}}]}


def schema_format(schema: dict[str, Any]) -> dict[str, Any]:
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}}


CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": ["Hi"]}, "messages"),
        ({"messages": [{"content": "Hi"}]}, "messages"),
        ({"messages": [{"role": "robot", "content": "Hi"}]}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages"),
        ({"messages": [USER, {"role": "assistant", "content": "Yes"}]}, "messages"),
        ({"messages": [USER, {"role": "tool", "content": "5", "tool_call_id": "c1"}]}, "messages"),
        ({"messages": [USER, {"role": "assistant", "tool_calls": [CALL]}, USER]}, "messages"),
        ({"messages": [image("image_url")]}, "messages"),
        ({"messages": [image("input_audio")]}, "messages"),
        ({"n": 5}, "n"),
        ({"max_tokens": 101}, "max_tokens"),
        ({"max_completion_tokens": 101}, "max_completion_tokens"),
        ({"logit_bias": {"5000": 1}}, "logit_bias"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools"),
        ({"tools": [{"type": "function", "function": {"name": "add"}}]}, "tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        (schema_format({"type": "strin"}), "response_format"),
        (schema_format({"not": {}}), "response_format"),
    ],
)  # fmt: skip
def test_a_chat_that_cannot_be_answered_is_refused(plain: httpx2.Client, fields: dict[str, Any], param: str) -> None:
    response = plain.post("/v1/chat/completions", json=CHAT | fields)
    assert refusal(response) == (400, "invalid_request_error", param, "invalid_value")


@pytest.mark.parametrize(("kind", "word"), [("image_url", "image"), ("input_audio", "audio"), ("file", "file")])
def test_what_is_no_text_is_named(plain: httpx2.Client, kind: str, word: str) -> None:
    message = plain.post("/v1/chat/completions", json=CHAT | {"messages": [image(kind)]}).json()["error"]["message"]
    assert word in message
    assert "messages[0].content[1]" in message


@pytest.mark.parametrize("path", ["chat/completions", "completions"])
def test_an_unknown_model_is_not_found_before_a_stream_begins(plain: httpx2.Client, path: str) -> None:
    fields = {"model": "gpt-5", "messages": [USER], "stream": True} if "chat" in path else {"model": "x", "prompt": "a"}
    assert refusal(plain.post(f"/v1/{path}", json=fields)) == (
        404,
        "invalid_request_error",
        "model",
        "model_not_found",
    )


@pytest.mark.parametrize(("characters", "more"), [(LONGEST_PROMPT, {}), (LONGEST_PROMPT - 50, {"max_tokens": 60})])
def test_a_prompt_longer_than_the_context_is_told_with_both_numbers(
    plain: httpx2.Client, characters: int, more: dict[str, Any]
) -> None:
    messages = [{"role": "user", "content": "x" * characters}]
    response = plain.post("/v1/chat/completions", json=CHAT | {"messages": messages} | more)
    assert refusal(response) == (400, "invalid_request_error", "messages", "context_length_exceeded")
    message = response.json()["error"]["message"]
    assert f"{characters + 7} tokens" in message
    assert f"{LONGEST_PROMPT} tokens" in message


class MeasuringTokenizer(PreTrainedTokenizerFast):  # type: ignore[misc]
    """Remembers the longest text that it was given."""

    longest = 0

    def __call__(self, text: Any, *args: Any, **kwargs: Any) -> Any:
        type(self).longest = max(self.longest, len(text))
        return super().__call__(text, *args, **kwargs)


def test_a_text_of_megabytes_is_refused_before_all_of_it_is_read(served: ServedModel) -> None:
    measuring = copy.deepcopy(served.renderer)
    measuring.__class__ = MeasuringTokenizer
    place = replace(served, renderer=measuring)
    text = "x" * 4_000_000
    chat = ChatRequest(model="tiny", messages=[{"role": "user", "content": text}])
    completion = CompletionRequest(model="tiny", prompt=["a", text])
    reads: dict[str, Callable[[], object]] = {
        "messages": lambda: read_chat(place, chat),
        "prompt": lambda: read_texts(place, completion),
    }
    for param, read in reads.items():
        with pytest.raises(ApiError, match=f"more than {2 * LONGEST_PROMPT} tokens") as caught:
            read()
        assert (caught.value.body.param, caught.value.body.code) == (param, "context_length_exceeded")
    assert 0 < MeasuringTokenizer.longest <= 32 * LONGEST_PROMPT


@pytest.mark.parametrize(
    ("prompt", "param"), [([], "prompt"), ("", "prompt"), ([[]], "prompt"), ([5000], "prompt"), (["a"] * 33, "prompt")]
)
def test_a_completion_that_cannot_be_answered_is_refused(plain: httpx2.Client, prompt: object, param: str) -> None:
    response = plain.post("/v1/completions", json={"model": "tiny", "prompt": prompt})
    assert refusal(response) == (400, "invalid_request_error", param, "invalid_value")


def test_a_body_that_is_no_json_is_refused(plain: httpx2.Client) -> None:
    response = plain.post("/v1/chat/completions", content=b'{"model": ')
    assert refusal(response) == (400, "invalid_request_error", None, "invalid_json")


def test_a_body_may_begin_with_a_byte_order_mark(plain: httpx2.Client) -> None:
    body = b"\xef\xbb\xbf" + json.dumps(CHAT | {"max_tokens": 1}).encode()
    assert plain.post("/v1/chat/completions", content=body).status_code == 200


@pytest.mark.parametrize("temperature", [5e-324, 1e-40, 1e-20, 1e-6])
def test_a_temperature_next_to_none_is_greedy(plain: httpx2.Client, temperature: float) -> None:
    def say(temperature: float) -> object:
        asked = CHAT | {"temperature": temperature, "max_tokens": 10, "logit_bias": {"2": -100}}
        return plain.post("/v1/chat/completions", json=asked).json()["choices"]

    assert say(temperature) == say(0)


@pytest.mark.parametrize("token", ["-1", "01", "\u0661", "1.0", "", "x"])
def test_a_bias_for_what_is_no_id_of_a_token_is_refused(plain: httpx2.Client, token: str) -> None:
    response = plain.post("/v1/chat/completions", json=CHAT | {"logit_bias": {token: 1}})
    assert refusal(response) == (400, "invalid_request_error", f"logit_bias.{token}", "invalid_value")


def test_a_body_that_is_too_large_is_refused_whether_it_says_so_or_not(plain: httpx2.Client) -> None:
    def parts() -> Iterator[bytes]:
        yield from [b" " * 8_000] * 100

    for content in (b" " * 30_000, parts()):
        response = plain.post("/v1/chat/completions", content=content)
        assert refusal(response) == (413, "invalid_request_error", None, "request_too_large")


def raw(server: RunningServer, text: str) -> socket.socket:
    address = urlsplit(server.url)
    connection = socket.create_connection((address.hostname, address.port), timeout=30)
    connection.sendall(text.encode())
    return connection


def test_a_body_of_a_hundred_megabytes_is_refused_before_it_is_sent(server: RunningServer) -> None:
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 104857600\r\n\r\n"
    with raw(server, head) as connection:
        assert connection.recv(1000).startswith(b"HTTP/1.1 413")


def test_a_client_that_sends_slowly_is_given_up_and_holds_up_nobody(served: ServedModel) -> None:
    limits = LIMITS.model_copy(update={"body_seconds": 0.2})
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"
    with running_server(served, limits=limits) as server, raw(server, head) as slow:
        with openai.OpenAI(base_url=f"{server.url}/v1", api_key="x", max_retries=0) as client:
            client.chat.completions.create(model="tiny", messages=[{"role": "user", "content": "Hi"}], max_tokens=2)
        answer = b""
        while b"request_timeout" not in answer:  # headers and body may arrive apart
            part = slow.recv(10_000)
            assert part, answer
            answer += part
    assert answer.startswith(b"HTTP/1.1 408")


def test_a_client_that_never_reads_holds_up_nobody(server: RunningServer, client: openai.OpenAI) -> None:
    body = json.dumps(CHAT | {"stream": True, "n": 4, "logprobs": True, "top_logprobs": 20, "max_tokens": 100})
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    with ExitStack() as deaf:
        for _ in range(2):
            deaf.enter_context(raw(server, head + body))
        for _ in range(3):
            client.chat.completions.create(model="tiny", messages=[{"role": "user", "content": "Hi"}], max_tokens=100)


def test_an_answer_that_takes_too_long_is_broken_off(served: ServedModel) -> None:
    limits = LIMITS.model_copy(update={"request_seconds": 1e-6})
    with running_server(served, limits=limits) as server, httpx2.Client(base_url=server.url) as plain:
        whole = plain.post("/v1/chat/completions", json=CHAT)
        assert refusal(whole) == (503, "server_error", None, "timeout")
        assert whole.headers["x-should-retry"] == "false"
        stream = plain.post("/v1/chat/completions", json=CHAT | {"stream": True})
        *_, last, end = stream.text.split("\n\n")
        assert (end, json.loads(last.removeprefix("data: "))["error"]["code"]) == ("", "timeout")


def test_a_limit_is_raised_by_its_name() -> None:
    assert ServingLimits(choices=9).choices == 9
    with pytest.raises(ValueError, match="choises"):
        ServingLimits(choises=9)  # type: ignore[call-arg]
