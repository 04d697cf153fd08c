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
    warmup_steps: int
    """Likewise."""
    minutes: float
    """How long that takes, unless the user says."""


SHIPPED: Mapping[str, ShippedModel] = {
    "pico": ShippedModel(
        folder=_MODELS / "pico", licence="apache-2.0", learning_rate=1e-3, warmup_steps=3, minutes=0.5
    ),
}


def find_shipped(name: str) -> ShippedModel | None:
    """The model of a name (in any case); None: none of that name comes with Verifine."""
    return SHIPPED.get(name.lower())
