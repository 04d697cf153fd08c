"""A service on this machine that answers as it is told and remembers what it was asked, and time that does not pass."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from verifine.config.grading import EmbedderConfig, GradingConfig, ServiceConfig
from verifine.graders.remote import Clock, RemoteClient, Service
from verifine.graders.services import Services

NOW = 1_700_000_000.0
DRIP_S = 0.01
LOOK_S = 0.001
"""Between two looks at what the service is doing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A request as it came in."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    resets: bool = False
    """The connection is reset in place of an answer."""
    drips: str = ""
    """"headers" or "body": these come a byte at a time and never end."""


class StubService:
    """Answers with what `respond` says of each request."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.connections = 0
        self.dripping = 0
        self.under_way = 0
        self.most_under_way = 0
        self.respond: Callable[[Seen], Answer] = lambda _: self.answer({})
        self.ended = threading.Event()
        self.lock = threading.Lock()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @staticmethod
    def answer(
        value: object = None,
        *,
        status: int = 200,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        resets: bool = False,
        drips: str = "",
    ) -> Answer:
        """What to answer with: a value as JSON, or any bytes."""
        return Answer(
            status=status,
            body=json.dumps(value).encode() if body is None else body,
            headers=headers or {},
            resets=resets,
            drips=drips,
        )

    def verdict(self, result: object) -> Answer:
        """The answer of a judge whose verdict is `result`."""
        return self.completion(json.dumps({"steps": [], "result": result}))

    def completion(self, content: str | None, *, finish_reason: str = "stop", **message: object) -> Answer:
        return self.answer(
            {
                "object": "chat.completion",
                "choices": [
                    {
                        "index": 0,
                        "message": {"role": "assistant", "content": content, **message},
                        "finish_reason": finish_reason,
                    }
                ],
                "usage": {"prompt_tokens": 100, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 64}},
            }
        )

    def answers(self, *answers: Answer) -> None:
        """These in turn, then the last one for ever."""
        left = list(answers)
        self.respond = lambda _: left.pop(0) if len(left) > 1 else left[0]

    def end(self) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, service: StubService) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.service = service


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        assert isinstance(self.server, _Server)
        service = self.service = self.server.service
        with service.lock:
            service.connections += 1

    def do_POST(self) -> None:
        service = self.service
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        seen = Seen(path=self.path, headers=headers, body=body)
        with service.lock:
            service.seen.append(seen)
            service.under_way += 1
            service.most_under_way = max(service.most_under_way, service.under_way)
        answer = service.respond(seen)
        with service.lock:
            service.under_way -= 1
        with suppress(ConnectionError):
            self._give(answer)

    def _give(self, answer: Answer) -> None:
        if answer.resets:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.drips == "headers":
            self.flush_headers()
            self._drip(b"x-more: 1\r\n")
            return
        self.send_header("content-length", str(10**9 if answer.drips else len(answer.body)))
        self.end_headers()
        if answer.drips == "body":
            self._drip(b" ")
            return
        self.wfile.write(answer.body)

    def _drip(self, piece: bytes) -> None:
        self.close_connection = True
        with self.service.lock:
            self.service.dripping += 1
        while not self.service.ended.is_set():
            self.wfile.write(piece)
            time.sleep(DRIP_S)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        pass


@pytest.fixture
def service() -> Iterator[StubService]:
    stub = StubService()
    yield stub
    stub.end()


@pytest.fixture
def pauses() -> list[float]:
    """How long the client slept, had time passed."""
    return []


@pytest.fixture
def clock(pauses: list[float], service: StubService) -> Clock:
    """Its pauses take no time; its timeouts end once each attempt under way is being answered drop by drop."""
    late = 0
    under_way = 0

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    @asynccontextmanager
    async def timeout(_: float) -> AsyncIterator[None]:
        nonlocal late, under_way

        async def end(limit: asyncio.Timeout) -> None:
            while service.dripping < late + under_way:
                await asyncio.sleep(LOOK_S)
            limit.reschedule(asyncio.get_running_loop().time())

        under_way += 1
        try:
            async with asyncio.timeout(None) as limit:
                ending = asyncio.create_task(end(limit))
                try:
                    yield
                finally:
                    ending.cancel()
        except TimeoutError:
            late += 1
            raise
        finally:
            under_way -= 1

    return Clock(sleep=sleep, now=lambda: NOW, timeout=timeout)


@pytest.fixture
def make_client(service: StubService, clock: Clock) -> Iterator[Callable[..., RemoteClient]]:
    """`make_client(timeout_s=..., headers=..., secrets=...)`: a client of the stub, closed afterwards."""
    stub_clock = clock
    made: list[RemoteClient] = []

    def make(
        *,
        url: str | None = None,
        timeout_s: float = 10,
        max_concurrency: int = 4,
        max_retries: int = 3,
        headers: Mapping[str, str] | None = None,
        secrets: tuple[str, ...] = (),
        max_reply_bytes: int = 1000,
        clock: Clock = stub_clock,
    ) -> RemoteClient:
        bears = Service(
            url=service.url if url is None else url,
            timeout_s=timeout_s,
            max_concurrency=max_concurrency,
            max_retries=max_retries,
            max_reply_bytes=max_reply_bytes,
        )
        made.append(RemoteClient(bears, headers=lambda _: headers or {}, secrets=secrets, clock=clock))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def make_services(service: StubService, clock: Clock) -> Callable[..., Services]:
    """`make_services(environment, api_key_env=..., ...)`: services whose judge and embedder are the stub."""

    def make(environment: Mapping[str, str] | None = None, **limits: Any) -> Services:
        judge = ServiceConfig(base_url=f"{service.url}/v1", **limits)
        embedder = EmbedderConfig(base_url=f"{service.url}/v1", model="embed", **limits)
        grading = GradingConfig(judge=judge, embedder=embedder)
        return Services(grading=grading, environment=environment or {}, clock=clock)

    return make
