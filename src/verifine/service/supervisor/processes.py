"""The processes of jobs, as a supervisor sees them: by files in the folder of a job."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Protocol

import psutil
from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from verifine.launch.sweep.process import explain_end
from verifine.runs.heartbeat import SAME_START_S, find_process_start
from verifine.service.supervisor import recorder


class JobProcesses(Protocol):
    """Starts and ends the process of a job, which may have been started by an earlier service."""

    def start(self, folder: Path, words: Sequence[str]) -> None:
        """Runs `verifine` with these words."""
        ...

    def is_alive(self, folder: Path) -> bool: ...

    def kill(self, folder: Path) -> None:
        """Ends it at once, with all that it has started."""
        ...

    def resident_bytes(self, folder: Path) -> int:
        """The memory that all of it has now."""
        ...

    def why_ended(self, folder: Path) -> str:
        """What is known of the end of the last one, in words."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RecorderProcess:
    """Which process it is, even after its pid has been used again."""

    pid: int
    started: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RecorderEnd:
    """How the command ended."""

    code: int
    """Its exit code, or minus the number of the signal that killed it."""


_PROCESS, _END = TypeAdapter(RecorderProcess), TypeAdapter(RecorderEnd)


class RecordedProcesses:
    """Processes of this machine."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """`environment` is all that a process gets: nothing is inherited."""
        self._environment = dict(environment)
        self._started: dict[Path, subprocess.Popen[bytes]] = {}

    def start(self, folder: Path, words: Sequence[str]) -> None:
        """Does nothing if a recorder is at the folder, which only just started when this service did."""
        with (folder / recorder.LOCK).open("ab") as lock:
            if not _take(lock):
                return
            (folder / recorder.PROCESS).unlink(missing_ok=True)
            self._started[folder] = subprocess.Popen(
                [sys.executable, "-m", recorder.__name__, str(folder), str(lock.fileno()), *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                pass_fds=[lock.fileno()],  # held from before it starts until it ends
                env=self._environment,
            )

    def is_alive(self, folder: Path) -> bool:
        own = self._started.get(folder)
        if (own is not None and own.poll() is None) or _has_recorder(folder):
            return True
        # It may have been killed while what it started lives.
        return self._find_group(folder) is not None

    def kill(self, folder: Path) -> None:
        own, group = self._started.get(folder), self._find_group(folder)
        if group is None and own is not None and own.poll() is None:
            group = own.pid
        if group is not None:
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        if own is not None:
            own.wait()

    def resident_bytes(self, folder: Path) -> int:
        group = self._find_group(folder)
        return sum(_resident(each) for each in psutil.process_iter() if group is not None and _is_in(group, each))

    def why_ended(self, folder: Path) -> str:
        try:
            end = _END.validate_json((folder / recorder.END).read_bytes())
        except (OSError, ValidationError):
            return "the process was killed with all that belongs to it"
        return explain_end(end.code, folder / recorder.LOG)

    def _find_group(self, folder: Path) -> int | None:
        """The process group that the recorder made; None: nothing in it is alive."""
        try:
            process = _PROCESS.validate_json((folder / recorder.PROCESS).read_bytes())
        except (OSError, ValidationError):
            return None
        started = find_process_start(process.pid)
        if started is not None and abs(started - process.started) >= SAME_START_S:
            return None  # the pid belongs to another process now
        return process.pid if any(_is_in(process.pid, each) for each in psutil.process_iter()) else None


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def _take(lock: IO[bytes]) -> bool:
    """Whether nobody else has it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _has_recorder(folder: Path) -> bool:
    try:
        with (folder / recorder.LOCK).open("rb") as lock:
            return not _take(lock)
    except FileNotFoundError:
        return False


def _is_in(group: int, process: psutil.Process) -> bool:
    try:
        return os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, PermissionError, psutil.Error):
        return False
