"""A file that is arriving: counted, capped and hashed while it is written."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from verifine.errors import VerifineError
from verifine.machine.disk import LOCAL_DISK, refuse_failure


class FileTooLargeError(VerifineError):
    """More bytes than a file may have."""


class FileDraft:
    """Write, then `finish`, or `discard`. Once finished and put in place, discarding does nothing."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        """Raises DiskError."""
        self.path = path
        self.bytes = 0
        self._max_bytes = max_bytes
        self._hash = hashlib.sha256()
        with refuse_failure(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("xb", buffering=0)

    @property
    def sha256(self) -> str:
        """Of what was written so far."""
        return self._hash.hexdigest()

    def write(self, data: bytes) -> None:
        """Adds bytes.

        Raises:
            FileTooLargeError: they are too many, however many were announced.
            DiskError: they cannot be written.
        """
        self.bytes += len(data)
        if self.bytes > self._max_bytes:
            raise FileTooLargeError(f"the file has more than {self._max_bytes} bytes; split it")
        self._hash.update(data)
        with refuse_failure(self.path):
            rest = memoryview(data)
            while rest:
                rest = rest[self._file.write(rest) :]

    def finish(self) -> None:
        """Brings it to stable storage. Raises DiskError."""
        with refuse_failure(self.path):
            os.fsync(self._file.fileno())
        self._file.close()

    def discard(self) -> None:
        self._file.close()
        LOCAL_DISK.remove(self.path)
