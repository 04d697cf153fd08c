"""What the service does between a client and the process of a model, which is played by the tests."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import openai
import pytest
import uvicorn
from openai.types.chat import ChatCompletionMessageParam
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send
from tests.service.conftest import KEY, RunningService

from verifine.testing.endpoint_processes import TOKEN, FakeEndpoint, FakeEndpoints

ASK: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hi"}]
CHAT = {"model": "tiny", "messages": ASK}
STREAM = {**CHAT, "stream": True}
EVENT = b'data: {"id":"1","object":"chat.completion.chunk","created":1,"model":"tiny","choices":[]}\n\n'
DONE = b"data: [DONE]\n\n"
JSON = {"content-type": "application/json"}
EVENTS = {"content-type": "text/event-stream; charset=utf-8"}


class GoneError(Exception):
    """What the process of the model raises to break a connection off."""


@dataclass
class PlayedModel:
    """Answers whatever it is asked in the way that a test says."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: dict(JSON))
    parts: list[bytes] = field(default_factory=lambda: [b"{}"])
    before_part: Callable[[int], None] = lambda _: None
    """Called in a thread of its own before each part, and after the last one."""
    waits_for_leaving: bool = False
    asked: list[tuple[Headers, str, bytes]] = field(default_factory=list)
    has_left: threading.Event = field(default_factory=threading.Event)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        self.asked.append((Headers(scope=scope), scope["path"], message["body"]))
        raw = [(name.encode(), value.encode()) for name, value in self.headers.items()]
        await send({"type": "http.response.start", "status": self.status, "headers": raw})
        for place, part in enumerate(self.parts):
            await asyncio.to_thread(self.before_part, place)
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await asyncio.to_thread(self.before_part, len(self.parts))
        if self.waits_for_leaving:
            while (await receive())["type"] != "http.disconnect":
                pass
            self.has_left.set()
            return
        await send({"type": "http.response.body", "body": b""})


@pytest.fixture
def model(processes: FakeEndpoints) -> Iterator[PlayedModel]:
    played = PlayedModel()
    config = uvicorn.Config(played, log_config=None, access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(processes.socket))
        listener.listen()
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        yield played
        server.should_exit = True
        thread.join()


def lines(http: httpx2.Client, body: dict[str, Any] = STREAM) -> list[str]:
    with http.stream("POST", "/v1/chat/completions", json=body) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        return [line for line in response.iter_lines() if line]


def error_of(response: httpx2.Response) -> dict[str, Any]:
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return dict(error)


def until(is_reached: Callable[[], bool]) -> None:
    while not is_reached():
        threading.Event().wait(0.01)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
def test_a_request_is_passed_on_and_its_answer_back(http: httpx2.Client, model: PlayedModel, path: str) -> None:
    model.headers = {**JSON, "cache-control": "no-store", "x-of-the-process": "1", "x-request-id": "another"}
    model.parts = [b'{"a": 1, ', b'"b": 2}']
    body = {"model": "tiny", "prompt": "Hi"} if path == "/v1/completions" else CHAT
    response = http.post(path, json=body, headers={"cookie": "secret"})
    assert (response.status_code, response.json()) == (200, {"a": 1, "b": 2})
    assert response.headers["cache-control"] == "no-store"
    assert "x-of-the-process" not in response.headers
    ((headers, asked_path, asked_body),) = model.asked
    assert asked_path == path
    assert json.loads(asked_body) == body
    assert headers["authorization"] == f"Bearer {TOKEN}"
    assert response.headers.get_list("x-request-id") == [headers["x-request-id"]]
    assert "cookie" not in headers
    assert KEY not in str(headers)


def test_a_refusal_of_the_model_is_passed_back_as_it_is(client: openai.OpenAI, model: PlayedModel) -> None:
    error = {"message": "too long", "type": "invalid_request_error", "param": "messages", "code": "c"}
    model.parts = [json.dumps({"error": error}).encode()]
    for model.status, stream in ((400, False), (400, True)):
        with pytest.raises(openai.BadRequestError) as caught:
            client.chat.completions.create(model="tiny", messages=ASK, stream=stream)
        assert caught.value.body == error
    model.status, model.headers = 429, {**JSON, "retry-after": "7"}
    with pytest.raises(openai.RateLimitError) as limited:
        client.chat.completions.create(model="tiny", messages=ASK)
    assert limited.value.response.headers["retry-after"] == "7"


def test_a_stream_is_passed_on_as_it_comes(http: httpx2.Client, model: PlayedModel) -> None:
    has_come = threading.Semaphore(0)

    def wait(part: int) -> None:
        assert part == 0 or has_come.acquire(timeout=60)

    model.headers, model.parts, model.before_part = EVENTS, [EVENT, EVENT, DONE], wait
    with http.stream("POST", "/v1/chat/completions", json=STREAM) as response:
        for line in response.iter_lines():
            if line:
                has_come.release()
    assert len(model.asked) == 1


