"""Clients that several graders share: one for each server, so that its limit holds for all of them together."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from verifine.config.grading import ServiceConfig
from verifine.graders.remote.client import RemoteClient


@dataclass(slots=True, kw_only=True)
class _Held:
    client: RemoteClient
    leases: int = 0


class Lease:
    """The use of a shared client until it is closed."""

    def __init__(self, client: RemoteClient, give_back: Callable[[], None]) -> None:
        self.client = client
        self._give_back: Callable[[], None] | None = give_back

    def close(self) -> None:
        """Give the client back. Safe to call twice."""
        give_back, self._give_back = self._give_back, None
        if give_back is not None:
            give_back()


class SharedClients:
    """A client is closed when its last lease is given back, so a grader closes its lease and no more."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[ServiceConfig, _Held] = {}

    def lease(self, server: ServiceConfig, create: Callable[[], RemoteClient]) -> Lease:
        """The client of this server, created on first use."""
        with self._lock:
            if server not in self._held:
                self._held[server] = _Held(client=create())
            held = self._held[server]
            held.leases += 1
        return Lease(held.client, lambda: self._give_back(server))

    def _give_back(self, server: ServiceConfig) -> None:
        with self._lock:
            held = self._held[server]
            held.leases -= 1
            if held.leases:
                return
            del self._held[server]
        held.client.close()
