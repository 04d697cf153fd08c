"""Which models a job may start from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from verifine.data.suggestion import did_you_mean
from verifine.models.provision.catalogue import CATALOGUE
from verifine.wire.api_error import unknown_model


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainableModel:
    """A model that jobs are made from."""

    name: str
    """As requests have it."""
    source: str
    """As `model.name` of a RunConfig has it: it may be a folder, which no request can name."""
    parameters: int


TrainableModels = Mapping[str, TrainableModel]
"""By name."""


def catalogue_models() -> TrainableModels:
    """Every model of the catalogue, by its short name."""
    return {
        name: TrainableModel(name=name, source=name, parameters=entry.sizes.shape(None).own_parameters)
        for name, entry in CATALOGUE.items()
    }


def find_trainable(models: TrainableModels, name: str) -> TrainableModel:
    """Raises ApiError: there is none of this name."""
    if name not in models:
        raise unknown_model(name, f"{', '.join(models)}{did_you_mean(name, models)}")
    return models[name]
