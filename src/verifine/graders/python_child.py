"""The lifetime of a Python grader's child process, and talking to it within a time limit. POSIX only."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

from verifine.errors import GraderError

MAX_ANSWER_BYTES = 64 * 1024

_WORKER = Path(__file__).with_name("python_worker.py")
_PASSED_ON = ("PATH", "LD_LIBRARY_PATH")
"""What the child sees of our environment: keys and tokens are none of its business."""


class PythonChild:
    """One child in a process group and a temporary folder of its own.

    Both end with `end()`, at the latest when this object or the program does.
    """

    def __init__(self) -> None:
        folder = tempfile.mkdtemp(prefix="verifine-grader-")
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own script, under our own interpreter
                [sys.executable, "-I", "-u", str(_WORKER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                cwd=folder,
                env={**environment, "HOME": folder, "TMPDIR": folder, "LC_ALL": "C.UTF-8"},
                start_new_session=True,
            )
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise GraderError(f"its process cannot be started ({error}); check {sys.executable}") from error
        self._finalizer = weakref.finalize(self, _end, self._process, folder, os.getpid())
        self._requests, self._answers = _pipe(self._process.stdin), _pipe(self._process.stdout)
        os.set_blocking(self._requests, False)
        self._asked = 0

    def is_idle(self) -> bool:
        """Whether it waits for the next request. An idle child is silent: a word from it, or its end, is a fault."""
        return self._finalizer.alive and not _is_ready(self._answers, select.POLLIN, 0)

    def ask(self, request: Mapping[str, object], timeout_s: float) -> dict[str, object]:
        """The answer to one request.

        Raises:
            GraderError: no proper answer came in time; the child has been ended.
            TypeError, ValueError, RecursionError: the request is not JSON; the child is as it was.
        """
        self._asked += 1
        line = json.dumps({**request, "id": self._asked, "timeout_s": timeout_s}).encode() + b"\n"
        deadline = time.monotonic() + timeout_s
        try:
            self._send(line, deadline)
            return self._parse(self._receive(deadline))
        except TimeoutError:
            self.end()
            raise GraderError(f"timed out after {timeout_s:g} s") from None
        except (BrokenPipeError, EOFError):
            self.end()
            raise GraderError(f"its process ended by itself ({_ending(self._process.returncode)})") from None
        except GraderError:
            self.end()
            raise

    def end(self) -> None:
        """Kill whatever still runs in the process group; harmless when repeated."""
        self._finalizer()

    def _send(self, line: bytes, deadline: float) -> None:
        unsent = memoryview(line)
        while unsent:
            _wait(self._requests, select.POLLOUT, deadline)
            unsent = unsent[os.write(self._requests, unsent) :]

    def _receive(self, deadline: float) -> bytes:
        received = b""
        while not received.endswith(b"\n"):
            _wait(self._answers, select.POLLIN, deadline)
            piece = os.read(self._answers, MAX_ANSWER_BYTES)
            if not piece:
                raise EOFError
            received += piece
            if len(received) > MAX_ANSWER_BYTES:
                raise GraderError(f"its process answered with more than {MAX_ANSWER_BYTES} bytes")
        return received

    def _parse(self, line: bytes) -> dict[str, object]:
        """The id shows that this is the answer to this request, also where the user's code has forked the process."""
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise GraderError("its process answered something that is not JSON") from error
        if not isinstance(answer, dict) or answer.get("id") != self._asked:
            raise GraderError("its process answered another request than was made")
        return answer


def _end(process: subprocess.Popen[bytes], folder: str, owner: int) -> None:
    if os.getpid() != owner:  # a fork of us: the child is not its to end
        return
    # The group is killed before the child is waited for: until then its number cannot belong to anyone else.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    shutil.rmtree(folder, ignore_errors=True)


def _pipe(pipe: IO[bytes] | None) -> int:
    assert pipe is not None
    return pipe.fileno()


def _is_ready(descriptor: int, event: int, timeout_s: float) -> bool:
    poller = select.poll()  # select() fails on descriptors above 1023
    poller.register(descriptor, event)
    return bool(poller.poll(timeout_s * 1000))


def _wait(descriptor: int, event: int, deadline: float) -> None:
    remaining_s = deadline - time.monotonic()
    if remaining_s <= 0 or not _is_ready(descriptor, event, remaining_s):
        raise TimeoutError


def _ending(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
