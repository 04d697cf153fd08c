"""Runs an app on an address of this machine until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import resource
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import cast

import uvicorn
from starlette.types import ASGIApp

from verifine.errors import SetupError
from verifine.wire.http_connection import ConnectionLimits, HttpConnection

BACKLOG = 2048
"""Connections that wait to be accepted."""

MOST_DESCRIPTORS = 65_536
"""Of a server's process, if its hard limit allows them."""


def listen_at(host: str, port: int, send_seconds: float) -> socket.socket:
    """A listening socket; port 0: any free one. A client that reads nothing for `send_seconds` is given up.

    Raises:
        SetupError: the address cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Told that it is TCP, asyncio sends what is written at once. Otherwise the second write of an answer would wait for
    # the client's system to acknowledge the first, which takes 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sys.platform == "linux":
            # Connections inherit it: the kernel closes one whose client reads nothing for so long.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(1000 * send_seconds))
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise SetupError(f"{host}:{port} cannot be used ({error.strerror or error}); choose another --port") from error
    return listener


def address_of(listener: socket.socket, *, is_secure: bool = False) -> str:
    host, port = listener.getsockname()[:2]
    scheme = "https" if is_secure else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


class AppServer:
    """Serves an app. SIGTERM and Ctrl-C let it finish what is being answered; a second Ctrl-C does not."""

    def __init__(
        self,
        app: ASGIApp,
        stop_seconds: float,
        limits: ConnectionLimits | None = None,
        certificate: tuple[Path, Path] | None = None,
    ) -> None:
        """How it is run.

        Args:
            app: What is served.
            stop_seconds: How long an answer may still take when the server is to stop.
            limits: None: half of the process's file descriptors may be connections.
            certificate: The chain and the private key of TLS, as PEM files that can be used; None: it speaks HTTP only.
        """
        limits = limits or ConnectionLimits(connections=_raise_descriptors() // 2)
        config = uvicorn.Config(
            app,
            http=cast("type[asyncio.Protocol]", partial(HttpConnection, limits)),
            # asyncio accepts so many before it shows the first of them, and spins where it finds no descriptor.
            backlog=min(BACKLOG, max(limits.connections // 4, 1)),
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=int(stop_seconds) + 1,
            ssl_certfile=None if certificate is None else certificate[0],
            ssl_keyfile=None if certificate is None else certificate[1],
        )
        self._server = uvicorn.Server(config)

    @property
    def has_started(self) -> bool:
        return self._server.started

    @property
    def is_stopping(self) -> bool:
        return self._server.should_exit

    def run(self, listener: socket.socket) -> None:
        """Returns when the server has stopped, also by a signal, which has had its effect then."""
        errors = logging.getLogger("uvicorn.error")
        errors.addFilter(_is_no_cancellation)
        try:
            with _raised_again_for_nothing():
                self._server.run(sockets=[listener])
        finally:
            errors.removeFilter(_is_no_cancellation)

    def stop(self) -> None:
        """From another thread: as SIGTERM does."""
        self._server.should_exit = True


def _is_no_cancellation(record: logging.LogRecord) -> bool:
    """A second Ctrl-C cancels what is being answered, which is no failure of the app."""
    error = None if record.exc_info is None else record.exc_info[1]
    return not (isinstance(error, asyncio.CancelledError) or record.getMessage().rstrip().endswith("CancelledError"))


def _raise_descriptors() -> int:
    """Lets the process have more file descriptors, as servers do; returns how many it may have now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < MOST_DESCRIPTORS:
        wanted = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
        with suppress(OSError, ValueError):  # some systems have a lower limit than they tell
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return MOST_DESCRIPTORS if soft == resource.RLIM_INFINITY else soft


@contextmanager
def _raised_again_for_nothing() -> Iterator[None]:
    """At its end, uvicorn raises the signals that it has acted on once more, for the handlers from before."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {each: signal.signal(each, lambda *_: None) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for each, handler in previous.items():
            signal.signal(each, handler)
