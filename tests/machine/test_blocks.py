from __future__ import annotations

import fcntl
import mmap
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from verifine.machine.blocks import Content, new_block, write_all, write_parts

PAGE = mmap.PAGESIZE


def parts(sizes: list[int]) -> tuple[list[Content], bytes]:
    """Some in memory of whole pages, some anywhere; and all of them in one."""
    random = Random(0)
    made: list[Content] = []
    for size in sizes:
        content = random.randbytes(size)
        if size % PAGE == 0 and size:
            block = new_block(size)
            block[:] = content
            made.append(block)
        else:
            made.append(content)
    return made, b"".join(map(bytes, made))


@pytest.mark.parametrize(
    "sizes",
    [[], [0], [5], [PAGE], [PAGE, PAGE * 3, 7], [7, PAGE, PAGE], [PAGE, 1, PAGE - 1, PAGE * 2], [PAGE * 2, 0, PAGE]],
)
def test_whatever_the_parts_are_they_are_written_one_after_the_other(sizes: list[int], tmp_path: Path) -> None:
    content, everything = parts(sizes)
    with (tmp_path / "file").open("wb", buffering=0) as file:
        write_parts(file.fileno(), content)
    assert (tmp_path / "file").read_bytes() == everything


linux_only = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere everything goes through the cache")


@linux_only
def test_whole_blocks_pass_the_cache_and_the_rest_does_not(disk_folder: Path) -> None:
    if not knows_direct_writing(disk_folder):
        pytest.skip("this file system has no way past its cache")
    (whole, odd, _), _ = parts([PAGE, 7, 0])
    passes: list[bool] = []
    with (disk_folder / "file").open("wb", buffering=0) as file:

        def watched() -> Iterator[Content]:
            for part in (whole, whole[1:PAGE], whole, odd):
                yield part
                passes.append(bool(fcntl.fcntl(file.fileno(), fcntl.F_GETFL) & os.O_DIRECT))

        write_parts(file.fileno(), watched())
    assert passes == [True, False, False, False]  # the second is no page, the third does not begin where one does


@linux_only
def test_what_the_file_system_refuses_to_write_past_the_cache_goes_through_it(disk_folder: Path) -> None:
    if not knows_direct_writing(disk_folder):
        pytest.skip("this file system has no way past its cache")
    content = new_block(2 * PAGE)
    content[:] = Random(0).randbytes(2 * PAGE)
    handle = os.open(disk_folder / "file", os.O_CREAT | os.O_WRONLY | os.O_DIRECT)
    try:
        write_all(handle, content[:PAGE])
        write_all(handle, content[PAGE : PAGE + 5])  # not a sector
        write_all(handle, content[PAGE + 5 :])
    finally:
        os.close(handle)
    assert (disk_folder / "file").read_bytes() == bytes(content)


def knows_direct_writing(folder: Path) -> bool:
    try:
        os.close(os.open(folder / "probe", os.O_CREAT | os.O_WRONLY | os.O_DIRECT))
    except OSError:
        return False
    return True
