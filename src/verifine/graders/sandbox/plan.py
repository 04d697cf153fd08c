"""The ways to hold untrusted code, best first."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from enum import StrEnum

from verifine.graders.sandbox.call import Level

SANDBOX_USERS = range(60706, 61184)
"""As whom untrusted code runs when Verifine runs as root, each worker as another.

Distributions give these numbers to nobody, so they own nothing.
"""


class Namespaces(StrEnum):
    """Who makes them."""

    BUBBLEWRAP = "bubblewrap"
    OWN = "unshare"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class IsolationPlan:
    """One way to hold untrusted code."""

    level: Level
    namespaces: Namespaces
    drops_root: bool = False
    """Become one of the sandbox's users before anything untrusted runs, instead of staying who we are."""

    @property
    def has_group(self) -> bool:
        """Whether its processes can be put into a control group. Bubblewrap has forked before it could be."""
        return self.level is not Level.UNSAFE and self.namespaces is not Namespaces.BUBBLEWRAP


def find_plans(level: Level | None) -> list[IsolationPlan]:
    """Those for that level, or for every level that holds, best first."""
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
