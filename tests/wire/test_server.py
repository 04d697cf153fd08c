from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys

import pytest

from verifine.wire.server import listen_at

NEVER_ENDS = """
import asyncio
from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Route
from verifine.wire.server import AppServer, listen_at

async def forever():
    yield b"begun"
    await asyncio.sleep(1000)

async def answer(_):
    return StreamingResponse(forever())

with listen_at("127.0.0.1", 0, 30) as listener:
    print(listener.getsockname()[1], flush=True)
    AppServer(Starlette(routes=[Route("/", answer)]), 600).run(listener)
print("stopped")
"""


def test_every_part_of_an_answer_is_sent_at_once() -> None:
    seen: asyncio.Future[int]

    class Looking(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            seen.set_result(transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    async def connect() -> int:
        nonlocal seen
        loop = asyncio.get_running_loop()
        seen = loop.create_future()
        with listen_at("127.0.0.1", 0, 30) as listener:
            async with await loop.create_server(Looking, sock=listener):
                _, writer = await asyncio.open_connection(*listener.getsockname())
                try:
                    return await seen
                finally:
                    writer.close()

    assert asyncio.run(connect()) == 1


@pytest.mark.slow
def test_a_second_ctrl_c_ends_the_server_at_once_and_quietly() -> None:
    command = [sys.executable, "-c", NEVER_ENDS]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            told = b""
            while b"begun" not in told:
                told += connection.recv(1000)
            process.send_signal(signal.SIGINT)
            with pytest.raises(ConnectionError):  # as soon as the first one has had its effect
                while True:
                    socket.create_connection(("127.0.0.1", port), timeout=60).close()
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "stopped\n", "")
