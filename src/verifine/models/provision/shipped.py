"""The models that come with Verifine: folders in its own package. What is known of one is in its files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_MODELS = Path(__file__).parents[1] / "shipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShippedModel:
    """A model in Verifine's own package."""

    folder: Path
    licence: str
    """As the hub abbreviates it: that of Verifine."""
    learning_rate: float
    """The rate that `verifine quickstart` teaches it with."""
    auto_rate: float
    """What `optim.learning_rate: auto` means for it: groups of eight answers take less."""
    lora_rate: float
    """For adapters, in both."""
    warmup_steps: int
    """Likewise."""
    minutes: float
    """How long that takes, unless the user says."""


SHIPPED: Mapping[str, ShippedModel] = {
    "pico": ShippedModel(
        folder=_MODELS / "pico",
        licence="apache-2.0",
        learning_rate=1e-3,
        auto_rate=3e-4,
        lora_rate=3e-3,
        warmup_steps=3,
        minutes=0.5,
    ),
}


def find_shipped(name: str) -> ShippedModel | None:
    """The model of a name (in any case); None: none of that name comes with Verifine."""
    return SHIPPED.get(name.lower())


def shipped_name(folder: Path) -> str | None:
    """The name of the shipped model in `folder`, whose path means something on this machine alone; None: it is none."""
    return next((name for name, model in SHIPPED.items() if model.folder == folder), None)


def shipped_rate(name: str, *, lora: bool) -> float | None:
    """What `optim.learning_rate: auto` means for a model that comes with Verifine.

    None: it does not, or a folder here has its name.
    """
    shipped = None if Path(name).is_dir() else find_shipped(name)
    if shipped is None:
        return None
    return shipped.lora_rate if lora else shipped.auto_rate
