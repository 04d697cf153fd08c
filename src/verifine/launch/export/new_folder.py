"""A folder that is complete or not there, and never takes the place of another."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from verifine.errors import ConfigError, DiskError
from verifine.machine.disk import Disk, draft_of, refuse_failure


@contextmanager
def new_folder(folder: Path, disk: Disk) -> Iterator[Path]:
    """Gives the folder to write into; it gets its name `folder` when the context ends without an exception.

    Nothing is left of it otherwise. What a process left that was killed is removed first.

    Raises:
        ConfigError: there is something at `folder`, or another process is writing it.
        DiskError: it cannot be written.
    """
    refuse_taken(folder)
    draft = draft_of(folder)
    with refuse_failure(draft):
        draft.mkdir(parents=True, exist_ok=True)
    with _held(draft, folder):
        try:
            for left in draft.iterdir():
                disk.remove(left)
            with refuse_failure(folder):
                yield draft
            for path in sorted(draft.rglob("*")):
                disk.sync(path)
            refuse_taken(folder)
            disk.rename(draft, folder)
        except BaseException:
            with suppress(DiskError):
                disk.remove(draft)
            raise


def refuse_taken(folder: Path) -> None:
    """Refuses a place where there is something.

    Raises:
        ConfigError: there is.
    """
    if folder.exists():
        raise ConfigError(f"--out: {folder} exists, and Verifine never overwrites; give another, or move it away")


@contextmanager
def _held(draft: Path, folder: Path) -> Iterator[None]:
    """Keeps other processes from writing the same folder, until this one ends, however it does."""
    handle = os.open(draft, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_ours = draft.exists() and os.path.samestat(os.fstat(handle), draft.stat())
        except BlockingIOError:
            is_ours = False
        if not is_ours:
            raise ConfigError(f"--out: another process is writing {folder}; wait for its end, or give another")
        yield
    finally:
        os.close(handle)
