"""Requests to a service, with errors that say what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx2

from verifine.errors import ConfigError, SetupError
from verifine.models.provision.cache import cache_folder

DEFAULT_SERVER = "http://127.0.0.1:8080"
SERVER, KEY = "VERIFINE_SERVER", "VERIFINE_API_KEY"
"""Variables of the environment."""

CONNECT_S, ANSWER_S = 5.0, 60.0
LOCAL = ("127.0.0.1", "::1", "localhost")


class ServiceAwayError(SetupError):
    """No service answers."""


class ServiceConnection:
    """A service at an address. Close it at the end, or use it as a context."""

    def __init__(self, server: str, key: str, transport: httpx2.BaseTransport | None = None) -> None:
        """Raises ConfigError: the address is none. `transport` None: the network."""
        try:
            url = httpx2.URL(server)
        except httpx2.InvalidURL:
            raise ConfigError(f"--server {server}: this is no address; write http://HOST:PORT") from None
        if url.scheme not in ("http", "https") or not url.host:
            raise ConfigError(f"--server {server}: this is no address; write http://HOST:PORT")
        self._server = str(url).rstrip("/").removesuffix("/v1")
        self._client = httpx2.Client(
            base_url=self._server,
            headers={"authorization": f"Bearer {key}"},
            timeout=httpx2.Timeout(ANSWER_S, connect=CONNECT_S),
            trust_env=False,  # a proxy would get the key
            transport=transport,
        )

    def __enter__(self) -> ServiceConnection:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._client.close()

    def get(self, path: str, **query: str | int) -> Any:
        """Raises ServiceAwayError, SetupError (the key), ConfigError (the request)."""
        return self._ask("GET", path, params=query)

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """As `get`."""
        return self._ask("POST", path, json=body or {})

    def upload(self, path: Path) -> str:
        """The id of the file that is made from it. Raises ConfigError: it cannot be read; and as `get`."""
        try:
            with path.open("rb") as file:
                parts: Any = {"purpose": (None, b"fine-tune"), "file": (path.name, file)}
                answer = self._ask("POST", "/v1/files", files=parts, timeout=httpx2.Timeout(None, connect=CONNECT_S))
        except OSError as error:
            raise ConfigError(f"{path}: the file cannot be read ({error.strerror})") from error
        return str(answer["id"])

    def follow(self, job_id: str, last_id: str) -> Iterator[httpx2.ServerSentEvent]:
        """The messages of a job's stream after the one with that id; empty: from the first one.

        It ends where the connection does. Raises as `get`.
        """
        headers = {"last-event-id": last_id} if last_id else {}
        timeout = httpx2.Timeout(ANSWER_S, connect=CONNECT_S)
        try:
            with self._client.stream("GET", f"/api/jobs/{job_id}/stream", headers=headers, timeout=timeout) as answer:
                if answer.status_code != httpx2.codes.OK:
                    answer.read()
                    self._refuse(answer)
                yield from httpx2.EventSource(answer)
        except httpx2.TransportError as error:
            raise self._away() from error

    def _ask(self, method: str, path: str, **request: Any) -> Any:
        try:
            answer = self._client.request(method, path, **request)
        except httpx2.TransportError as error:
            raise self._away() from error
        if answer.status_code != httpx2.codes.OK:
            self._refuse(answer)
        return self._read(answer)

    def _read(self, answer: httpx2.Response) -> Any:
        try:
            return answer.json()
        except ValueError:
            raise SetupError(f"what answers at {self._server} is no service of Verifine; check --server") from None

    def _refuse(self, answer: httpx2.Response) -> None:
        content = self._read(answer)
        told = content.get("error") if isinstance(content, dict) else None
        message = told.get("message") if isinstance(told, dict) else None
        if not isinstance(message, str):
            raise SetupError(f"what answers at {self._server} is no service of Verifine; check --server")
        if answer.status_code == httpx2.codes.UNAUTHORIZED:
            raise SetupError(f"{self._server} does not know the key; set {KEY} to the one that `verifine serve` prints")
        if answer.status_code >= httpx2.codes.INTERNAL_SERVER_ERROR:
            raise SetupError(f"{self._server}: {message}")
        raise ConfigError(message)

    def _away(self) -> ServiceAwayError:
        return ServiceAwayError(
            f"no service answers at {self._server}; start one with `verifine serve`, or name another with --server"
        )


def find_server(server: str | None, environment: Mapping[str, str]) -> str:
    """The address that was given, else that of the environment, else the one that `verifine serve` takes."""
    return server or environment.get(SERVER) or DEFAULT_SERVER


def find_key(server: str, data: Path | None, environment: Mapping[str, str]) -> str:
    """The key: of the environment, or of the data folder, which is for services of this machine only.

    Raises:
        SetupError: there is none.
    """
    own = environment.get(KEY)
    pasted = environment.get("OPENAI_API_KEY", "")
    if own:
        return own
    if pasted.startswith("vf_"):  # as `verifine serve` prints it; OpenAI's own is none of a service's business
        return pasted
    path = (data or cache_folder(environment) / "service") / "key"
    if httpx2.URL(server).host in LOCAL:
        try:
            return path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            pass
    raise SetupError(f"there is no key for {server}; set {KEY} to the one that `verifine serve` prints, or give --data")