def test_a_client_that_leaves_is_told_to_the_model(http: httpx2.Client, model: PlayedModel) -> None:
    model.headers, model.parts, model.waits_for_leaving = EVENTS, [EVENT], True
    with http.stream("POST", "/v1/chat/completions", json=STREAM) as response:
        next(response.iter_lines())
    assert model.has_left.wait(60)


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        (b"{", 400, None),
        (b'{"model": "tiny"}', 400, "messages"),
        (json.dumps({**CHAT, "temperature": 3}).encode(), 400, "temperature"),
        (json.dumps({**CHAT, "temprature": 1}).encode(), 400, "temprature"),
        (json.dumps({**CHAT, "audio": {}}).encode(), 400, "audio"),
        (json.dumps({**CHAT, "model": "none"}).encode(), 404, "model"),
        (b" " * 30_000, 413, None),
    ],
)
def test_a_wrong_request_loads_nothing(
    http: httpx2.Client, processes: FakeEndpoints, body: bytes, status: int, param: str | None
) -> None:
    response = http.post("/v1/chat/completions", content=body)
    assert response.status_code == status
    assert error_of(response)["param"] == param
    assert processes.started == []


def test_a_request_without_the_key_loads_nothing(service: RunningService, processes: FakeEndpoints) -> None:
    assert httpx2.post(f"{service.url}/v1/chat/completions", json=CHAT).status_code == 401
    assert processes.started == []


def test_a_process_that_ends_before_it_answers_is_told_and_clients_ask_again(
    service: RunningService, model: PlayedModel, processes: FakeEndpoints
) -> None:
    def die(_: int) -> None:
        if len(model.asked) == 1:
            processes.started[-1].loop.call_soon_threadsafe(processes.started[-1].crash, "it was killed")
            raise GoneError

    model.before_part = die
    answer = {"id": "1", "object": "chat.completion", "created": 1, "model": "tiny", "choices": []}
    model.parts = [json.dumps(answer).encode()]
    with httpx2.Client(base_url=service.url, headers={"authorization": f"Bearer {KEY}"}, timeout=60) as http:
        response = http.post("/v1/chat/completions", json=CHAT)
    assert response.status_code == 503
    assert "it was killed" in error_of(response)["message"]
    assert str(processes.socket) not in response.text
    assert "x-should-retry" not in response.headers
    model.asked.clear()
    with openai.OpenAI(base_url=f"{service.url}/v1", api_key=KEY) as client:
        assert client.chat.completions.create(model="tiny", messages=ASK).id == "1"
    assert processes.names == ["tiny"] * 3


@pytest.mark.parametrize("rest", [b"", b'data: {"id":"1","obj'])
def test_a_process_that_ends_in_a_stream_leaves_whole_events_and_an_error(
    client: openai.OpenAI, model: PlayedModel, processes: FakeEndpoints, rest: bytes
) -> None:
    def die(part: int) -> None:
        if part == 2:
            processes.started[0].loop.call_soon_threadsafe(processes.started[0].crash, "it was killed")
            raise GoneError

    model.headers, model.parts, model.before_part = EVENTS, [EVENT, EVENT + rest], die
    chunks = []
    with pytest.raises(openai.APIError, match="it was killed") as caught:
        for chunk in client.chat.completions.create(model="tiny", messages=ASK, stream=True):
            chunks.append(chunk)  # noqa: PERF402 - the error comes after them
    assert len(chunks) == 2
    assert caught.value.code == "server_error"


def test_an_answer_that_breaks_off_is_never_taken_for_whole(http: httpx2.Client, model: PlayedModel) -> None:
    def die(part: int) -> None:
        if part == 1:
            raise GoneError

    model.parts, model.before_part = [b'{"a": '], die
    with pytest.raises(httpx2.RemoteProtocolError):
        http.post("/v1/chat/completions", json=CHAT)


def test_a_process_that_is_silent_for_too_long_is_killed(
    http: httpx2.Client, model: PlayedModel, processes: FakeEndpoints
) -> None:
    may_go = threading.Event()
    model.before_part = lambda _: assert_that(may_go.wait(60))
    response = http.post("/v1/chat/completions", json=CHAT)
    may_go.set()
    assert response.status_code == 503
    assert "in time" in error_of(response)["message"]
    until(lambda: processes.started[0].has_ended)


def assert_that(is_true: bool) -> None:
    assert is_true


