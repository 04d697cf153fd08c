"""Repeats work that ran out of memory in smaller parts, and keeps to the smaller size afterwards."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch

from verifine.errors import VerifineError
from verifine.machine.failures import OOM_MESSAGES

_LOG = logging.getLogger(__name__)

Size = TypeVar("Size")
Result = TypeVar("Result")


@dataclass(slots=True)
class OomCounter:
    """How often a run had to continue with less memory."""

    count: int = 0


class OomRetry(Generic[Size]):
    """The size of the parts of some work. It shrinks when memory runs out, and does not grow again."""

    def __init__(self, size: Size, oom_counter: OomCounter) -> None:
        self.size = size
        self._oom_counter = oom_counter

    def run(self, work: Callable[[Size], Result], shrink: Callable[[Size], Size]) -> Result:
        """Calls `work` with the current size, and again with smaller ones for as long as memory runs out.

        `shrink` returns the next smaller size, or raises an error if there is none.
        """
        while True:
            try:
                return work(self.size)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            # Outside the handler: the error refers to the frames of the work, and these to what they had allocated.
            free_memory()
            smaller = shrink(self.size)
            _LOG.warning("out of memory with %s; continuing with %s", self.size, smaller)
            self.size = smaller
            self._oom_counter.count += 1


@contextmanager
def raise_if_out_of_memory(replacement: VerifineError) -> Iterator[None]:
    """Raises `replacement` if memory runs out in work that cannot be done in parts."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise replacement from error


def is_out_of_memory(error: Exception) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in OOM_MESSAGES)


def free_memory() -> None:
    """Frees the memory of objects that are no longer referred to."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
