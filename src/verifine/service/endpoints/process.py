"""The process of an endpoint, on a Unix socket in a folder that only this user can enter."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

import httpx2
import psutil
from pydantic import ValidationError

from verifine.errors import VerifineError
from verifine.launch.serving_order import ORDER, PROCESS, REPLY, ServingOrder
from verifine.launch.sweep.process import explain_end
from verifine.service.endpoints.model import ServableModel
from verifine.service.limits import ServiceLimits
from verifine.types import Json
from verifine.wire.server import BACKLOG

END_S = 10.0
"""How long a process may take to end by itself."""

_LINE_BYTES = 1 << 20
_LOG_NAME = 100
"""Characters of a model's name that the name of its log has."""


class LoadError(VerifineError):
    """A model that could not be loaded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointAddress:
    """Where a process is asked, and with what."""

    socket: Path
    token: str = field(repr=False)


class EndpointProcess(Protocol):
    """A process that loads a model and answers."""

    @property
    def address(self) -> EndpointAddress: ...

    @property
    def resident_bytes(self) -> int:
        """The memory that it has now; 0: it has ended."""
        ...

    async def ready(self) -> None:
        """Returns when the model is loaded. Raises LoadError."""
        ...

    async def add_adapter(self, model: ServableModel) -> None:
        """Returns when the adapter is loaded beside the model. Raises LoadError."""
        ...

    async def remove_adapter(self, name: str) -> None:
        """Unloads it; one that is not there is no error."""
        ...

    async def ended(self) -> str:
        """Returns when the process has ended: why it did, in words."""
        ...

    async def end(self, *, at_once: bool = False) -> None:
        """Ends it, and returns when it has. It finishes what it answers, within a time, unless `at_once`."""
        ...


class StartEndpoint(Protocol):
    """Starts the process of a model."""

    async def __call__(self, model: ServableModel) -> EndpointProcess: ...


class EndpointStarter:
    """Starts processes of this machine. They end when this process does."""

    def __init__(self, logs: Path, environment: Mapping[str, str], limits: ServiceLimits) -> None:
        """`logs` has a file for each model. `environment` is all that a process gets: nothing is inherited."""
        self._logs, self._environment, self._limits = logs, environment, limits
        self._link = logs / ".sockets"
        logs.mkdir(parents=True, exist_ok=True)
        self.close()  # what an earlier service has left that was killed
        # The path of a socket may have 100 bytes, and the data's folder may lie deep.
        self._sockets = Path(tempfile.mkdtemp(prefix="verifine-"))
        self._link.symlink_to(self._sockets)
        self._count = 0

    async def __call__(self, model: ServableModel) -> LocalEndpoint:
        self._count += 1
        address = EndpointAddress(socket=self._sockets / str(self._count), token=secrets.token_urlsafe(32))
        log = self._logs / f"{quote(model.name, safe='')[:_LOG_NAME]}.log"
        with log.open("wb") as errors, _listen(address.socket) as listener:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                PROCESS,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                env=self._environment,
                start_new_session=True,
                pass_fds=[listener.fileno()],
                limit=_LINE_BYTES,
            )
            order = ServingOrder(
                parent=os.getpid(),
                token=address.token,
                listener=listener.fileno(),
                name=model.name,
                source=model.source,
                cache_bytes=self._limits.endpoint_cache_bytes,
                request_seconds=self._limits.answer_seconds,
            )
        return LocalEndpoint(process, order, address, log)

    def close(self) -> None:
        """Removes the sockets. No process may be left."""
        if self._link.is_symlink():
            shutil.rmtree(self._link.readlink(), ignore_errors=True)
            self._link.unlink()


class LocalEndpoint:
    """A process of this machine."""

    def __init__(
        self, process: asyncio.subprocess.Process, order: ServingOrder, address: EndpointAddress, log: Path
    ) -> None:
        self._process, self._order, self._address, self._log = process, order, address, log

    @property
    def address(self) -> EndpointAddress:
        return self._address

    @property
    def resident_bytes(self) -> int:
        try:
            return int(psutil.Process(self._process.pid).memory_info().rss)
        except psutil.Error:
            return 0

    async def ready(self) -> None:
        assert self._process.stdin is not None, "it was opened as a pipe"
        assert self._process.stdout is not None, "it was opened as a pipe"
        with suppress(ConnectionError):  # it has ended, which the reply shows
            self._process.stdin.write(ORDER.dump_json(self._order) + b"\n")
            await self._process.stdin.drain()
        self._process.stdin.close()
        line = await self._process.stdout.readline()
        if not line:
            raise LoadError(await self.ended())
        try:
            reply = REPLY.validate_json(line)
        except ValidationError as error:
            raise LoadError(f"the process said {line[:80]!r}") from error
        if reply.problem is not None:
            raise LoadError(reply.problem)

    async def add_adapter(self, model: ServableModel) -> None:
        await self._tell("PUT", model.name, {"source": model.source})

    async def remove_adapter(self, name: str) -> None:
        with suppress(LoadError):
            await self._tell("DELETE", name)

    async def _tell(self, method: str, adapter: str, body: dict[str, Json] | None = None) -> None:
        """Raises LoadError: it is refused."""
        async with open_client(self._address, httpx2.Timeout(None)) as client:
            try:
                answer = await client.request(method, f"/adapters/{quote(adapter)}", json=body)
            except httpx2.TransportError as error:
                raise LoadError("its process has ended") from error
        if answer.is_error:
            raise LoadError(answer.json()["error"]["message"])

    async def ended(self) -> str:
        code = await self._process.wait()
        self._address.socket.unlink(missing_ok=True)
        return "it has been unloaded" if code == 0 else explain_end(code, self._log)

    async def end(self, *, at_once: bool = False) -> None:
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL if at_once else signal.SIGTERM)
        try:
            async with asyncio.timeout(END_S):
                await self._process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        self._address.socket.unlink(missing_ok=True)


def open_client(address: EndpointAddress, timeout: httpx2.Timeout) -> httpx2.AsyncClient:
    """A client of a process, for one request: the process closes connections that wait for a next one."""
    return httpx2.AsyncClient(
        transport=httpx2.AsyncHTTPTransport(uds=str(address.socket)),
        base_url="http://localhost",
        headers={"authorization": f"Bearer {address.token}"},
        timeout=timeout,
        trust_env=False,
    )


def _listen(path: Path) -> socket.socket:
    """Clients can connect from here on, and are answered when the model is loaded."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen(BACKLOG)
    return listener
