"""Writing to a run directory so that nothing that was written is lost, and no reader meets half of it."""

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
    """The five operations that change a run directory.

    Each raises:
        DiskError: it failed; an existing file is unchanged, and a part of a new one may be left.
    """

    def write(self, path: Path, content: Iterable[Content]) -> None:
        """Writes a new file to stable storage, and creates its folder if it is missing."""
        ...

    def append(self, path: Path, content: bytes) -> None:
        """Appends to a file. Others can read it at once; it survives the process, and after `sync` a power cut."""
        ...

    def sync(self, path: Path) -> None:
        """Brings a file as it is now to stable storage; does nothing if there is none."""
        ...

    def rename(self, source: Path, target: Path) -> None:
        """Atomically puts a file in place of another, or a folder under a free name."""
        ...

    def remove(self, path: Path) -> None:
        """Removes a file, or a folder with its content; does nothing if there is none."""
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
                _sync(source)  # its entries must be on stable storage before it gets its name
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
"""The end of the name of an unfinished file or folder; the name begins with a dot."""


def draft_of(path: Path) -> Path:
    """The name of `path` while it is being written."""
    return path.with_name(f".{path.name}{DRAFT}")


def free_bytes(folder: Path) -> int:
    """The free space of the disk that `folder` is on, or will be on."""
    return shutil.disk_usage(existing_parent(folder)).free


def existing_parent(folder: Path) -> Path:
    """The folder itself, or the nearest one above it that there is."""
    return next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())


def write_whole(path: Path, content: bytes, disk: Disk = LOCAL_DISK) -> None:
    """Writes a file atomically: readers never see half of it, and a crash does not leave half of it.

    Raises:
        DiskError: it cannot be written; the file that was there is unchanged.
    """
    draft = draft_of(path)
    try:
        disk.write(draft, [content])
        disk.rename(draft, path)
    except DiskError:
        with suppress(DiskError):
            disk.remove(draft)
        raise


def link_file(source: Path, target: Path) -> None:
    """Gives a file a second name, which stays when the first one goes; where that cannot be, it is copied.

    Raises:
        OSError: there is no such file, or the name is taken.
    """
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        if target.exists():
            raise
        shutil.copyfile(source, target)


def put_in_place(draft: Path, target: Path, disk: Disk) -> None:
    """Gives a finished folder its final name, and removes the folder that had it.

    Raises:
        DiskError: it failed, and the old folder still has the name. If the process is killed between the two renames,
            neither has it.
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
    """Removes what a crash left unfinished in `folder` and below."""
    for draft in sorted(folder.rglob(f".*{DRAFT}")):
        disk.remove(draft)


@contextmanager
def refuse_failure(path: Path) -> Iterator[None]:
    """Turns an error of the system about `path` into a DiskError."""
    try:
        yield
    except OSError as error:
        is_full = error.errno in _FULL
        hint = "free some space" if is_full else "use a folder on a working disk that you may write to"
        raise DiskError(f"{path} cannot be written ({error.strerror}); {hint}", is_full=is_full) from error


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
