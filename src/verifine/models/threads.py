"""Applies the thread counts of a run to torch and the tokenizers."""

from __future__ import annotations

from collections.abc import MutableMapping
from contextlib import suppress

import torch

from verifine.machine.threads import Threads


def use_threads(threads: Threads, environment: MutableMapping[str, str]) -> None:
    """Limits the process to `threads`; call it before anything is computed or tokenized.

    torch's own count is never raised: it accounts for cores of different speed, and a program may have lowered it. What
    a user has set in `environment` is kept. OMP_NUM_THREADS is not set, because libraries read it when they are loaded,
    and they are loaded by now.
    """
    torch.set_num_threads(min(torch.get_num_threads(), threads.compute))
    with suppress(RuntimeError):  # it can be set only once, before its first use; Verifine does not use these threads
        torch.set_num_interop_threads(1)
    environment.setdefault("RAYON_NUM_THREADS", str(threads.data))  # read at the first batch of texts
