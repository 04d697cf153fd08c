"""What can go wrong, as a tree.

VerifineError
├── ConfigError       exit 2: the configuration or the command line cannot be meant
├── SetupError        exit 3: something this machine should have is missing
│   ├── ModelError    exit 3: a model cannot be found, fetched or used
│   ├── DiskError     exit 3: a file cannot be written
│   ├── HubError      exit 3: the Hugging Face hub does not take what it is given
│   └── SandboxUnavailableError  exit 3: this machine cannot isolate untrusted code
├── DataError         exit 4: a data file is not what it should be
├── GraderError       exit 4: a grader cannot be used
├── EngineError       exit 5: sampling failed
│   └── MismatchError exit 5: the engine samples from something else than the learner trains
├── TrainingError     exit 5: training cannot go on
├── CheckpointError   exit 5: a run cannot be gone on with
├── UnexpectedError   exit 1: a fault of Verifine itself, or of something it is built on
└── StoppedError      exit 130: somebody pressed Ctrl-C

Every message says what is wrong, where, and what to do about it.
"""

from __future__ import annotations

from typing import ClassVar


class VerifineError(Exception):
    """Anything Verifine refuses to do, with a hint in its message."""

    exit_code: ClassVar[int] = 1


class ConfigError(VerifineError):
    """A configuration or command line that cannot be meant."""

    exit_code = 2


class SetupError(VerifineError):
    """Something this machine should have is missing."""

    exit_code = 3


class ModelError(SetupError):
    """A model that cannot be found, fetched or used."""


class HubError(SetupError):
    """The Hugging Face hub does not take what it is given, or cannot be asked."""


class DiskError(SetupError):
    """A file that cannot be written. `is_full` says whether the disk is full."""

    def __init__(self, message: str, *, is_full: bool) -> None:
        super().__init__(message)
        self.is_full = is_full


class SandboxUnavailableError(SetupError):
    """Untrusted code cannot be isolated; the message begins with `sandbox_unavailable` and names what is missing."""


class DataError(VerifineError):
    """A data file that is not what it should be; the message names file, line and field."""

    exit_code = 4


class GraderError(VerifineError):
    """A grader that cannot be used, or that fails too often."""

    exit_code = 4


class EngineError(VerifineError):
    """Sampling that failed."""

    exit_code = 5


class MismatchError(EngineError):
    """An engine that samples from something else than the learner trains; the message names what it samples from."""


class TrainingError(VerifineError):
    """Training that cannot go on."""

    exit_code = 5


class CheckpointError(VerifineError):
    """A saved state that cannot be gone on from."""

    exit_code = 5


class UnexpectedError(VerifineError):
    """A fault of Verifine itself, or of something it is built on. `__cause__` is the exception."""


class StoppedError(VerifineError):
    """Somebody asked Verifine to stop before there was anything to save, or at once."""

    exit_code = 130


def notes_of(error: BaseException) -> tuple[str, ...]:
    """What was added to an error on its way up (`add_note`)."""
    return tuple(vars(error).get("__notes__", ()))


def full_message(error: BaseException) -> str:
    """The message of an error, and a line for each of its notes."""
    return "\n".join([str(error), *notes_of(error)])
