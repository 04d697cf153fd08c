"""The ways to isolate untrusted code, best first."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from enum import StrEnum

from verifine.graders.sandbox.call import Level

SANDBOX_USERS = range(60706, 61184)
"""The user ids of untrusted code when Verifine runs as root; each worker has its own.

Distributions do not assign these ids, so they own no files.
"""


class Namespaces(StrEnum):
    """What creates the namespaces."""

    BUBBLEWRAP = "bubblewrap"
    OWN = "unshare"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class IsolationPlan:
    """One way to isolate untrusted code."""

    level: Level
    namespaces: Namespaces
    drops_root: bool = False
    """Switch to one of the sandbox's users before untrusted code runs."""

    @property
    def has_group(self) -> bool:
        """Whether its processes can be put into a control group. Bubblewrap has forked before it could be."""
        return self.level is not Level.UNSAFE and self.namespaces is not Namespaces.BUBBLEWRAP


def find_plans(level: Level | None) -> list[IsolationPlan]:
    """The plans for that level, or for every isolating level, best first."""
    is_root = os.geteuid() == 0
    if level is Level.UNSAFE:
        return [IsolationPlan(level=Level.UNSAFE, namespaces=Namespaces.NONE)]
    makers = [Namespaces.BUBBLEWRAP, Namespaces.OWN]
    if is_root:
        # Root can mount what an ordinary user cannot read, such as a Python below /root, and needs no user namespace.
        makers.reverse()
    plans = [IsolationPlan(level=Level.FULL, namespaces=maker, drops_root=is_root) for maker in makers]
    plans.append(IsolationPlan(level=Level.KERNEL, namespaces=Namespaces.NONE, drops_root=is_root))
    return [plan for plan in plans if level in (None, plan.level)]


def find_bubblewrap() -> str | None:
    return shutil.which("bwrap")
