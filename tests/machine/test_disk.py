from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from verifine.errors import DiskError
from verifine.machine.disk import LOCAL_DISK, draft_of, put_in_place, remove_drafts, write_whole
from verifine.testing.disk import BROKEN, Fault, FaultyDisk


def test_what_is_written_is_there_and_its_folder_too(tmp_path: Path) -> None:
    LOCAL_DISK.write(tmp_path / "deep" / "file", [b"ab", memoryview(b"cd")])
    assert (tmp_path / "deep" / "file").read_bytes() == b"abcd"


def test_rows_are_added_behind_each_other(tmp_path: Path) -> None:
    for row in (b"one\n", b"two\n"):
        LOCAL_DISK.append(tmp_path / "rows", row)
    assert (tmp_path / "rows").read_bytes() == b"one\ntwo\n"


def test_a_folder_is_removed_with_all_that_is_in_it_and_nothing_is_no_error(tmp_path: Path) -> None:
    LOCAL_DISK.write(tmp_path / "a" / "b" / "c", [b""])
    LOCAL_DISK.remove(tmp_path / "a")
    LOCAL_DISK.remove(tmp_path / "a")
    LOCAL_DISK.sync(tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_a_whole_file_replaces_another_and_leaves_no_draft(tmp_path: Path) -> None:
    write_whole(tmp_path / "file", b"long old content")
    write_whole(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_whole_file_that_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(DiskError, match="taken .*Is a directory") as caught:
        write_whole(tmp_path / "taken", b"content")
    assert not caught.value.is_full
    assert caught.value.exit_code == 3
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_drafts_are_found_wherever_they_are_and_nothing_else_is_removed(tmp_path: Path) -> None:
    kept = [tmp_path / "file", tmp_path / "folder" / "file.tmp", tmp_path / ".hidden"]
    drafts = [draft_of(tmp_path / "file"), draft_of(tmp_path / "folder" / "step") / "state", tmp_path / "folder"]
    for path in [*kept, *drafts[:2]]:
        LOCAL_DISK.write(path, [b""])
    remove_drafts(tmp_path, LOCAL_DISK)
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(kept)


def test_a_folder_that_cannot_be_put_in_place_leaves_what_was_there(tmp_path: Path) -> None:
    draft, target = draft_of(tmp_path / "model"), tmp_path / "model"
    LOCAL_DISK.write(target / "file", [b"old"])
    LOCAL_DISK.write(draft / "file", [b"new"])
    with pytest.raises(DiskError):
        put_in_place(draft, target, FaultyDisk(tmp_path, Fault(point="rename model 1", moment="before", error=BROKEN)))
    assert (target / "file").read_bytes() == b"old"
    put_in_place(draft, target, LOCAL_DISK)
    assert (target / "file").read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with room for 64 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root may mount")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_told_from_a_broken_one_and_rows_on_it_stay_whole(small_disk: Path) -> None:
    LOCAL_DISK.append(small_disk / "rows", b"one\n")
    with pytest.raises(DiskError, match="No space left on device") as caught:
        LOCAL_DISK.append(small_disk / "rows", b"x" * 100_000)
    assert caught.value.is_full
    assert (small_disk / "rows").read_bytes() == b"one\n"
    with pytest.raises(DiskError) as caught:
        write_whole(small_disk / "rows", b"y" * 100_000)
    assert caught.value.is_full
    assert (small_disk / "rows").read_bytes() == b"one\n"
    assert [path.name for path in small_disk.iterdir()] == ["rows"]
