"""One process at a time trains in a run directory."""

from __future__ import annotations

import fcntl
import shlex
from collections.abc import Iterator
from contextlib import contextmanager

from verifine.errors import ConfigError
from verifine.runs.directory import RunDirectory
from verifine.runs.requests import RunRequest


@contextmanager
def hold(directory: RunDirectory) -> Iterator[None]:
    """Keeps other processes out of a run directory; the system lets go of it when this one ends, however it does.

    Raises:
        ConfigError: another process is in it.
    """
    with directory.lock.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            stop = shlex.quote(str(directory.requests / RunRequest.STOP))
            raise ConfigError(
                f"{directory.path}: another process is training in it; wait for its end, or stop it with `touch {stop}`"
            ) from error
        yield
