"""A question to a module in a process of its own, which may be killed: JSON in, JSON out."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from verifine.errors import VerifineError
from verifine.service.compute import THREADS


class ChildError(VerifineError):
    """A process that failed, or took too long (`is_late`)."""

    def __init__(self, message: str, *, is_late: bool = False) -> None:
        super().__init__(message)
        self.is_late = is_late


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildLimits:
    """What a process may take."""

    wall_s: float
    memory_bytes: int
    """Of its own data. Linux only."""
    threads: int | None = None
    """Of torch; None: as the environment says."""


class Children:
    """Processes that each answer one question, until `end`. It may be used by several threads."""

    def __init__(self, *, environment: Mapping[str, str]) -> None:
        """`environment`: all of theirs; nothing is inherited."""
        self._environment = dict(environment)
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._has_ended = False

    def ask(self, module: str, question: bytes, limits: ChildLimits) -> bytes:
        """What `python -m module PARENT` prints when it is given the question; it ends with this process.

        Raises:
            ChildError: it failed, took too long, or was ended.
        """
        process = self._start(module, limits.threads)
        try:
            with process:
                _limit_memory(process.pid, limits.memory_bytes)
                try:
                    answer, errors = process.communicate(question, timeout=limits.wall_s)
                except subprocess.TimeoutExpired as error:
                    raise ChildError(f"it took longer than {limits.wall_s:g} s", is_late=True) from error
                finally:
                    _kill(process)
        finally:
            with self._lock:
                self._running.discard(process)
        if process.returncode != 0:
            said = errors.decode(errors="replace").strip().splitlines()
            raise ChildError(f"the process failed: {said[-1] if said else f'exit code {process.returncode}'}")
        return answer

    def end(self) -> None:
        """Kills those that have not answered, and lets no more begin."""
        with self._lock:
            self._has_ended = True
            for process in self._running:
                if process.poll() is None:
                    _kill(process)

    def _start(self, module: str, threads: int | None) -> subprocess.Popen[bytes]:
        environment = self._environment if threads is None else {**self._environment, THREADS: str(threads)}
        with self._lock:
            if self._has_ended:
                raise ChildError("the service ends")
            process = subprocess.Popen(
                [sys.executable, "-m", module, str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                start_new_session=True,
            )
            self._running.add(process)
            return process


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):  # also what it has started
        os.killpg(process.pid, signal.SIGKILL)


def _limit_memory(pid: int, size: int) -> None:
    if sys.platform == "linux":
        with suppress(ProcessLookupError):  # it has ended already
            resource.prlimit(pid, resource.RLIMIT_DATA, (size, size))
