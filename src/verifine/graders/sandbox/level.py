"""How strongly this machine can isolate untrusted code, found out by trying."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from verifine.graders.sandbox.call import Level
from verifine.graders.sandbox.cgroup import find_hierarchies
from verifine.graders.sandbox.inside.landlock import find_version
from verifine.graders.sandbox.plan import SANDBOX_USERS, IsolationPlan, Namespaces, find_plans
from verifine.graders.sandbox.process import IsolationError, start_worker
from verifine.graders.sandbox.selftest import prove
from verifine.graders.sandbox.syscalls import MACHINES, find_machine
from verifine.graders.sandbox.worker import Worker

LANDLOCK_NEEDED: Mapping[Level, int] = {Level.FULL: 1, Level.KERNEL: 3}
"""Version 3 is the first that keeps files from being emptied; with namespaces there is nothing to be emptied."""

_HINTS: Mapping[Namespaces, str] = {
    Namespaces.BUBBLEWRAP: "install bubblewrap, such as with `apt install bubblewrap`",
    Namespaces.OWN: (
        "allow unprivileged user namespaces (sysctl kernel.apparmor_restrict_unprivileged_userns=0 on Ubuntu, "
        "kernel.unprivileged_userns_clone=1 on older Debian; "
        "--security-opt seccomp=unconfined --security-opt apparmor=unconfined for Docker)"
    ),
    Namespaces.NONE: "use a Python that every user may read, such as /usr/bin/python3, or be an ordinary user",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelReport:
    """The best level, and what is missing for a better one."""

    level: Level | None
    """None: untrusted code is refused."""
    missing: tuple[str, ...] = ()
    """What is missing, each with a hint."""
    details: Mapping[str, str] = field(default_factory=dict)
    """What was found, by name: landlock, seccomp, namespaces, cgroup, user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvedPlan:
    """The first plan that works, and a worker that has proved it."""

    plan: IsolationPlan
    worker: Worker


def find_level() -> LevelReport:
    """The level of this machine."""
    found, missing = find_plan(None)
    details = {"landlock": f"version {find_version()}" if sys.platform == "linux" else "none"}
    if found is None:
        return LevelReport(level=None, missing=missing, details=details)
    found.worker.end()
    details["seccomp"] = "yes"
    details["namespaces"] = found.plan.namespaces.value
    details["cgroup"] = _name_groups(found.plan)
    users = f"{SANDBOX_USERS[0]} to {SANDBOX_USERS[-1]}"
    details["user"] = users if found.plan.drops_root else str(os.geteuid())
    return LevelReport(level=found.plan.level, missing=missing, details=details)


def find_plan(level: Level | None, *, preload: Sequence[str] = ()) -> tuple[ProvedPlan | None, tuple[str, ...]]:
    """The best plan that works (for `level`, if given), and why the better ones do not.

    Raises:
        GraderError: a module that is to be preloaded cannot be imported.
    """
    missing: list[str] = []
    for plan in find_plans(level):
        lack = _lack_of_kernel(plan.level)
        if lack is not None:
            missing.append(lack)
            continue
        try:
            return ProvedPlan(plan=plan, worker=start_proved_worker(plan, preload=preload)), _distinct(missing, plan)
        except IsolationError as error:
            missing.append(f"{plan.level} by {plan.namespaces}: {error}; {_HINTS[plan.namespaces]}")
    return None, tuple(dict.fromkeys(missing))


def start_proved_worker(plan: IsolationPlan, *, preload: Sequence[str] = ()) -> Worker:
    """A worker that has passed its self-test.

    Raises:
        IsolationError: the plan does not work here.
        GraderError: a module that is to be preloaded cannot be imported.
    """
    worker = start_worker(plan, preload=preload)
    if plan.level is not Level.UNSAFE:
        try:
            prove(worker)
        except BaseException:
            worker.end()
            raise
    return worker


def _name_groups(plan: IsolationPlan) -> str:
    counted = [(each.memory, each.tasks) for each in find_hierarchies()] if plan.has_group else []
    names = [*("memory" for memory, _ in counted if memory), *("tasks" for _, tasks in counted if tasks)]
    return ", ".join(names) or "none"


def _distinct(missing: Sequence[str], plan: IsolationPlan) -> tuple[str, ...]:
    """Nothing is missing for the best level, whichever way it was reached."""
    return () if plan.level is Level.FULL else tuple(dict.fromkeys(missing))


def _lack_of_kernel(level: Level) -> str | None:
    """What the kernel lacks for that level, with a hint; None: nothing."""
    if level is Level.UNSAFE:
        return None
    if sys.platform != "linux":
        return (
            f"Linux: untrusted code is isolated on Linux only, not on {sys.platform}; use a Linux machine or container"
        )
    if find_machine() is None:
        return (
            f"system calls of {platform.machine()}: only those of {', '.join(MACHINES)} are known; use such a machine"
        )
    needed = LANDLOCK_NEEDED[level]
    if find_version() < needed:
        return (
            f"Landlock {needed} for the level {level}: this kernel ({platform.release()}) has "
            f"{find_version() or 'none'}; use Linux 6.2 or newer, with landlock among the lsm= of its command line"
        )
    return None
