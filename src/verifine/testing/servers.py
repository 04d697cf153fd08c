"""A server in a thread of the test, on a free port of loopback."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from verifine.serving import ServedModel, ServingLimits, build_app
from verifine.serving.owner import ServerOwner
from verifine.wire.server import AppServer, address_of, listen_at


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningServer:
    """A server that answers."""

    url: str
    server: AppServer
    thread: threading.Thread


@contextmanager
def running_server(
    *models: ServedModel, limits: ServingLimits | None = None, owner: ServerOwner | None = None
) -> Iterator[RunningServer]:
    """Serves `models` while the context lasts, and then finishes what is being answered."""
    limits = limits or ServingLimits()
    server = AppServer(build_app(models, limits, owner=owner), limits.request_seconds)
    listener = listen_at("127.0.0.1", 0, limits.send_seconds)
    thread = threading.Thread(target=server.run, args=(listener,), name="server")
    thread.start()
    try:
        # The listener has accepted connections since it was opened, so nobody has to wait for the start.
        yield RunningServer(url=address_of(listener), server=server, thread=thread)
    finally:
        server.stop()
        thread.join()
        listener.close()
