"""A process that ends with the one that started it, also when that is killed."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def end_with_parent(parent: int) -> None:
    """The kernel kills this process when the thread that started it ends; on other systems than Linux nothing does.

    `parent` is the process that it must belong to: if that has ended meanwhile, this one ends now.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit("the process that started this one has ended")
