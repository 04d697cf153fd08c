"""Ctrl-C: the first press finishes the step, the second stops at once. SIGTERM pauses."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Self

from verifine.runs.requests import RunRequest

_REQUESTS = {signal.SIGINT: RunRequest.STOP, signal.SIGTERM: RunRequest.PAUSE}
"""A person who presses Ctrl-C wants the model saved; a machine that is being taken away leaves no time for that."""


class Interrupt:
    """Within its `with` block, the first signal is a request, and the second a KeyboardInterrupt."""

    def __init__(self, announce: Callable[[RunRequest], None]) -> None:
        self.request: RunRequest | None = None
        self._announce = announce
        self._previous: dict[signal.Signals, signal._HANDLER] = {}

    def __enter__(self) -> Self:
        for each in _REQUESTS:
            self._previous[each] = signal.signal(each, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for each, handler in self._previous.items():
            signal.signal(each, handler)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self.request is not None:
            raise KeyboardInterrupt
        self.request = _REQUESTS[signal.Signals(number)]
        # The signal may come in the middle of a print, which cannot be entered twice, or when the output is closed.
        with suppress(RuntimeError, OSError):
            self._announce(self.request)
