"""The exchange with the process that runs a call: sends the input and collects the output, up to its limits."""

from __future__ import annotations

import os
import select
import time
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto

_PIECE_BYTES = 1 << 16
_END = b""
"""What is read from a pipe whose writers have all closed it."""


class Stop(Enum):
    """Why the exchange ended."""

    ANSWERED = auto()
    """There is a whole line, or the process has closed its end, for example by ending."""
    LATE = auto()
    ANSWER_TOO_LARGE = auto()
    OUTPUT_TOO_LARGE = auto()
    WORKER = auto()
    """The worker has sent something, or is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """The result of the exchange."""

    stop: Stop
    answer: bytes
    output: bytes
    seconds: float
    """From its beginning up to the answer, or to the reason to stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The limits of the exchange."""

    deadline: float
    """As `time.monotonic` counts."""
    answer_bytes: int
    output_bytes: int


class Exchange:
    """Three pipes. The ends for the process are `theirs`: its standard input, its standard output, its answer."""

    def __init__(self, request: bytes, bounds: Bounds) -> None:
        self._unsent = memoryview(request)
        self._bounds = bounds
        self.answer = bytearray()
        self.output = bytearray()
        self._open: list[int] = []
        try:
            stdin, self._request = self._pipe()
            self._output, stdout = self._pipe()
            self._answer, answer = self._pipe()
        except OSError:  # no more descriptors are available
            self.close()
            raise
        self.theirs = (stdin, stdout, answer)
        for ours in (self._request, self._output, self._answer):
            os.set_blocking(ours, False)

    def give_away(self) -> None:
        """Close the ends that the process now has."""
        for descriptor in self.theirs:
            self._close(descriptor)

    def close(self) -> None:
        for descriptor in tuple(self._open):
            self._close(descriptor)

    def talk(self, worker: int) -> Stop:
        """Exchange data until there is a reason to stop. `worker` is a descriptor that is readable if it fails."""
        poller = select.poll()  # select() fails on descriptors above 1023
        poller.register(self._request, select.POLLOUT)
        for descriptor in (self._output, self._answer, worker):
            poller.register(descriptor, select.POLLIN)
        while True:
            remaining_s = self._bounds.deadline - time.monotonic()
            ready = {descriptor for descriptor, _ in poller.poll(remaining_s * 1000)} if remaining_s > 0 else set()
            if not ready:
                return Stop.LATE
            if self._request in ready and not self._send():
                poller.unregister(self._request)
                self._close(self._request)
            if self._output in ready and self._receive(self._output, self.output) == _END:
                poller.unregister(self._output)
            ended = self._answer in ready and self._receive(self._answer, self.answer) == _END
            if (excess := self._excess()) is not None:
                return excess
            if ended or self.answer.endswith(b"\n"):
                return Stop.ANSWERED
            if worker in ready:
                return Stop.WORKER

    def take_rest(self, stop: Stop, seconds: float) -> Heard:
        """Everything that was written, once the process is gone; the rest of its output may exceed the limit."""
        excess = self._excess()
        while excess is None and self._receive(self._output, self.output):
            excess = self._excess()
        return Heard(stop=excess or stop, answer=bytes(self.answer), output=bytes(self.output), seconds=seconds)

    def _excess(self) -> Stop | None:
        if len(self.answer) > self._bounds.answer_bytes:
            return Stop.ANSWER_TOO_LARGE
        if len(self.output) > self._bounds.output_bytes:
            return Stop.OUTPUT_TOO_LARGE
        return None

    def _send(self) -> bool:
        """Whether more is left to send."""
        if self._unsent:
            try:
                self._unsent = self._unsent[os.write(self._request, self._unsent[:_PIECE_BYTES]) :]
            except BlockingIOError:
                return True
            except BrokenPipeError:
                return False
        return bool(self._unsent)

    def _receive(self, descriptor: int, into: bytearray) -> bytes | None:
        """What came; None: nothing yet."""
        try:
            piece = os.read(descriptor, _PIECE_BYTES)
        except BlockingIOError:
            return None
        into += piece
        return piece

    def _pipe(self) -> tuple[int, int]:
        ends = os.pipe()
        self._open.extend(ends)
        return ends

    def _close(self, descriptor: int) -> None:
        if descriptor in self._open:
            self._open.remove(descriptor)
            with suppress(OSError):
                os.close(descriptor)
