from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from verifine.errors import DiskError
from verifine.service.database import Database
from verifine.service.database.paging import PageQuery, UnknownCursorError
from verifine.service.files import FileStore, FileTooLargeError, OwnedFile, UnknownFileError
from verifine.testing.clock import ManualClock
from verifine.testing.disk import FULL, Fault, FaultyDisk

OWNER, OTHER = "alice", "bob"


@pytest.fixture
def store(database: Database, clock: ManualClock, tmp_path: Path) -> FileStore:
    return FileStore(database, tmp_path / "files", clock)


def add(store: FileStore, content: bytes = b"abc", owner: str = OWNER, lasts_s: int | None = None) -> OwnedFile:
    draft = store.begin(max_bytes=1000)
    for byte in content:
        draft.write(bytes([byte]))
    return store.add(owner, draft, filename="../../etc/passwd", purpose="fine-tune", lasts_s=lasts_s)


def contents(tmp_path: Path) -> list[str]:
    return sorted(
        str(path.relative_to(tmp_path / "files")) for path in (tmp_path / "files").rglob("*") if path.is_file()
    )


def test_content_lies_under_its_hash_whatever_its_name(store: FileStore, tmp_path: Path) -> None:
    file = add(store, b"abc")
    assert file.sha256 == hashlib.sha256(b"abc").hexdigest()
    assert file.bytes == 3
    assert store.path(file).read_bytes() == b"abc"
    assert contents(tmp_path) == [f"alice/{file.sha256}"]


def test_more_bytes_than_allowed_are_refused_and_leave_nothing(store: FileStore, tmp_path: Path) -> None:
    draft = store.begin(max_bytes=2)
    draft.write(b"ab")
    with pytest.raises(FileTooLargeError):
        draft.write(b"c")
    draft.discard()
    assert contents(tmp_path) == []


def test_equal_content_is_kept_once_for_an_owner_until_its_last_file_is_deleted(
    store: FileStore, tmp_path: Path
) -> None:
    first, second, others = add(store), add(store), add(store, owner=OTHER)
    assert contents(tmp_path) == [f"alice/{first.sha256}", f"bob/{first.sha256}"]
    store.delete(OWNER, first.id)
    assert store.path(second).read_bytes() == b"abc"
    store.delete(OWNER, second.id)
    assert contents(tmp_path) == [f"bob/{others.sha256}"]


def test_the_file_of_another_owner_does_not_exist(store: FileStore) -> None:
    file = add(store)
    with pytest.raises(UnknownFileError):
        store.find(OTHER, file.id)
    with pytest.raises(UnknownFileError):
        store.delete(OTHER, file.id)
    with pytest.raises(UnknownCursorError):
        store.list(OTHER, PageQuery(limit=1, after=file.id))
    assert store.find(OWNER, file.id) == file


def test_a_cursor_at_a_file_that_was_deleted_still_has_its_place(store: FileStore) -> None:
    files = [add(store, bytes([number])) for number in range(4)]
    store.delete(OWNER, files[2].id)
    page = store.list(OWNER, PageQuery(limit=10, after=files[2].id))
    assert page.items == (files[1], files[0])
    with pytest.raises(UnknownFileError):
        store.delete(OWNER, files[2].id)


def test_an_expired_file_is_gone_at_its_second_and_its_content_when_it_is_removed(
    store: FileStore, clock: ManualClock, tmp_path: Path
) -> None:
    file = add(store, lasts_s=3600)
    clock.advance(3599)
    assert store.find(OWNER, file.id) == file
    assert store.remove_expired() == 0
    clock.advance(1)
    with pytest.raises(UnknownFileError):
        store.find(OWNER, file.id)
    assert store.list(OWNER, PageQuery(limit=1)).items == ()
    assert store.remove_expired() == 1
    assert contents(tmp_path) == []


def test_what_cannot_be_put_in_place_is_no_file(database: Database, clock: ManualClock, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    fault = Fault(point=f"rename alice/{hashlib.sha256(b'abc').hexdigest()} 1", moment="before", error=FULL)
    store = FileStore(database, folder, clock, FaultyDisk(root=folder, fault=fault))
    with pytest.raises(DiskError):
        add(store)
    assert store.list(OWNER, PageQuery(limit=1)).items == ()


def test_an_owner_s_folder_that_cannot_be_made_is_a_failure_of_the_disk(store: FileStore, tmp_path: Path) -> None:
    draft = store.begin(max_bytes=3)
    (tmp_path / "files" / OWNER).touch()
    with pytest.raises(DiskError):
        store.add(OWNER, draft, filename="a", purpose="fine-tune")
    draft.discard()


def test_drafts_of_a_crash_are_removed(store: FileStore, tmp_path: Path) -> None:
    file = add(store)
    draft = store.begin(max_bytes=10)
    draft.write(b"half")
    assert len(contents(tmp_path)) == 2
    store.remove_drafts()
    assert contents(tmp_path) == [f"alice/{file.sha256}"]
    draft.discard()
