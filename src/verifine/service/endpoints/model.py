"""What can be asked."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ServableModel:
    """A model that a process can load."""

    name: str
    """What requests call it."""
    source: str
    """What is loaded: a run directory, a checkpoint in one, a catalogue name, or a folder. No request can name it."""
    parameters: int
