"""Control groups: a second bound on memory and tasks, which counts what the kernel holds for them too.

Only where they can be written, which is as root, and without them nothing else changes.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from verifine.graders.sandbox.inside.guard import MAX_TASKS

ROOT = Path("/sys/fs/cgroup")
HEADROOM_BYTES = 2 << 30
"""For preloaded modules and mapped files."""
_PREFIX = "verifine-"
_REMOVAL_S = 1.0
_numbers = itertools.count()


@dataclass(frozen=True, slots=True, kw_only=True)
class Hierarchy:
    """A tree of groups that we can add to."""

    folder: Path
    memory: str | None
    """The file for the limit on bytes; None: this tree does not count them."""
    tasks: str | None


class ControlGroup:
    """Groups of one worker, one in each hierarchy."""

    def __init__(self, folders: Sequence[Path], memory: Sequence[Path]) -> None:
        self._folders = folders
        self._memory = memory
        self._memory_bytes = 0

    def take_in(self, process: int) -> None:
        """The process, and all that it starts from now on."""
        for folder in self._folders:
            Path(folder, "cgroup.procs").write_text(str(process))

    def allow(self, memory_bytes: int) -> None:
        """For one call, on top of what the worker holds."""
        if memory_bytes > self._memory_bytes:
            for file in self._memory:
                file.write_text(str(HEADROOM_BYTES + memory_bytes))
            self._memory_bytes = memory_bytes

    def remove(self) -> None:
        """Once its processes have ended. The kernel may take a moment to see that they have."""
        deadline = time.monotonic() + _REMOVAL_S
        for folder in self._folders:
            while not _remove(folder) and time.monotonic() < deadline:
                time.sleep(0.01)


def find_hierarchies(root: Path = ROOT) -> list[Hierarchy]:
    """Those that count memory or tasks and that we may add groups to: one of version 2, or several of version 1."""
    switched_on = Path(root, "cgroup.subtree_control")
    if switched_on.is_file():
        controllers = switched_on.read_text().split()
        memory, tasks = (
            ("memory.max" if "memory" in controllers else None),
            "pids.max" if "pids" in controllers else None,
        )
        found = [Hierarchy(folder=root, memory=memory, tasks=tasks)] if memory or tasks else []
    else:
        found = [
            Hierarchy(folder=Path(root, "memory"), memory="memory.limit_in_bytes", tasks=None),
            Hierarchy(folder=Path(root, "pids"), memory=None, tasks="pids.max"),
        ]
    return [each for each in found if Path(each.folder, "cgroup.procs").is_file() and os.access(each.folder, os.W_OK)]


def make_group(hierarchies: Sequence[Hierarchy]) -> ControlGroup | None:
    """A new group in each; None if there are no hierarchies, or it cannot be made."""
    name = f"{_PREFIX}{os.getpid()}-{next(_numbers)}"
    folders: list[Path] = []
    memory: list[Path] = []
    try:
        for each in hierarchies:
            _sweep(each.folder)
            folder = Path(each.folder, name)
            folder.mkdir()
            folders.append(folder)
            if each.memory is not None:
                memory.append(Path(folder, each.memory))
            if each.tasks is not None:
                Path(folder, each.tasks).write_text(str(MAX_TASKS))
    except OSError:
        for folder in folders:
            _remove(folder)
        return None
    return ControlGroup(folders, memory) if folders else None


def _sweep(folder: Path) -> None:
    """Remove the groups that killed programs left behind."""
    for left in folder.glob(f"{_PREFIX}*"):
        owner = left.name.removeprefix(_PREFIX).partition("-")[0]
        if not Path("/proc", owner).exists():
            _remove(left)


def _remove(folder: Path) -> bool:
    with suppress(FileNotFoundError):
        try:
            folder.rmdir()
        except OSError:
            return False
    return True
