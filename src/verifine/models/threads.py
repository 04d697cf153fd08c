"""Applies the thread counts of a run to torch and the tokenizers, and keeps one team of threads at work."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

import torch

from verifine.machine.threads import Threads

Result = TypeVar("Result")


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


def run_in_own_thread(work: Callable[[], Result]) -> Result:
    """Runs `work` in a thread that ends with it, so that another thread can compute afterwards.

    GNU's OpenMP gives every thread that computes a team of its own. While the threads of all teams are more than the
    cores, none of them polls for the others, so each product waits for a thread to be woken, and a step of decoding
    took up to 1.5 times as long (docs/performance.md). A team ends with its thread.

    Ctrl-C is raised when `work` is done, so `work` should not wait for a network.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="compute") as thread:
        return thread.submit(work).result()
