"""Connections that are held for nothing, and what is not HTTP."""

from __future__ import annotations

import json
import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from verifine.wire.http_connection import ConnectionLimits
from verifine.wire.server import AppServer, listen_at

HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def answer(_: Request) -> Response:
    """Without reading the body."""
    return PlainTextResponse("ok")


@contextmanager
def serving(limits: ConnectionLimits) -> Iterator[int]:
    """The port of a server."""
    server = AppServer(Starlette(routes=[Route("/", answer, methods=["GET", "POST"])]), 5, limits)
    with listen_at("127.0.0.1", 0, 30) as listener:
        thread = threading.Thread(target=server.run, args=(listener,))
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.stop()
            thread.join()


@pytest.fixture
def port() -> Iterator[int]:
    """Of a server that does not wait long."""
    with serving(ConnectionLimits(connections=100, head_seconds=0.2, linger_seconds=0.2)) as port:
        yield port


@pytest.fixture
def patient_port() -> Iterator[int]:
    with serving(ConnectionLimits(connections=4)) as port:
        yield port


@contextmanager
def connected(port: int, sent: bytes = b"") -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(sent)
        yield connection


def read_to_end(connection: socket.socket) -> bytes:
    """What comes until the server closes the connection."""
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


def is_answered(connection: socket.socket) -> bool:
    """Reads a whole answer of the app."""
    text = b""
    while not text.endswith(b"ok"):
        part = connection.recv(65536)
        if not part:
            return False
        text += part
    return text.startswith(b"HTTP/1.1 200")


def error_of(response: bytes) -> tuple[str, str]:
    """The status line, and the code in the envelope."""
    head, _, body = response.partition(b"\r\n\r\n")
    assert b"x-request-id: req_" in head
    (error,) = json.loads(body).values()
    assert set(error) == {"message", "type", "param", "code"}
    return head.decode().splitlines()[0], error["code"]


@pytest.mark.parametrize(
    "sent",
    [b"\0\1\2\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
     b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000],
)  # fmt: skip
def test_what_is_not_http_gets_an_envelope(port: int, sent: bytes) -> None:
    with connected(port, sent) as connection:
        assert error_of(connection.recv(65536)) == ("HTTP/1.1 400 Bad Request", "invalid_http")


def test_a_connection_that_says_nothing_is_closed(port: int) -> None:
    with connected(port) as connection:
        assert read_to_end(connection) == b""


def test_headers_that_come_too_slowly_are_not_waited_for(port: int) -> None:
    with connected(port, b"GET / HTTP/1.1\r\nX: ") as connection:
        while not select.select([connection], [], [], 0.02)[0]:
            connection.sendall(b"x")
        assert error_of(connection.recv(65536)) == ("HTTP/1.1 408 Request Timeout", "request_timeout")


def test_the_second_request_of_a_connection_is_not_waited_for_either(port: int) -> None:
    with connected(port, HEAD + b"GET /") as connection:
        first, _, second = read_to_end(connection).partition(b"ok")
        assert first.startswith(b"HTTP/1.1 200")
        assert error_of(second)[1] == "request_timeout"


def test_a_body_without_end_is_cut_off_once_its_request_is_answered(port: int) -> None:
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    with connected(port, head) as connection:
        assert is_answered(connection)
        with pytest.raises(OSError, match=r"reset|[Bb]roken pipe"):
            while True:
                connection.sendall(b"1000\r\n" + b" " * 4096 + b"\r\n")


def test_a_body_that_ends_in_time_leaves_the_connection_open(patient_port: int) -> None:
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n"
    with connected(patient_port, head) as connection:
        assert is_answered(connection)
        connection.sendall(b"late" + HEAD)
        assert is_answered(connection)


def test_more_connections_than_there_may_be_are_closed_and_the_others_answered(patient_port: int) -> None:
    with ExitStack() as stack:
        kept = [stack.enter_context(connected(patient_port, HEAD)) for _ in range(4)]
        assert all(is_answered(each) for each in kept)
        further = stack.enter_context(connected(patient_port, HEAD))
        with suppress(ConnectionResetError):
            assert read_to_end(further) == b""
        kept[0].sendall(HEAD)
        assert is_answered(kept[0])


@contextmanager
def stopping(limits: ConnectionLimits, sent: bytes) -> Iterator[socket.socket]:
    """A connection that has sent a part of a request whose body is read, to a server that is to stop from then on."""
    began = threading.Event()

    async def count(request: Request) -> Response:
        began.set()
        return PlainTextResponse(f"{len(await request.body())} bytes")

    server = AppServer(Starlette(routes=[Route("/", count, methods=["POST"])]), 60, limits)
    with listen_at("127.0.0.1", 0, 30) as listener:
        thread = threading.Thread(target=server.run, args=(listener,))
        thread.start()
        port = listener.getsockname()[1]
        with connected(port, sent) as connection:
            assert began.wait(30)
            server.stop()
            while is_listening(port):
                time.sleep(0.01)  # it looks whether it is to stop every tenth of a second
            yield connection
        thread.join(30)
        assert not thread.is_alive()


def is_listening(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=30).close()
    except ConnectionRefusedError:
        return False
    return True


HALF = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8\r\n\r\n1234"


def test_a_server_that_stops_does_not_wait_for_a_body_that_does_not_come() -> None:
    with stopping(ConnectionLimits(connections=4, linger_seconds=0.2), HALF) as connection:
        assert error_of(read_to_end(connection)) == ("HTTP/1.1 503 Service Unavailable", "server_error")


def test_a_body_that_comes_while_the_server_stops_is_answered() -> None:
    with stopping(ConnectionLimits(connections=4, linger_seconds=20), HALF) as connection:
        connection.sendall(b"5678")
        assert read_to_end(connection).endswith(b"8 bytes")


def test_a_body_that_goes_on_arriving_is_waited_for_by_a_server_that_stops() -> None:
    with stopping(ConnectionLimits(connections=4, linger_seconds=0.5), HALF) as connection:
        for byte in b"5678":
            time.sleep(0.2)
            connection.sendall(bytes([byte]))
        assert read_to_end(connection).endswith(b"8 bytes")
