"""Settings of the memory allocator for a process that only trains."""

from __future__ import annotations

import ctypes
import sys

# From glibc's malloc.h.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX, M_ARENA_MAX = -1, -2, -4, -8

NEVER = (1 << 31) - 1
TOP_PAD_BYTES = 64 << 20


def keep_freed_memory() -> bool:
    """Makes glibc keep freed memory for the next step instead of returning it to the system.

    Every step allocates the same gradients and activations again, and the first use of fresh pages is slow: keeping
    them made a step on two cores 12 % shorter (docs/results/quickstart.md). All threads share one arena, so that what
    one of them has freed, such as those that load weights, is not lost to the others. Returns whether the allocator
    accepted it.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # another C library, such as musl
        return False
    settings = ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, NEVER), (M_TOP_PAD, TOP_PAD_BYTES), (M_ARENA_MAX, 1))
    accepted = [mallopt(name, value) == 1 for name, value in settings]
    return all(accepted)
