"""What can be asked."""

from __future__ import annotations

from dataclasses import dataclass

from verifine.service.models.bases import TrainableModel
from verifine.service.models.model import NamedModel
from verifine.service.models.store import ModelStore


@dataclass(frozen=True, slots=True, kw_only=True)
class ServableModel:
    """A model that a process can load."""

    name: str
    """What requests call it."""
    source: str
    """What is loaded: a run directory, a checkpoint in one, a catalogue name, or a folder. No request can name it."""
    parameters: int
    """Of the base."""
    base: ServableModel | None = None
    """The model in whose process it is loaded, as an adapter; None: it has a process of its own."""


def find_servable(models: ModelStore, owner_id: str, name: str) -> ServableModel:
    """The model of an owner that has a name. Raises UnknownModelError."""
    found = models.find(owner_id, name)
    base = _shared_base(models, found)
    return ServableModel(name=name, source=found.source, parameters=found.parameters, base=base)


def _shared_base(models: ModelStore, found: NamedModel) -> ServableModel | None:
    """The service's own model that an adapter belongs to."""
    if found.adapter is None:
        return None
    base = next((each for each in models.bases.values() if each.source == found.base), None)
    return None if base is None else _alone(base)


def _alone(base: TrainableModel) -> ServableModel:
    return ServableModel(name=base.name, source=base.source, parameters=base.parameters)
