"""How much main memory the process can use: what is free on the machine, within what its control groups allow."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from verifine.machine.control_groups import OWN_PROCESS, find_groups, read_setting


@dataclass(frozen=True, slots=True, kw_only=True)
class MainMemory:
    """Main memory from the point of view of the process, in bytes."""

    total: int
    """The machine's memory, or the lowest limit of its control groups."""
    free: int
    """What it can use: what is free, plus what it holds already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """The limit and the use of the machine or of a control group, in bytes."""

    limit: int
    used: int
    """Without cached file pages, which the kernel frees first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Files:
    """The names of the files in a version of control groups."""

    limits: tuple[str, ...]
    used: str
    reclaimable: str
    """A key of memory.stat that includes the groups inside."""


_VERSIONS = (
    # Above memory.high processes are slowed down until they hold less, so it is a limit as well.
    _Files(limits=("memory.max", "memory.high"), used="memory.current", reclaimable="inactive_file"),
    _Files(limits=("memory.limit_in_bytes",), used="memory.usage_in_bytes", reclaimable="total_inactive_file"),
)


def read_memory(process: Path = OWN_PROCESS) -> MainMemory:
    """The memory of this process at this moment."""
    machine = psutil.virtual_memory()
    whole = Bound(limit=machine.total, used=machine.total - machine.available)
    return within_bounds([whole, *read_bounds(process)], _held())


def read_unused() -> int:
    """Bytes that the process could still allocate."""
    return max(0, read_memory().free - _held())


def within_bounds(bounds: Sequence[Bound], held: int) -> MainMemory:
    """What all `bounds` leave to a process that already holds `held` bytes."""
    return MainMemory(
        total=min(bound.limit for bound in bounds),
        free=min(max(0, bound.limit - max(0, bound.used - held)) for bound in bounds),
    )


def read_bounds(process: Path = OWN_PROCESS) -> list[Bound]:
    """The control groups of the process that have a limit."""
    groups = find_groups("memory", process)
    bounds = (_read_bound(group, files) for group in groups for files in _VERSIONS)
    return [bound for bound in bounds if bound is not None]


def _read_bound(group: Path, files: _Files) -> Bound | None:
    limits = [read_setting(group / name) or "" for name in files.limits]
    used = read_setting(group / files.used) or ""
    numbers = [int(limit) for limit in limits if limit.isdecimal()]  # the others say "max"
    if not numbers or not used.isdecimal():
        return None
    lines = (read_setting(group / "memory.stat") or "").splitlines()
    reclaimable = sum(
        int(size) for name, _, size in (line.partition(" ") for line in lines) if name == files.reclaimable
    )
    return Bound(limit=min(numbers), used=max(0, int(used) - reclaimable))


def _held() -> int:
    """Without file pages where these are reported, because the kernel counts them as available."""
    memory = psutil.Process().memory_info()
    return memory.rss - memory.shared if sys.platform == "linux" else memory.rss
