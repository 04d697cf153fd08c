"""Exceptions that no code has planned for: what the user is told, and where the traceback is kept."""

from __future__ import annotations

import errno
import os
import platform
import shlex
import sys
import tempfile
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from verifine.errors import DiskError, SetupError, UnexpectedError, VerifineError
from verifine.machine.secrets import find_secrets, mask

OOM_MESSAGES = ("DefaultCPUAllocator: ", "std::bad_alloc", "CUDA out of memory")
"""Parts of the messages with which torch reports that memory ran out, in a plain RuntimeError."""

_LONGEST = 300
"""Characters of an exception's message that are shown; the file has all of them."""

_SPACE, _PLACE = "free some space", "use a folder on a working disk that you may read and write"
_HINTS: Mapping[int, str] = {
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EACCES: _PLACE,
    errno.EPERM: _PLACE,
    errno.EROFS: _PLACE,
    errno.EIO: _PLACE,
    errno.EMFILE: "allow more open files (ulimit -n 4096)",
    errno.ENFILE: "end other programs, because the system has no more open files",
}
"""What to do about errors of the system that are this machine's."""


def explain_failure(error: BaseException) -> VerifineError:
    """The error to show in place of an exception: one of this machine if it is that, else an UnexpectedError."""
    is_of_torch = isinstance(error, RuntimeError) and any(words in str(error) for words in OOM_MESSAGES)
    if isinstance(error, MemoryError) or is_of_torch:
        return SetupError(
            "memory ran out; lower optim.micro_batch_tokens, sampling.group_size or sampling.max_new_tokens, train "
            "adapters alone (model.lora: {}), take a smaller model (model.name), or end other programs"
        )
    hint = _HINTS.get(error.errno or 0) if isinstance(error, OSError) else None
    if isinstance(error, OSError) and hint is not None:
        place = "the output" if error.filename is None else str(error.filename)
        return DiskError(f"{place}: {error.strerror}; {hint}", is_full=hint == _SPACE)
    return UnexpectedError(
        f"an unexpected error ended this ({describe_exception(error)}); please report it with its traceback"
    )


def describe_exception(error: BaseException) -> str:
    """`KeyError: 'x'`, on one line."""
    text = " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def traceback_text(error: BaseException) -> str:
    """The traceback with what is needed to understand it, for a file."""
    packages = ", ".join(f"{name} {_version_of(name)}" for name in ("verifine", "torch", "transformers"))
    head = [
        f"{datetime.now(UTC).isoformat(timespec='seconds')}",
        f"{packages}, Python {platform.python_version()}, {platform.platform()}",
        shlex.join(sys.argv),
    ]
    return "\n".join([*head, "", *traceback.format_exception(error)])


def keep_traceback(error: BaseException, environment: Mapping[str, str]) -> Path | None:
    """Writes the traceback into the folder for temporary files. None: it cannot be written."""
    try:
        handle, name = tempfile.mkstemp(prefix="verifine-traceback-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(mask(traceback_text(error), find_secrets(environment)))
    except OSError:
        return None
    return Path(name)


def describe_traceback(path: Path | None) -> str:
    """Where the traceback is, in a sentence."""
    if path is None:
        return "The traceback could not be written to a file; set VERIFINE_TRACEBACK=1 to see it here."
    return f"The traceback is in {path}."


def _version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
