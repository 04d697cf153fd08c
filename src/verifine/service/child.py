"""A question to a module in a process of its own, which may be killed: JSON in, JSON out."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from verifine.errors import VerifineError


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Children:
    """Processes that each answer one question."""

    environment: Mapping[str, str]
    """All of it: nothing is inherited."""

    def ask(self, module: str, question: bytes, limits: ChildLimits) -> bytes:
        """What `python -m module PARENT` prints when it is given the question; it ends with this process.

        Raises:
            ChildError: it failed, or took too long.
        """
        with subprocess.Popen(
            [sys.executable, "-m", module, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(self.environment),
            start_new_session=True,
        ) as process:
            _limit_memory(process.pid, limits.memory_bytes)
            try:
                answer, errors = process.communicate(question, timeout=limits.wall_s)
            except subprocess.TimeoutExpired as error:
                raise ChildError(f"it took longer than {limits.wall_s:g} s", is_late=True) from error
            finally:
                with suppress(ProcessLookupError, PermissionError):  # also what it has started
                    os.killpg(process.pid, signal.SIGKILL)
        if process.returncode != 0:
            said = errors.decode(errors="replace").strip().splitlines()
            raise ChildError(f"the process failed: {said[-1] if said else f'exit code {process.returncode}'}")
        return answer


def _limit_memory(pid: int, size: int) -> None:
    if sys.platform == "linux":
        with suppress(ProcessLookupError):  # it has ended already
            resource.prlimit(pid, resource.RLIMIT_DATA, (size, size))
