"""What a run writes with, so that nothing it has finished writing is ever lost or half there."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from verifine.errors import DiskError
from verifine.machine.blocks import Content, write_all, write_parts

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class Disk(Protocol):
    """Every change to a run directory goes through these five.

    Raises, in each:
        DiskError: it cannot be done; the file is as it was before, or there is a part of a new one.
    """

    def write(self, path: Path, content: Iterable[Content]) -> None:
        """Writes a new file to stable storage, and creates its folder if it is missing."""
        ...

    def append(self, path: Path, content: bytes) -> None:
        """More of a file. Others can read it at once; it outlives the process, and with `sync` the machine."""
        ...

    def sync(self, path: Path) -> None:
        """Brings a file as it is now to stable storage; does nothing if there is none."""
        ...

    def rename(self, source: Path, target: Path) -> None:
        """A file in place of another, or a folder under a name that is free: at once or not at all."""
        ...

    def remove(self, path: Path) -> None:
        """A file or a folder with all that is in it; nothing if there is none."""
        ...


class LocalDisk:
    """The file system."""

    def write(self, path: Path, content: Iterable[Content]) -> None:
        with refuse_failure(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb", buffering=0) as file:
                write_parts(file.fileno(), content)
                os.fsync(file.fileno())

    def append(self, path: Path, content: bytes) -> None:
        with refuse_failure(path), path.open("ab", buffering=0) as file:
            size = file.tell()
            try:
                write_all(file.fileno(), content)
            except OSError:
                file.truncate(size)
                raise

    def sync(self, path: Path) -> None:
        with refuse_failure(path):
            if path.exists():
                _sync(path)

    def rename(self, source: Path, target: Path) -> None:
        with refuse_failure(target):
            if source.is_dir():
                _sync(source)  # it holds its files before it has its name
            source.replace(target)
            _sync(target.parent)

    def remove(self, path: Path) -> None:
        with refuse_failure(path):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


LOCAL_DISK = LocalDisk()

DRAFT = ".tmp"
"""What the name of an unfinished file or folder ends with, after a dot at its beginning."""


def draft_of(path: Path) -> Path:
    """What `path` is called while it is being written."""
    return path.with_name(f".{path.name}{DRAFT}")


def write_whole(path: Path, content: bytes, disk: Disk = LOCAL_DISK) -> None:
    """Writes a whole file or none of it: a reader never meets half, and neither does a crash leave it.

    Raises:
        DiskError: it cannot be written; what was there is still there.
    """
    draft = draft_of(path)
    try:
        disk.write(draft, [content])
        disk.rename(draft, path)
    except DiskError:
        with suppress(DiskError):
            disk.remove(draft)
        raise


def put_in_place(draft: Path, target: Path, disk: Disk) -> None:
    """Gives a finished folder its name; one that had it makes room, and is removed when the new one is there.

    Raises:
        DiskError: it cannot be done; what had the name still has it. A process that is killed just then leaves neither.
    """
    old = draft_of(target.with_name(f"{target.name}.old"))
    disk.remove(old)
    if not target.exists():
        disk.rename(draft, target)
        return
    disk.rename(target, old)
    try:
        disk.rename(draft, target)
    except DiskError:
        with suppress(DiskError):
            disk.rename(old, target)
        raise
    disk.remove(old)


def remove_drafts(folder: Path, disk: Disk) -> None:
    """What a crash left unfinished in `folder` and below."""
    for draft in sorted(folder.rglob(f".*{DRAFT}")):
        disk.remove(draft)


@contextmanager
def refuse_failure(path: Path) -> Iterator[None]:
    """Says in words of ours what the system says of `path`."""
    try:
        yield
    except OSError as error:
        is_full = error.errno in _FULL
        way_out = "free some room" if is_full else "give a folder on a disk that works and that you may write to"
        raise DiskError(f"{path} cannot be written ({error.strerror}); {way_out}", is_full=is_full) from error


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
