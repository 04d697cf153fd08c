"""Applies the thread counts of a run to torch and the tokenizers, and keeps one team of threads at work."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import wraps
from typing import ParamSpec, TypeVar

import torch

from verifine.machine.threads import Threads

Parameters = ParamSpec("Parameters")
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


def in_own_thread(work: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """`work` in a thread that ends with it, so that another thread can compute afterwards.

    Whatever a program computes before a thread of its engine or learner does is made so where it is defined, since each
    place that calls it would have to think of it otherwise.

    GNU's OpenMP gives every thread that computes a team of its own. While the threads of all teams are more than the
    cores, none of them polls for the others, so each product waits for a thread to be woken, and a step of decoding
    took up to 1.5 times as long (docs/performance.md). A team ends with its thread.

    Ctrl-C is raised when `work` is done, so `work` should not wait for a network.
    """

    @wraps(work)
    def run(*arguments: Parameters.args, **named: Parameters.kwargs) -> Result:
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="compute") as thread:
            return thread.submit(work, *arguments, **named).result()

    return run
