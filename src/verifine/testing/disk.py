"""A disk that fails where a test wants it to."""

from __future__ import annotations

import errno
import os
import signal
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Literal

from verifine.machine.blocks import Content
from verifine.machine.disk import LocalDisk, refuse_failure

Moment = Literal["before", "within", "after"]
"""within: when a part of the content is written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A failure, and when it happens."""

    point: str
    """The operation, the path in the run, and the count, such as `append metrics.jsonl 2`."""
    moment: Moment
    error: int | None
    """An errno; None: the process is killed at once."""


@dataclass(slots=True)
class FaultyDisk:
    """The file system under `root`, with one fault; it also records all points of writing."""

    root: Path
    fault: Fault | None = None
    points: list[str] = field(default_factory=list)
    """The points of all operations, in order."""
    _disk: LocalDisk = field(default_factory=LocalDisk)
    _counts: Counter[str] = field(default_factory=Counter)
    _lock: Lock = field(default_factory=Lock)

    def write(self, path: Path, content: Iterable[Content]) -> None:
        point = self._reach("write", path)
        self._disk.write(path, self._cut(content, point, path))
        self._fail(point, "after", path)

    def append(self, path: Path, content: bytes) -> None:
        point = self._reach("append", path)
        if self._is_due(point, "within"):
            # A system may write a part of a line: LocalDisk removes it after an error, a killed process cannot.
            if self.fault is not None and self.fault.error is None:
                self._disk.append(path, content[: len(content) // 2])
            self._fail(point, "within", path)
        self._disk.append(path, content)
        self._fail(point, "after", path)

    def sync(self, path: Path) -> None:
        point = self._reach("sync", path)
        self._disk.sync(path)
        self._fail(point, "after", path)

    def rename(self, source: Path, target: Path) -> None:
        point = self._reach("rename", target)
        self._disk.rename(source, target)
        self._fail(point, "after", target)

    def remove(self, path: Path) -> None:
        point = self._reach("remove", path)
        self._disk.remove(path)
        self._fail(point, "after", path)

    def _reach(self, verb: str, path: Path) -> str:
        name = f"{verb} {path.relative_to(self.root)}"
        with self._lock:
            self._counts[name] += 1
            point = f"{name} {self._counts[name]}"
            self.points.append(point)
        self._fail(point, "before", path)
        return point

    def _cut(self, content: Iterable[Content], point: str, path: Path) -> Iterable[Content]:
        for part in content:
            if self._is_due(point, "within"):
                yield part[: len(part) // 2]
                self._fail(point, "within", path)
            yield part

    def _is_due(self, point: str, moment: Moment) -> bool:
        return self.fault is not None and (self.fault.point, self.fault.moment) == (point, moment)

    def _fail(self, point: str, moment: Moment, path: Path) -> None:
        if self.fault is None or not self._is_due(point, moment):
            return
        error = self.fault.error
        if error is None:
            os.kill(os.getpid(), signal.SIGKILL)
        else:
            with refuse_failure(path):
                raise OSError(error, os.strerror(error))


FULL, BROKEN = errno.ENOSPC, errno.EIO
