"""A file under a name with its format, for as long as a process reads it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from verifine.machine.disk import LOCAL_DISK, link_file, refuse_failure
from verifine.service.files.record import OwnedFile
from verifine.service.files.store import FileStore


@contextmanager
def borrow_file(files: FileStore, file: OwnedFile, folder: Path) -> Iterator[Path]:
    """The path of the content in a folder of its own below `folder`, which is removed at the end.

    Raises:
        DiskError: it cannot be linked or copied.
    """
    own = folder / secrets.token_hex(8)
    path = own / f"file{PurePosixPath(file.filename).suffix.lower()}"
    try:
        with refuse_failure(path):
            own.mkdir(parents=True)
            link_file(files.path(file), path)
        yield path
    finally:
        LOCAL_DISK.remove(own)
