"""How much main memory the process can have: what the machine has left, and what its control groups allow."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from verifine.machine.control_groups import OWN_PROCESS, find_groups, read_setting


@dataclass(frozen=True, slots=True, kw_only=True)
class MainMemory:
    """What there is for the process, in bytes."""

    total: int
    """Of the machine, or what the narrowest of its control groups may hold."""
    free: int
    """What it can have: what is free, and what it holds already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What the machine, or a control group, holds at most and holds now, in bytes."""

    limit: int
    used: int
    """Without pages of files that the kernel would give up first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Files:
    """What a version of control groups calls them."""

    limits: tuple[str, ...]
    used: str
    reclaimable: str
    """In memory.stat; of the groups inside, too."""


_VERSIONS = (
    # Above memory.high processes are slowed down until they hold less, so it is a limit as well.
    _Files(limits=("memory.max", "memory.high"), used="memory.current", reclaimable="inactive_file"),
    _Files(limits=("memory.limit_in_bytes",), used="memory.usage_in_bytes", reclaimable="total_inactive_file"),
)


def read_memory(process: Path = OWN_PROCESS) -> MainMemory:
    """That of this process, as things are now."""
    machine = psutil.virtual_memory()
    whole = Bound(limit=machine.total, used=machine.total - machine.available)
    return find_room([whole, *read_bounds(process)], _held())


def read_unused() -> int:
    """Bytes that the process could have and does not hold."""
    return max(0, read_memory().free - _held())


def find_room(bounds: Sequence[Bound], held: int) -> MainMemory:
    """What all `bounds` leave to a process that holds so many bytes itself."""
    return MainMemory(
        total=min(bound.limit for bound in bounds),
        free=min(max(0, bound.limit - max(0, bound.used - held)) for bound in bounds),
    )


def read_bounds(process: Path = OWN_PROCESS) -> list[Bound]:
    """Those of the control groups of the process that have a limit."""
    groups = find_groups("memory", process)
    bounds = (_read_bound(group, files) for group in groups for files in _VERSIONS)
    return [bound for bound in bounds if bound is not None]


def _read_bound(group: Path, files: _Files) -> Bound | None:
    limits = [read_setting(group / name) or "" for name in files.limits]
    used = read_setting(group / files.used) or ""
    numbers = [int(limit) for limit in limits if limit.isdecimal()]  # else it says "max"
    if not numbers or not used.isdecimal():
        return None
    lines = (read_setting(group / "memory.stat") or "").splitlines()
    reclaimable = sum(
        int(size) for name, _, size in (line.partition(" ") for line in lines) if name == files.reclaimable
    )
    return Bound(limit=min(numbers), used=max(0, int(used) - reclaimable))


def _held() -> int:
    """Without pages of files where these are told apart, for the kernel counts them as available."""
    memory = psutil.Process().memory_info()
    return memory.rss - memory.shared if sys.platform == "linux" else memory.rss