def test_a_process_that_has_ended_unnoticed_is_replaced_within_the_call(
    client: openai.OpenAI, model: PlayedModel, processes: FakeEndpoints
) -> None:
    model.parts = [json.dumps({"id": "1", "object": "chat.completion", "choices": []}).encode()]
    place, processes.socket = processes.socket, processes.socket.with_name("nobody")

    def come_back() -> None:
        until(lambda: bool(processes.started))
        processes.socket = place

    coming = threading.Thread(target=come_back)
    coming.start()
    assert client.chat.completions.create(model="tiny", messages=ASK).id == "1"
    coming.join()
    assert processes.names == ["tiny", "tiny"]
    assert processes.started[0].has_ended


def test_nobody_at_the_socket_is_told_without_its_address(http: httpx2.Client, processes: FakeEndpoints) -> None:
    response = http.post("/v1/chat/completions", json=CHAT)
    assert response.status_code == 503
    assert str(processes.socket) not in response.text
    assert error_of(response)["type"] == "server_error"


class LateEndpoints(FakeEndpoints):
    """They load when they are told to, from any thread."""

    def first(self) -> FakeEndpoint:
        until(lambda: bool(self.started))
        return self.started[0]

    def load(self) -> None:
        first = self.first()
        first.loop.call_soon_threadsafe(first.may_load.set)


class TestWhileAModelIsLoaded:
    @pytest.fixture
    def processes(self, processes: FakeEndpoints) -> LateEndpoints:
        return LateEndpoints(processes.socket, loads_at_once=False)

    def test_a_stream_has_comments(
        self, http: httpx2.Client, client: openai.OpenAI, model: PlayedModel, processes: LateEndpoints
    ) -> None:
        model.headers, model.parts = EVENTS, [EVENT, DONE]
        with http.stream("POST", "/v1/chat/completions", json=STREAM) as response:
            told = response.iter_lines()
            assert next(told) == ": loading"
            assert model.asked == []
            processes.load()
            rest = [line for line in told if line]
        assert [line for line in rest if line != ": loading"] == [EVENT.decode().strip(), "data: [DONE]"]
        assert len(list(client.chat.completions.create(model="tiny", messages=ASK, stream=True))) == 1

    def test_a_stream_skips_the_comments_in_openais_client(
        self, client: openai.OpenAI, model: PlayedModel, processes: LateEndpoints
    ) -> None:
        model.headers, model.parts = EVENTS, [EVENT, DONE]
        stream = client.chat.completions.create(model="tiny", messages=ASK, stream=True)  # its headers are here
        processes.load()
        assert len(list(stream)) == 1

    def test_a_refusal_after_comments_is_an_error_in_the_stream(
        self, client: openai.OpenAI, model: PlayedModel, processes: LateEndpoints
    ) -> None:
        error = {"message": "too long", "type": "invalid_request_error", "param": "messages", "code": "c"}
        model.status, model.parts = 400, [json.dumps({"error": error}).encode()]
        stream = client.chat.completions.create(model="tiny", messages=ASK, stream=True)
        processes.load()
        with pytest.raises(openai.APIError) as caught:
            list(stream)
        assert caught.value.body == error

    @pytest.mark.parametrize("stream", [False, True])
    def test_a_failed_load_is_told_with_its_reason(
        self, client: openai.OpenAI, processes: LateEndpoints, stream: bool
    ) -> None:
        def fail() -> None:
            processes.first().problem = "its weights are missing"
            processes.load()

        failing = threading.Thread(target=fail)
        if stream:
            answer = client.chat.completions.create(model="tiny", messages=ASK, stream=True)
            failing.start()
            with pytest.raises(openai.APIError, match="its weights are missing") as caught:
                list(answer)
        else:
            failing.start()
            with pytest.raises(openai.InternalServerError, match="its weights are missing") as caught:
                client.chat.completions.create(model="tiny", messages=ASK)
        failing.join()
        assert caught.value.code == "model_not_loaded"

    def test_a_client_that_leaves_meanwhile_is_not_waited_for(
        self, http: httpx2.Client, service: RunningService, processes: LateEndpoints
    ) -> None:
        with http.stream("POST", "/v1/chat/completions", json=STREAM) as response:
            next(response.iter_lines())
        until(lambda: [each.requests for each in service.parts.pool.states()] == [0])
        processes.load()
        until(lambda: [each.state for each in service.parts.pool.states()] == ["loaded"])


def test_no_memory_is_told_before_a_stream_begins(service: RunningService, http: httpx2.Client) -> None:
    service.parts.pool.free_memory = lambda: 0
    response = http.post("/v1/chat/completions", json=STREAM)
    assert response.status_code == 503
    assert error_of(response)["code"] == "insufficient_memory"
    assert int(response.headers["retry-after"]) > 0
