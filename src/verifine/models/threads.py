"""Applies the thread counts of a run to torch and the tokenizers, and keeps one team of threads at work."""

from __future__ import annotations

import threading
from collections.abc import Callable, MutableMapping
from concurrent.futures import Future
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


def compute_in_passing(work: Callable[[], Result]) -> Result:
    """Does what computes before another thread takes over, such as loading a model, in a thread that ends with it.

    GNU's OpenMP gives every thread that computes a team of its own, and from then on, while the threads of all teams
    are more than the cores, none of them polls for the others: each product waits to be woken, and steps of decoding
    took 1.3 to 1.6 times as long (docs/performance.md). A team ends with its thread.

    Ctrl-C is raised at once; what the thread does then ends with the process.
    """
    done: Future[Result] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:  # noqa: BLE001 - it is raised where it was asked for
            done.set_exception(error)

    thread = threading.Thread(target=run, name="passing", daemon=True)
    thread.start()
    try:
        return done.result()
    finally:
        if done.done():
            thread.join()
