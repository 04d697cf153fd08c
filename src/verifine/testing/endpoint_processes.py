"""Processes of models that a test loads, fails and kills."""

from __future__ import annotations

import asyncio
from pathlib import Path

from verifine.service.endpoints.model import ServableModel
from verifine.service.endpoints.process import EndpointAddress, LoadError

TOKEN = "played"  # noqa: S105 - of no server


class FakeEndpoint:
    """A process that loads at once, unless it is told to wait."""

    def __init__(self, model: ServableModel, socket: Path, resident_bytes: int) -> None:
        self.model, self._address = model, EndpointAddress(socket=socket, token=TOKEN)
        self.resident_bytes = resident_bytes
        self.may_load = asyncio.Event()
        self.problem: str | None = None
        """Why it, or the next adapter, cannot be loaded."""
        self.adapters: list[str] = []
        self.is_silent = False
        """It answers nothing about adapters any more."""
        self.loop = asyncio.get_running_loop()
        self._end: asyncio.Future[str] = self.loop.create_future()

    @property
    def address(self) -> EndpointAddress:
        return self._address

    @property
    def has_ended(self) -> bool:
        return self._end.done()

    async def ready(self) -> None:
        await self.may_load.wait()
        if self.problem is not None:
            raise LoadError(self.problem)

    async def add_adapter(self, model: ServableModel) -> None:
        if self.is_silent:
            raise LoadError(await self.ended())
        if self.problem is not None:
            raise LoadError(self.problem)
        self.adapters.append(model.name)

    async def remove_adapter(self, name: str) -> None:
        if self.is_silent:
            await self.ended()
        elif name in self.adapters:
            self.adapters.remove(name)

    async def ended(self) -> str:
        return await asyncio.shield(self._end)

    async def end(self, *, at_once: bool = False) -> None:
        self.crash("it was killed" if at_once else "it has been unloaded")

    def crash(self, why: str) -> None:
        if not self._end.done():
            self._end.set_result(why)
        self.resident_bytes = 0


class FakeEndpoints:
    """Starts them; `loads_at_once` False: each waits for its `may_load`."""

    def __init__(self, socket: Path = Path("socket"), *, loads_at_once: bool = True, resident_bytes: int = 0) -> None:
        self.socket, self._loads_at_once, self._resident_bytes = socket, loads_at_once, resident_bytes
        self.started: list[FakeEndpoint] = []

    async def __call__(self, model: ServableModel) -> FakeEndpoint:
        self.started.append(FakeEndpoint(model, self.socket, self._resident_bytes))
        if self._loads_at_once:
            self.started[-1].may_load.set()
        return self.started[-1]

    @property
    def names(self) -> list[str]:
        """The models, in the order in which their processes were started."""
        return [each.model.name for each in self.started]
