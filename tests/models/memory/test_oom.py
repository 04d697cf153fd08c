from __future__ import annotations

import gc
import weakref

import pytest
import torch

from verifine.errors import TrainingError
from verifine.models.memory.oom import OomCounter, OomRetry, is_out_of_memory, raise_if_out_of_memory


class Held:
    """Something that takes memory."""


def test_work_that_fits_is_done_once() -> None:
    oom_counter = OomCounter()
    room = OomRetry(8, oom_counter)
    assert room.run(lambda size: 2 * size, lambda size: size // 2) == 16
    assert (room.size, oom_counter.count) == (8, 0)


def test_work_shrinks_until_it_fits_and_stays_there() -> None:
    oom_counter, tried = OomCounter(), []
    room = OomRetry(8, oom_counter)

    def work(size: int) -> str:
        tried.append(size)
        if size > 3:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return "done"

    assert room.run(work, lambda size: size // 2) == "done"
    assert room.run(work, lambda size: size // 2) == "done"
    assert tried == [8, 4, 2, 2]
    assert (room.size, oom_counter.count) == (2, 2)


def test_what_failing_work_held_is_let_go_before_it_is_tried_again() -> None:
    held: list[weakref.ref[Held]] = []
    gc.disable()

    def work(size: int) -> None:
        assert all(each() is None for each in held)
        mine = Held()
        mine.myself = mine  # type: ignore[attr-defined]
        held.append(weakref.ref(mine))
        if size > 1:
            raise MemoryError

    try:
        OomRetry(4, OomCounter()).run(work, lambda size: size // 2)
    finally:
        gc.enable()
    assert len(held) == 3


def test_where_there_is_nothing_smaller_the_work_says_so() -> None:
    def shrink(size: int) -> int:
        raise TrainingError(f"even {size} is too much")

    def work(size: int) -> None:
        raise MemoryError

    oom_counter = OomCounter()
    with pytest.raises(TrainingError, match="even 4 is too much"):
        OomRetry(4, oom_counter).run(work, shrink)
    assert oom_counter.count == 0


def test_torchs_own_errors_are_known() -> None:
    with pytest.raises(RuntimeError) as of_main_memory:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert is_out_of_memory(of_main_memory.value)
    with pytest.raises(RuntimeError) as of_shapes:
        torch.ones(2, 3) @ torch.ones(2, 3)
    assert not is_out_of_memory(of_shapes.value)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
    assert is_out_of_memory(MemoryError())


def test_work_without_parts_is_refused_with_its_own_words() -> None:
    with pytest.raises(TrainingError, match="too large"), raise_if_out_of_memory(TrainingError("too large")):
        raise MemoryError
    with pytest.raises(RuntimeError, match="other"), raise_if_out_of_memory(TrainingError("too large")):
        raise RuntimeError("other")
