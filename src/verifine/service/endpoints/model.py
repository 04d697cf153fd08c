"""What can be asked."""

from __future__ import annotations

from dataclasses import dataclass

from verifine.service.models.store import ModelStore


@dataclass(frozen=True, slots=True, kw_only=True)
class ServableModel:
    """A model that a process can load."""

    name: str
    """What requests call it."""
    source: str
    """What is loaded: a run directory, a checkpoint in one, a catalogue name, or a folder. No request can name it."""
    parameters: int


def find_servable(models: ModelStore, owner_id: str, name: str) -> ServableModel:
    """The model of an owner that has a name. Raises UnknownModelError."""
    found = models.find(owner_id, name)
    return ServableModel(name=name, source=found.source, parameters=found.parameters)
