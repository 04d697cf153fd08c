"""Applies the limits: first to the zygote, then more of them to each child. None can be removed again."""

from __future__ import annotations

import os
import resource
import signal
import sys
from contextlib import suppress
from typing import Any

from verifine.graders.sandbox.inside import kernel, landlock

MAX_TASKS = 1024
"""Threads that a call may start, on top of what its user had when the worker started."""
KEPT_TASKS = 32
"""Tasks of the user's limit that calls may not take: with none left, the zygotes could not fork."""

_MOST_TASKS = 1 << 22
"""More than any kernel has (PID_MAX_LIMIT)."""


class Guard:
    """Applies what the settings ask for. Without `confined`, a zygote has limits of time and size only."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._confined: bool = settings["confined"]
        self._view: dict[str, Any] = settings["view"]
        self._drop_to: int | None = settings["drop_to"]
        self._zygote_filter = bytes.fromhex(settings["zygote_filter"])
        self._child_filter = bytes.fromhex(settings["child_filter"])
        self._ends_with_parent: bool = settings["ends_with_parent"]
        self._process = os.getpid()
        self._held_bytes = 0
        self._most_tasks = 0
        # Opened while it can be. It describes the process that opened it, whatever happens to /proc.
        self._memory = os.open("/proc/self/statm", os.O_RDONLY) if sys.platform == "linux" else None

    def hold_zygote(self) -> None:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if not self._confined:
            return
        if self._drop_to is not None:
            _become(self._drop_to)
        if self._ends_with_parent:
            kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)  # becoming another user has cleared it
        kernel.drop_capabilities()
        if 0 in (*os.getresuid(), *os.getresgid()):
            raise PermissionError("untrusted code must not run as root")
        kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
        kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
        _check_readable(self._view["read"])
        landlock.restrict(self._view["read"], self._view["devices"])
        kernel.filter_system_calls(self._zygote_filter)

    def measure(self) -> None:
        """Measure what is used before any call: address space of this process, tasks of its user."""
        if self._memory is not None:
            self._held_bytes = int(os.pread(self._memory, 100, 0).split()[0]) * resource.getpagesize()
            os.close(self._memory)
        if self._confined:
            self._most_tasks = _most_tasks()

    def hold_child(self, limits: dict[str, Any]) -> None:
        if sys.platform == "linux":
            kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != self._process:
                raise ProcessLookupError("the zygote is gone")
            _limit(resource.RLIMIT_AS, self._held_bytes + limits["memory_bytes"])
        _limit(resource.RLIMIT_FSIZE, limits["file_bytes"])
        _limit(resource.RLIMIT_NOFILE, limits["open_files"])
        _limit(resource.RLIMIT_CPU, limits["cpu_s"], limits["cpu_s"] + 1)
        if self._confined:
            _limit(resource.RLIMIT_NPROC, self._most_tasks)
            landlock.isolate()
            own = os.getpid().to_bytes(4, sys.byteorder)
            kernel.filter_system_calls(self._child_filter.replace(kernel.OWN_PROCESS.to_bytes(4, sys.byteorder), own))


def _become(user: int) -> None:
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def _check_readable(paths: list[str]) -> None:
    for path in paths:
        is_folder = os.path.isdir(path)  # noqa: PTH112 - no pathlib inside
        if not os.access(path, os.R_OK | os.X_OK if is_folder else os.R_OK):
            raise PermissionError(f"{path} cannot be read by user {os.getuid()}, as whom untrusted code runs")


def _most_tasks() -> int:
    """The limit for a call: what its user has, rounded up to a power of two, and `MAX_TASKS`.

    The kernel counts them over the whole machine, beyond what /proc shows in a container. So it is asked by forking.
    """
    before = resource.getrlimit(resource.RLIMIT_NPROC)
    hard = before[1]
    most = _MOST_TASKS if hard == resource.RLIM_INFINITY else hard
    count = 1
    while count < most and not _can_fork(count, hard):
        count *= 2
    resource.setrlimit(resource.RLIMIT_NPROC, before)
    return max(1, min(count + MAX_TASKS, most - KEPT_TASKS))


def _can_fork(limit: int, hard: int) -> bool:
    resource.setrlimit(resource.RLIMIT_NPROC, (limit, hard))
    try:
        child = os.fork()
    except BlockingIOError:
        return False
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    return True


def _limit(what: int, soft: int, hard: int | None = None) -> None:
    with suppress(ValueError):  # a lower limit is in force already
        resource.setrlimit(what, (soft, soft if hard is None else hard))
