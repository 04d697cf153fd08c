"""How far a client has followed a job: the id of each message of a stream, which it sends when it comes back."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from verifine.errors import VerifineError
from verifine.runs.following import Cursor

_TEXT = re.compile(r"([a-z_]*)\.(\d{1,15})\.(\d{1,9})-(\d{1,15})\.(\d{1,9})-(\d{1,9})", re.ASCII)


class StreamCursorError(VerifineError):
    """A text that is no id of a message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamCursor:
    """Everything that has to be known to go on, so that no server remembers its clients."""

    state: str = ""
    """The one that was told last."""
    event: int = 0
    """The `seq` of the last event."""
    metrics: Cursor = field(default_factory=Cursor)
    evaluations: Cursor = field(default_factory=Cursor)

    @classmethod
    def parse(cls, text: str) -> StreamCursor:
        """Raises StreamCursorError."""
        found = _TEXT.fullmatch(text)
        if found is None:
            raise StreamCursorError("Last-Event-ID is no id of this stream; leave it out to begin with the first step")
        event, *places = map(int, found.groups()[1:])
        return cls(
            state=found[1],
            event=event,
            metrics=Cursor(attempt=places[0], offset=places[1]),
            evaluations=Cursor(attempt=places[2], offset=places[3]),
        )

    def __str__(self) -> str:
        metrics, evaluations = self.metrics, self.evaluations
        run = f"{metrics.attempt}-{metrics.offset}.{evaluations.attempt}-{evaluations.offset}"
        return f"{self.state}.{self.event}.{run}"
