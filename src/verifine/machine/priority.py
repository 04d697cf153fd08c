"""Which of the processes that want the same cores get them first."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

GIVEN_WAY = 10
"""Nice values of a process that gives way, for about a tenth of a core that another one wants."""

_AUTOGROUP = Path("/proc/self/autogroup")


def give_way() -> None:
    """Lets processes of usual priority go first, where they want a core that this one is on.

    The threads of a training step wait for each other, so a process that holds one of them up for a third of the time
    makes all of them several times slower (docs/results/service.md). Linux may weigh sessions against each other and
    not processes (autogroups), so the session gets the value too; it should be this process's own.
    Threads that there are already keep their priority; those that are made later get this one.
    """
    if not hasattr(os, "setpriority"):
        return
    os.setpriority(os.PRIO_PROCESS, 0, max(GIVEN_WAY, os.getpriority(os.PRIO_PROCESS, 0)))
    with suppress(OSError):  # a kernel without them
        _AUTOGROUP.write_text(str(GIVEN_WAY), encoding="ascii")
