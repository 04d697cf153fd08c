"""The choices of a program that starts a run, besides its config."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from verifine.graders import Services
from verifine.graders.sandbox.call import Level
from verifine.machine.disk import LOCAL_DISK, Disk
from verifine.runs.events import Listener, RunEvent
from verifine.runs.requests import RunRequest


def no_request() -> RunRequest | None:
    """Requests nothing."""
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchOptions:
    """How a process trains, checks or evaluates. Nothing in here changes what a run learns."""

    listeners: Sequence[Listener] = ()
    """Functions that are called with every event of `runs.events`; `[print]` prints them."""
    request: Callable[[], RunRequest | None] = no_request
    """Called before each step: whether to stop and save the model as it is, or to pause."""
    unsafe_grader_exec: bool = False
    """Runs graders' code, and code that the model writes, outside the sandbox, with the rights of this process."""
    disk: Disk = LOCAL_DISK
    """The disk that the run directory is written with."""

    def services(self) -> Services:
        """What graders may use on this machine: the keys in the environment, and how untrusted code is isolated."""
        return Services(environment=dict(os.environ), level=Level.UNSAFE if self.unsafe_grader_exec else None)

    def tell(self, event: RunEvent) -> None:
        """Gives an event to every listener."""
        for listener in self.listeners:
            listener(event)


DEFAULT_OPTIONS = LaunchOptions()
"""No listeners and no requests; untrusted code runs in the sandbox."""
