"""One process at a time trains in a run directory, or continues a sweep."""

from __future__ import annotations

import fcntl
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from verifine.errors import ConfigError
from verifine.runs.directory import RunDirectory
from verifine.runs.requests import RunRequest


@contextmanager
def hold(directory: RunDirectory) -> Iterator[None]:
    """Keeps other processes out of a run directory.

    Raises:
        ConfigError: another process is in it.
    """
    stop = shlex.quote(str(directory.requests / RunRequest.STOP))
    with hold_file(
        directory.lock,
        f"{directory.path}: another process is training in it; wait for its end, or stop it with `touch {stop}`",
    ):
        yield


@contextmanager
def hold_file(path: Path, otherwise: str) -> Iterator[None]:
    """Holds a lock, which the system lets go of when this process ends, however it does.

    Raises:
        ConfigError: another process has it; `otherwise` is the message.
    """
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigError(otherwise) from error
        yield
