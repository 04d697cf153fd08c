"""The thread counts of a run put into force: torch and the tokenizers are told."""

from __future__ import annotations

from collections.abc import MutableMapping
from contextlib import suppress

import torch

from verifine.machine.threads import Threads


def use_threads(threads: Threads, environment: MutableMapping[str, str]) -> None:
    """Holds the process to `threads`; to be called before anything is computed or tokenized.

    torch is never given more than it has: it knows better where cores differ in speed, and a program may have set less.
    What a user set in `environment` stays. OMP_NUM_THREADS is not written there, for libraries read it when they are
    loaded, which they are by now.
    """
    torch.set_num_threads(min(torch.get_num_threads(), threads.compute))
    with suppress(RuntimeError):  # it can be set once, and not after its first use; nothing of ours uses these
        torch.set_num_interop_threads(1)
    environment.setdefault("RAYON_NUM_THREADS", str(threads.data))  # read when the first batch of texts comes
