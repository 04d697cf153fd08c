"""How many cores the process may keep busy."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import psutil

from verifine.machine.control_groups import OWN_PROCESS, find_groups, read_setting

TOPOLOGY = Path("/sys/devices/system/cpu")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cores:
    """How much of the processor the process may use."""

    logical: int
    """Cores that it may be scheduled on."""
    physical: int
    """The same, but hyper-threads of one core count once."""
    quota: float | None = None
    """How many cores' worth of time its control groups allow it; None: no limit."""

    @property
    def available(self) -> int:
        """How many threads can run at once without being throttled by the quota."""
        return self.logical if self.quota is None else max(1, min(self.logical, int(self.quota)))


def read_cores(allowed: Collection[int] | None = None, process: Path = OWN_PROCESS, topology: Path = TOPOLOGY) -> Cores:
    """The cores of this process at this moment. `allowed` None: those that it may be scheduled on."""
    quotas = [quota for group in find_groups("cpu", process) if (quota := _read_quota(group)) is not None]
    quota = min(quotas, default=None)
    if allowed is None and sys.platform == "linux":
        allowed = os.sched_getaffinity(0)
    if allowed is None:
        logical = psutil.cpu_count() or 1
        return Cores(logical=logical, physical=psutil.cpu_count(logical=False) or logical, quota=quota)
    return Cores(logical=len(allowed), physical=_count_physical(allowed, topology), quota=quota)


def _read_quota(group: Path) -> float | None:
    if (both := read_setting(group / "cpu.max")) is not None:
        time, period = both.split()
    else:
        time = read_setting(group / "cpu.cfs_quota_us") or "-1"
        period = read_setting(group / "cpu.cfs_period_us") or ""
    return int(time) / int(period) if time.isdecimal() and period.isdecimal() else None


def _count_physical(allowed: Collection[int], topology: Path) -> int:
    """The number of sets of hyper-threads; if these are not known, every core counts."""
    siblings = {read_setting(topology / f"cpu{core}" / "topology" / "thread_siblings_list") for core in allowed}
    return len(allowed) if None in siblings else len(siblings)
