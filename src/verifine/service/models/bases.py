"""Which models a job may start from."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from verifine.config.run import ModelConfig
from verifine.errors import ConfigError
from verifine.models.provision.catalogue import CATALOGUE
from verifine.models.provision.shipped import SHIPPED

LONGEST_NAME = 200
"""As requests have it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartingCheckpoint:
    """Weights that a job begins with in place of those of its base."""

    folder: Path
    trained: ModelConfig
    """How they were trained."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainableModel:
    """A model that jobs are made from."""

    name: str
    """As requests have it."""
    source: str
    """As `model.name` of a RunConfig has it: it may be a folder, which no request can name."""
    parameters: int
    checkpoint: StartingCheckpoint | None = None
    """None: training begins with the weights of `source`."""


TrainableModels = Mapping[str, TrainableModel]
"""By name."""


def catalogue_models() -> TrainableModels:
    """Every model of the catalogue, by its short name, and those that come with Verifine."""
    known = {name: entry.sizes.shape(None).own_parameters for name, entry in CATALOGUE.items()}
    shipped = {name: count_parameters(model.folder) for name, model in SHIPPED.items()}
    return {
        name: TrainableModel(name=name, source=name, parameters=parameters)
        for name, parameters in (known | shipped).items()
    }


def folder_model(name: str, folder: Path) -> TrainableModel:
    """The model in a folder, which whoever runs the service has chosen.

    Raises:
        ConfigError: there is none in it, or the name is one of the catalogue.
    """
    if name in CATALOGUE or name in SHIPPED or set("/:") & set(name) or len(name) > LONGEST_NAME:
        raise ConfigError(
            f"a model in a folder cannot be called {name[:LONGEST_NAME]!r}; take a name that is not taken, without "
            f"/ and :, of {LONGEST_NAME} characters at most"
        )
    parameters = count_parameters(folder)
    if not parameters:
        raise ConfigError(f"{folder} holds no model; it needs *.safetensors and config.json")
    return TrainableModel(name=name, source=str(folder), parameters=parameters)


def count_parameters(folder: Path) -> int:
    """The weights in the safetensors of a folder; 0: there are none."""
    return sum(map(_count_weights, sorted(folder.glob("*.safetensors"))))


def _count_weights(path: Path) -> int:
    """By the table at the beginning of the file; no weight is read."""
    with path.open("rb") as file:
        table = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return sum(math.prod(entry["shape"]) for key, entry in table.items() if key != "__metadata__")
