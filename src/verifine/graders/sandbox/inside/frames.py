"""Small JSON objects over a socket, each preceded by its length; file descriptors may be sent along."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping, Sequence
from typing import Any

MAX_DESCRIPTORS = 3
_LENGTH_BYTES = 4


def send_frame(channel: socket.socket, frame: Mapping[str, object], descriptors: Sequence[int] = ()) -> None:
    data = json.dumps(frame).encode()
    message = len(data).to_bytes(_LENGTH_BYTES, "big") + data
    sent = socket.send_fds(channel, [message], descriptors) if descriptors else 0
    channel.sendall(message[sent:])


def receive_frame(channel: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """The next frame, and the descriptors that came with it.

    Raises:
        EOFError: the other side has closed the channel.
    """
    # Descriptors come with the first byte of a message, so they are asked for with the length only.
    length, descriptors, _flags, _address = socket.recv_fds(channel, _LENGTH_BYTES, MAX_DESCRIPTORS)
    length += _receive(channel, _LENGTH_BYTES - len(length)) if length else b""
    if not length:
        raise EOFError
    frame: dict[str, Any] = json.loads(_receive(channel, int.from_bytes(length, "big")))
    return frame, descriptors


def _receive(channel: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        piece = channel.recv(size - len(received))
        if not piece:
            raise EOFError
        received += piece
    return received
