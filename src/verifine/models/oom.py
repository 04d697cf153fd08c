"""Work that runs out of memory is done again in smaller parts, and from then on always."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch

from verifine.errors import VerifineError

_LOG = logging.getLogger(__name__)

_CPU_MESSAGES = ("DefaultCPUAllocator: ", "std::bad_alloc")
"""How torch says that main memory ran out: a RuntimeError like any other, but for its words."""

Size = TypeVar("Size")
Result = TypeVar("Result")


@dataclass(slots=True)
class OomCounter:
    """How often the parts of a run had to make do with less."""

    count: int = 0


class OomRetry(Generic[Size]):
    """How large the parts of some work may be. It shrinks when memory runs out and does not grow again."""

    def __init__(self, size: Size, oom_counter: OomCounter) -> None:
        self.size = size
        self._shortages = oom_counter

    def run(self, work: Callable[[Size], Result], shrink: Callable[[Size], Size]) -> Result:
        """Does `work` in the size there is room for; what it had begun when memory ran out is done again.

        `shrink` gives the next smaller size, or raises what there is to say where there is none.
        """
        while True:
            try:
                return work(self.size)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            # Not in the handler: the error holds the frames of the work, and they hold what it had allocated.
            free_memory()
            smaller = shrink(self.size)
            _LOG.warning("out of memory with %s; going on with %s", self.size, smaller)
            self.size = smaller
            self._shortages.count += 1


@contextmanager
def refuse_without_room(refusal: VerifineError) -> Iterator[None]:
    """Says `refusal` where memory runs out in work that cannot be done in parts."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise refusal from error


def is_out_of_memory(error: Exception) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _CPU_MESSAGES)


def free_memory() -> None:
    """Lets go of what nobody refers to any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
