"""Records on disk instead of in memory."""

from __future__ import annotations

import os
import tempfile
import weakref
from array import array

from verifine.errors import SetupError


class Spool:
    """Byte strings by their index, in a temporary file without a name.

    Other processes cannot find the file, and nothing is left when the process ends, even if it is killed.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="verifine-")  # noqa: SIM115 - closed when the spool is gone
        self._ends = array("Q", [0])
        weakref.finalize(self, self._file.close)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def append(self, record: bytes) -> None:
        """Raises SetupError if the disk is full."""
        try:
            self._file.write(record)
        except OSError as error:
            raise _full(error) from error
        self._ends.append(self._ends[-1] + len(record))

    def seal(self) -> None:
        """Ends writing; afterwards records can be read."""
        try:
            self._file.flush()
        except OSError as error:
            raise _full(error) from error

    def __getitem__(self, position: int) -> bytes:
        start, end = self._ends[position], self._ends[position + 1]
        # pread, because threads and forked processes share the file's own position.
        return os.pread(self._file.fileno(), end - start, start)


def _full(error: OSError) -> SetupError:
    return SetupError(
        f"the data cannot be kept in {tempfile.gettempdir()} ({error.strerror}); free space there, or set TMPDIR to a "
        "folder on a larger disk"
    )
