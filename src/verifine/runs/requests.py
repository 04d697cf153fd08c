"""What somebody asks of a running run: a file in `requests/`, so that any process may ask. `touch` is enough."""

from __future__ import annotations

from enum import StrEnum

from verifine.runs.directory import RunDirectory


class RunRequest(StrEnum):
    """What a run is to do at its next step boundary; the strongest first."""

    CANCEL = "cancel"
    """End at once. Checkpoints stay; there is no final evaluation and no model."""
    PAUSE = "pause"
    """Save a checkpoint and end, to be resumed."""
    STOP = "stop"
    """Save the model as it is and end."""


def ask_run(directory: RunDirectory, request: RunRequest) -> None:
    """Ask the process that trains there; it sees the request before its next step."""
    directory.requests.mkdir(exist_ok=True)
    (directory.requests / request).touch()


def find_request(directory: RunDirectory) -> RunRequest | None:
    """The strongest request that was made; None: there is none."""
    return next((request for request in RunRequest if (directory.requests / request).exists()), None)


def clear_requests(directory: RunDirectory) -> None:
    """Forget all requests: a run that is resumed has been asked nothing."""
    directory.disk.remove(directory.requests)
    directory.requests.mkdir()
