"""A client of one service: many requests at once, up to the service's limit."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx2

from verifine.data.strict_json import JsonError, parse_json
from verifine.errors import GraderError
from verifine.graders.remote.address import goes_by_proxy, shown
from verifine.graders.remote.clock import Clock
from verifine.graders.remote.message import HttpFailure, HttpFailureKind, HttpReply, HttpRequest
from verifine.graders.remote.refusal import describe_refusal
from verifine.graders.remote.retry import pause_before_retry
from verifine.machine.secrets import mask

MAX_REQUEST_BYTES = 16 << 20
MAX_REPLY_BYTES = 1 << 20
MIN_LATE = 8
"""Requests in a row that get no answer in time, all attempts included, before the rest of a batch is not sent: a
server that hangs would otherwise hold up a step for hours. With more slots than this, it is one a slot."""
CLOSE_TIMEOUT_S = 5.0
"""Longest wait for connections to close; one that hangs in a name lookup is left behind."""

HeaderMaker = Callable[[HttpRequest], Mapping[str, str]]
"""Called for every attempt, so that a signature is never older than its request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A server and its limits."""

    url: str
    timeout_s: float
    """For one attempt, from connecting to the answer's last byte."""
    max_concurrency: int
    max_retries: int
    max_reply_bytes: int = MAX_REPLY_BYTES


class RemoteClient:
    """Connections are kept and shared; any number of threads may ask. The first request starts a thread of its own.

    Redirects are not followed, cookies not kept, and answers not unpacked, so that nothing is sent to or read from
    where the configuration does not say. The proxies and certificates of the environment (HTTPS_PROXY, NO_PROXY,
    SSL_CERT_FILE) are used as everywhere, but a server on this machine is never asked through a proxy.
    """

    def __init__(self, service: Service, *, headers: HeaderMaker, secrets: Sequence[str], clock: Clock) -> None:
        """GraderError if no connection can be set up. `secrets` are kept out of all messages."""
        self._service = service
        self._headers = headers
        self._secrets = secrets
        self._clock = clock
        self._http = _connections(service)
        self._slots = asyncio.Semaphore(service.max_concurrency)
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="verifine-remote", daemon=True)
        self._serving = threading.Event()
        self._done = asyncio.Event()
        self._is_closed = False

    def post_all(self, requests: Sequence[HttpRequest]) -> list[HttpReply | HttpFailure]:
        """A reply or a failure for each request, in their order."""
        loop = self._started()
        answers = asyncio.run_coroutine_threadsafe(self._post_all(requests), loop)
        try:
            return answers.result()
        except BaseException:  # such as Ctrl-C: the requests under way are not waited for
            answers.cancel()
            raise

    def close(self) -> None:
        """End the connections and the thread; the client cannot be used afterwards."""
        with self._lock:
            self._is_closed = True
            if self._loop is not None and self._thread.is_alive():
                self._loop.call_soon_threadsafe(self._done.set)
                self._thread.join(CLOSE_TIMEOUT_S)

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._is_closed:
                raise GraderError(f"{self._place} cannot be asked: its grader is closed; build another")
            if self._loop is None:
                self._thread.start()
                self._serving.wait()
        assert self._loop is not None
        return self._loop

    async def _serve(self) -> None:
        async with self._http:
            self._loop = asyncio.get_running_loop()
            self._serving.set()
            await self._done.wait()

    async def _post_all(self, requests: Sequence[HttpRequest]) -> list[HttpReply | HttpFailure]:
        timeouts = _TimeoutCounter(max(MIN_LATE, self._service.max_concurrency))
        return await asyncio.gather(*(self._post(request, timeouts) for request in requests))

    async def _post(self, request: HttpRequest, timeouts: _TimeoutCounter) -> HttpReply | HttpFailure:
        if len(request.body) > MAX_REQUEST_BYTES:
            message = f"the request has {len(request.body)} bytes; at most {MAX_REQUEST_BYTES} are sent"
            return HttpFailure(kind=HttpFailureKind.TOO_LARGE, message=message)
        async with self._slots:
            if timeouts.is_over:
                what = f"was not asked, since the last {timeouts.limit} requests got no answer in time"
                return self._failure(HttpFailureKind.TIMEOUT, what)
            answer = await self._insist(request)
        timeouts.note(answer)
        return answer

    async def _insist(self, request: HttpRequest) -> HttpReply | HttpFailure:
        started, attempt = self._clock.monotonic(), 0
        while True:
            answer, headers = await self._attempt(request)
            if isinstance(answer, HttpReply) or attempt == self._service.max_retries:
                break
            pause_s = pause_before_retry(answer, headers, attempt, request.body, self._clock.now())
            if pause_s is None:
                break
            await self._clock.sleep(pause_s)
            attempt += 1
        return self._finished(answer, attempts=attempt + 1, seconds=self._clock.monotonic() - started)

    async def _attempt(self, request: HttpRequest) -> tuple[HttpReply | HttpFailure, Mapping[str, str]]:
        """The reply or failure of one attempt, and the answer's headers."""
        try:
            async with self._clock.timeout(self._service.timeout_s):
                return await self._exchange(request)
        except (TimeoutError, httpx2.TimeoutException):
            return self._failure(HttpFailureKind.TIMEOUT, f"did not answer within {self._service.timeout_s:g} s"), {}
        except Exception as error:  # noqa: BLE001 - untrusted code, with more kinds of failure than it documents
            told = " ".join(str(error).split()) or type(error).__name__
            return self._failure(HttpFailureKind.CONNECTION, f"cannot be reached ({told})"), {}

    async def _exchange(self, request: HttpRequest) -> tuple[HttpReply | HttpFailure, Mapping[str, str]]:
        headers = {"content-type": "application/json", "accept-encoding": "identity", "user-agent": "verifine"}
        headers.update(self._headers(request))
        async with self._http.stream("POST", request.url, content=request.body, headers=headers) as response:
            body = await _read(response, self._service.max_reply_bytes)
            if not response.is_success:
                refusal = describe_refusal(self._place, response.status_code, body or b"", self._secrets)
                return refusal, response.headers
            return self._parsed(response, body), response.headers

    def _parsed(self, response: httpx2.Response, body: bytes | None) -> HttpReply | HttpFailure:
        if body is None:
            allowed = self._service.max_reply_bytes
            return self._failure(HttpFailureKind.TOO_LARGE, f"answered with more than {allowed} bytes")
        packed = response.headers.get("content-encoding", "identity")
        if packed != "identity":
            return self._failure(
                HttpFailureKind.NOT_JSON, f"answered with content encoded as {packed[:20]}, which it was told not to do"
            )
        try:
            return HttpReply(value=parse_json(body.decode()))
        except (UnicodeDecodeError, JsonError) as error:
            return self._failure(HttpFailureKind.NOT_JSON, f"answered with what is not JSON ({error})")

    def _failure(self, kind: HttpFailureKind, what: str) -> HttpFailure:
        return HttpFailure(kind=kind, message=f"{self._place} {what}{_HINTS.get(kind, '')}")

    @property
    def _place(self) -> str:
        return shown(self._service.url)

    def _finished(self, answer: HttpReply | HttpFailure, *, attempts: int, seconds: float) -> HttpReply | HttpFailure:
        if isinstance(answer, HttpReply):
            return replace(answer, seconds=seconds)
        tried = f" (tried {attempts} times)" if attempts > 1 else ""
        return replace(answer, message=mask(answer.message, self._secrets) + tried, seconds=seconds)


