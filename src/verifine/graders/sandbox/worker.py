"""Our side of one warm process, which takes a call and gives its outcome."""

from __future__ import annotations

import json
import math
import os
import socket
import subprocess
import time
import weakref
from contextlib import closing, suppress
from dataclasses import dataclass

from verifine.errors import VerifineError
from verifine.graders.sandbox.call import Call, Limits, Outcome
from verifine.graders.sandbox.call_outcome import ProcessExit, outcome_of
from verifine.graders.sandbox.cgroup import ControlGroup
from verifine.graders.sandbox.exchange import Bounds, Exchange, Stop
from verifine.graders.sandbox.inside.frames import receive_frame, send_frame
from verifine.graders.sandbox.inside.untrusted import LENGTH_BYTES

REPLY_TIMEOUT_S = 10.0
"""Seconds for the worker to end a process and say so; killing one takes milliseconds."""
END_TIMEOUT_S = 2.0
"""Seconds for the worker to end itself before it is killed."""
_WORD_BYTES = 64
"""Bytes of the answer besides the value."""


_channels: weakref.WeakSet[socket.socket] = weakref.WeakSet()


def _let_go() -> None:
    for channel in _channels:
        channel.close()


# A worker ends when its channel is closed everywhere, so a fork of us must not keep it open.
os.register_at_fork(after_in_child=_let_go)


class WorkerError(VerifineError):
    """The worker itself is gone or does not do its part; it has been ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Zygote:
    """A warm process (or the process that leads to it), and our connection to it."""

    process: subprocess.Popen[bytes]
    channel: socket.socket
    group: ControlGroup | None
    owner: int
    """The process that started it."""

    def end(self) -> None:
        """Close the channel, which ends the process and all it has started, and see to it that it has ended."""
        self.channel.close()
        if os.getpid() != self.owner:  # in a fork of us, which must not end the process
            return
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(END_TIMEOUT_S)
        self.process.kill()
        self.process.wait()
        if self.group is not None:
            self.group.remove()

    def last_words(self) -> str:
        """The last line on its standard error."""
        assert self.process.stderr is not None
        os.set_blocking(self.process.stderr.fileno(), False)
        lines = (self.process.stderr.read() or b"").decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""

    def close_stderr(self) -> None:
        """Called once it is ready; it writes nothing there afterwards."""
        assert self.process.stderr is not None
        self.process.stderr.close()


class Worker:
    """Runs one call at a time, so it belongs to one thread at a time."""

    def __init__(self, zygote: Zygote) -> None:
        self._channel = zygote.channel
        self._group = zygote.group
        _channels.add(zygote.channel)
        self._finalizer = weakref.finalize(self, zygote.end)

    def run(self, call: Call, limits: Limits) -> Outcome:
        """The outcome of the call.

        Raises:
            WorkerError: the sandbox failed, not the code.
        """
        request = _request(call)
        started = time.monotonic()
        bounds = Bounds(
            deadline=started + limits.wall_s,
            answer_bytes=limits.answer_bytes + _WORD_BYTES,
            output_bytes=limits.output_bytes,
        )
        try:
            with closing(Exchange(request, bounds)) as exchange:
                self._begin(exchange, limits)
                stop = exchange.talk(self._channel.fileno())
                seconds = time.monotonic() - started
                ending = self._finish(stop)
                return outcome_of(call, exchange.take_rest(stop, seconds), ending, limits)
        except (OSError, EOFError, KeyError, ValueError) as error:
            self.end()
            raise WorkerError(f"{type(error).__name__}: {error}" if str(error) else "its process has ended") from error

    def end(self) -> None:
        """End the process and remove its group. Safe to call twice."""
        self._finalizer()

    def _begin(self, exchange: Exchange, limits: Limits) -> None:
        self._channel.settimeout(REPLY_TIMEOUT_S)
        frame = {
            "cpu_s": math.ceil(limits.cpu_s),
            "memory_bytes": limits.memory_bytes,
            "file_bytes": limits.file_bytes,
            "open_files": limits.open_files,
        }
        if self._group is not None:
            self._group.allow(limits.memory_bytes)
        send_frame(self._channel, frame, exchange.theirs)
        exchange.give_away()

    def _finish(self, stop: Stop) -> ProcessExit:
        if stop is not Stop.WORKER:
            send_frame(self._channel, {})
        frame, _ = receive_frame(self._channel)
        if "error" in frame:
            raise ValueError(frame["error"])
        return ProcessExit(code=int(frame["code"]), cpu_s=float(frame["cpu_s"]))


def _request(call: Call) -> bytes:
    """What the process is told. Not its limits, since they may depend on the expected answer."""
    message = {
        "source": call.source,
        "function": call.function,
        "arguments": call.arguments,
    }
    data = json.dumps(message).encode()
    return len(data).to_bytes(LENGTH_BYTES, "big") + data + call.stdin.encode(errors="surrogatepass")
