from __future__ import annotations

import mmap
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifine.machine.memory import Bound, MainMemory, read_bounds, read_memory, within_bounds

WriteProcess = Callable[..., Path]
WriteGroup = Callable[..., None]
MIB = 1 << 20


def test_what_the_kernel_would_give_up_of_files_is_not_used(process: Path, write_group: WriteGroup) -> None:
    stat = "anon 300\nfile 600\ninactive_file 400\nactive_file 200"
    write_group("tree/pod/box", {"memory.max": "1000", "memory.current": "900", "memory.stat": stat})
    assert read_bounds(process) == [Bound(limit=1000, used=500)]


def test_groups_around_are_bounds_too_and_groups_without_a_limit_are_none(
    process: Path, write_group: WriteGroup
) -> None:
    write_group("tree/pod/box", {"memory.max": "max", "memory.high": "max", "memory.current": "70", "memory.stat": ""})
    write_group("tree/pod", {"memory.max": "4000", "memory.current": "3000", "memory.stat": "inactive_file 500"})
    assert read_bounds(process) == [Bound(limit=4000, used=2500)]


def test_the_size_above_which_a_group_is_slowed_down_is_a_limit(process: Path, write_group: WriteGroup) -> None:
    write_group("tree/pod/box", {"memory.max": "max", "memory.high": "800", "memory.current": "100"})
    assert read_bounds(process) == [Bound(limit=800, used=100)]


def test_version_1_counts_groups_inside_by_other_names(write_process: WriteProcess, write_group: WriteGroup) -> None:
    process = write_process(groups=["1:memory:/box"], mounts=[("/", "memory", "cgroup none rw,memory")])
    files = {"memory.limit_in_bytes": "2000", "memory.usage_in_bytes": "1500"}
    write_group("memory/box", {**files, "memory.stat": "inactive_file 1\ntotal_inactive_file 700"})
    assert read_bounds(process) == [Bound(limit=2000, used=800)]


def test_without_control_groups_there_are_no_bounds(tmp_path: Path) -> None:
    assert read_bounds(tmp_path) == []


def test_free_is_what_the_tightest_bound_leaves_with_what_is_held() -> None:
    machine, pod, box = Bound(limit=1000, used=400), Bound(limit=500, used=450), Bound(limit=300, used=100)
    assert within_bounds([machine, pod, box], held=30) == MainMemory(total=300, free=80)  # 500 - (450 - 30)
    assert within_bounds([machine], held=30) == MainMemory(total=1000, free=630)


def test_a_bound_that_is_overdrawn_leaves_nothing_and_not_less() -> None:
    assert within_bounds([Bound(limit=100, used=150)], held=20).free == 0


@given(
    bounds=st.lists(st.builds(Bound, limit=st.integers(0, 9999), used=st.integers(0, 9999)), min_size=1, max_size=4),
    held=st.integers(0, 9999),
)
def test_free_lies_between_nothing_and_the_whole(bounds: list[Bound], held: int) -> None:
    memory = within_bounds(bounds, held)
    assert 0 <= memory.free <= memory.total


def test_a_small_container_on_this_machine_is_what_counts(process: Path, write_group: WriteGroup) -> None:
    write_group("tree/pod/box", {"memory.max": str(64 * MIB), "memory.current": str(60 * MIB)})
    memory = read_memory(process)
    assert memory.total == 64 * MIB
    assert 4 * MIB < memory.free <= 64 * MIB  # with what this process holds


def test_what_this_process_holds_is_its_own(process: Path, write_group: WriteGroup) -> None:
    # A group without room, of a size that what this process holds cannot reach.
    full = str(100_000 * MIB)
    write_group("tree/pod/box", {"memory.max": full, "memory.current": full})
    before = read_memory(process).free
    # Pages of its own from the system: what Python allocates may have been freed by somebody before.
    taken = mmap.mmap(-1, 128 * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    taken[:: mmap.PAGESIZE] = b"\1" * (len(taken) // mmap.PAGESIZE)
    assert read_memory(process).free - before == pytest.approx(len(taken), rel=0.1)


def test_this_process_has_memory() -> None:
    memory = read_memory()
    assert 0 < memory.free <= memory.total <= psutil.virtual_memory().total
