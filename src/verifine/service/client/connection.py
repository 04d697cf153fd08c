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
PASTED_SERVER, PASTED_KEY = "OPENAI_BASE_URL", "OPENAI_API_KEY"
"""Variables of the environment; `verifine serve` prints how to set the latter two."""

CONNECT_S, ANSWER_S = 5.0, 60.0
LOCAL = ("127.0.0.1", "::1", "localhost")


class ServiceAwayError(SetupError):
    """No service answers."""


class RequestRefusedError(ConfigError):
    """The service does not do what it was asked for."""

    def __init__(self, message: str, *, code: str | None, param: str | None) -> None:
        """`code`: a word for programs; `param`: the field that is to blame; None: there is none."""
        super().__init__(message)
        self.code = code
        self.param = param


class NoKeyError(SetupError):
    """No key for a service is known."""


class ServiceConnection:
    """A service at an address. Close it at the end, or use it as a context."""

    def __init__(self, server: str, key: str | None, transport: httpx2.BaseTransport | None = None) -> None:
        """Raises ConfigError: the address is none. `key` None: asks without one. `transport` None: the network."""
        url = _read_address(server)
        self._server = str(url).rstrip("/").removesuffix("/v1")
        self._client = httpx2.Client(
            base_url=self._server,
            headers={} if key is None else {"authorization": f"Bearer {key}"},
            timeout=httpx2.Timeout(ANSWER_S, connect=CONNECT_S),
            trust_env=False,  # a proxy would get the key
            transport=transport,
        )

    def __enter__(self) -> ServiceConnection:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._client.close()

    def get(self, path: str, **query: str | int) -> Any:
        """Raises ServiceAwayError, SetupError (the key), RequestRefusedError."""
        return self._ask("GET", path, params=query)

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """As `get`."""
        return self._ask("POST", path, json=body or {})

    def delete(self, path: str) -> Any:
        """As `get`."""
        return self._ask("DELETE", path)

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

    def check_answers(self) -> None:
        """Raises ServiceAwayError: nothing answers, whatever the key."""
        try:
            self._client.get("/healthz")
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
        told = told if isinstance(told, dict) else {}
        message = told.get("message")
        if not isinstance(message, str):
            raise SetupError(f"what answers at {self._server} is no service of Verifine; check --server")
        if answer.status_code == httpx2.codes.UNAUTHORIZED:
            raise SetupError(
                f"{self._server} does not know the key; set {KEY} to one that `verifine keys create` makes there"
            )
        if answer.status_code >= httpx2.codes.INTERNAL_SERVER_ERROR:
            raise SetupError(f"{self._server}: {message}")
        code, param = (told[name] if isinstance(told.get(name), str) else None for name in ("code", "param"))
        raise RequestRefusedError(message, code=code, param=param)

    def _away(self) -> ServiceAwayError:
        return ServiceAwayError(
            f"no service answers at {self._server}; start one with `verifine serve`, or name another with --server"
        )


def connect(server: str | None, data: Path | None, environment: Mapping[str, str]) -> ServiceConnection:
    """The service that the options and the environment name.

    Raises:
        ConfigError: the address is none.
        SetupError: there is no key for it, or nothing answers there.
    """
    address = find_server(server, environment)
    try:
        key = find_key(address, data, environment)
    except NoKeyError:
        with ServiceConnection(address, None) as service:
            service.check_answers()
        raise
    return ServiceConnection(address, key)


def find_server(server: str | None, environment: Mapping[str, str]) -> str:
    """The address that was given, else that of the environment, else the one that `verifine serve` takes.

    Raises:
        ConfigError: it is none.
    """
    pasted = environment.get(PASTED_SERVER) if _pasted_key(environment) and not environment.get(KEY) else None
    named = {"--server": server, SERVER: environment.get(SERVER), PASTED_SERVER: pasted}
    for source, address in named.items():
        if address:
            _read_address(address, source)
            return address
    return DEFAULT_SERVER


def find_key(server: str, data: Path | None, environment: Mapping[str, str]) -> str:
    """The key: of the data folder that was given, else of the environment, else of the usual data folder.

    The folders are for services of this machine only.

    Raises:
        NoKeyError: none is known.
        SetupError: there is none in the data folder that was given.
    """
    is_local = httpx2.URL(server).host in LOCAL
    if data is not None and is_local:
        return _read_key(data / "key")
    known = environment.get(KEY) or _pasted_key(environment)
    if known is not None:
        return known
    usual = cache_folder(environment) / "service" / "key"
    if is_local and usual.is_file():
        return _read_key(usual)
    where = "" if data is None else "; --data is for a service of this machine"
    hint = ", or give its --data" if is_local else ""
    raise NoKeyError(
        f"there is no key for {server}{where}; set {KEY} to one that `verifine keys create` makes there{hint}"
    )


def _read_key(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        message = f"{path}: there is no such file; give the --data of a service, which makes its key there"
        raise SetupError(message) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(f"{path}: the key of the service cannot be read") from error


def _pasted_key(environment: Mapping[str, str]) -> str | None:
    """As `verifine serve` prints it; None: there is none, or it is OpenAI's own, which is for no service."""
    key = environment.get(PASTED_KEY, "")
    return key if key.startswith("vf_") else None


def _read_address(address: str, source: str = "--server") -> httpx2.URL:
    """Raises ConfigError: it is none."""
    if "://" not in address:
        raise ConfigError(f"{source} {address}: an address begins with http:// or https://; write http://{address}")
    try:
        url = httpx2.URL(address)
    except httpx2.InvalidURL:
        raise ConfigError(f"{source} {address}: this is no address; write http://HOST:PORT") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise ConfigError(f"{source} {address}: this is no address; write http://HOST:PORT")
    return url
