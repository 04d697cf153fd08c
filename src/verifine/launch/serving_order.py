"""What a service tells the process of a model that it starts, and what it hears back: a line of JSON each."""

from __future__ import annotations

from dataclasses import field

from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass

PROCESS = "verifine.launch.served_process"
"""The module that carries an order out. It needs torch, so a service only names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingOrder:
    """A model to serve."""

    parent: int
    """The process that gives the order, which this one must not outlive."""
    token: str = field(repr=False)
    """Requests without it are refused."""
    listener: int
    """The file descriptor of a socket that listens."""
    name: str
    """What requests call the model."""
    source: str
    """A run directory, a checkpoint in one, a catalogue name, or a folder."""
    cache_bytes: int
    """Memory for keys and values."""
    request_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingReply:
    """How loading ended."""

    problem: str | None = None
    """Why the model cannot be served; None: it is."""


ORDER, REPLY = TypeAdapter(ServingOrder), TypeAdapter(ServingReply)