class _TimeoutCounter:
    """Counts successive requests of a batch that got no answer in time."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._late = 0

    @property
    def is_over(self) -> bool:
        return self._late >= self.limit

    def note(self, answer: HttpReply | HttpFailure) -> None:
        is_late = isinstance(answer, HttpFailure) and answer.kind is HttpFailureKind.TIMEOUT
        self._late = self._late + 1 if is_late else 0


_HINTS: Mapping[HttpFailureKind, str] = {
    HttpFailureKind.TIMEOUT: "; is it overloaded? Lower max_concurrency, or raise timeout_s",
    HttpFailureKind.CONNECTION: "; is it running, and is the address right?",
}


def _connections(service: Service) -> httpx2.AsyncClient:
    try:
        return httpx2.AsyncClient(
            timeout=None,  # the whole attempt has one
            trust_env=goes_by_proxy(service.url),
            follow_redirects=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            # The number of connections is bounded by the slots.
            limits=httpx2.Limits(max_keepalive_connections=service.max_concurrency),
        )
    except (ImportError, ValueError, OSError) as error:  # a proxy or a certificate of the environment
        raise GraderError(f"{shown(service.url)} cannot be asked through the environment's proxy: {error}") from error


async def _read(response: httpx2.Response, max_bytes: int) -> bytes | None:
    """None: it is longer."""
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > max_bytes:
            return None
    return bytes(body)
