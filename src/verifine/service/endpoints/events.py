"""Server-sent events, cut where one ends and the next begins."""

from __future__ import annotations

from verifine.wire.api_error import ApiError

END = b"\n\n"
LOADING = b": loading" + END
"""A comment, which clients skip. It keeps a connection alive."""


class EventCutter:
    """Gives out whole events, so that something can be said between two of them."""

    def __init__(self) -> None:
        self._rest = b""

    def cut(self, data: bytes) -> bytes:
        """The events that end in what has come, which may be none."""
        whole, end, self._rest = (self._rest + data).rpartition(END)
        return whole + end


def error_event(error: ApiError) -> bytes:
    """An error as the last event of a stream; OpenAI's clients raise it."""
    return b"data: " + error.body.as_json().encode() + END
