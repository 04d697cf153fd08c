"""The colours of pages and figures, for light and dark screens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Colour:
    """One role's colour on a light and on a dark page."""

    light: str
    dark: str


PHASES: Mapping[str, Colour] = {
    "generate": Colour(light="#2f5d9e", dark="#5b8fd6"),
    "grade": Colour(light="#d39b1e", dark="#dcb04a"),
    "estimate": Colour(light="#8fb5e3", dark="#a9c9f0"),
    "update": Colour(light="#3b9478", dark="#5fb89b"),
}
"""What a step spends its time on."""

VARIANTS: Mapping[str, Colour] = {
    "variant-1": Colour(light="#0072b2", dark="#56a8e0"),
    "variant-2": Colour(light="#d55e00", dark="#ff8a3c"),
    "variant-3": Colour(light="#008f68", dark="#35c49b"),
    "variant-4": Colour(light="#b8529b", dark="#e58bc9"),
    "variant-5": Colour(light="#b58900", dark="#ecc94b"),
    "variant-6": Colour(light="#2b2b2b", dark="#e6e6e6"),
    "variant-7": Colour(light="#4fa9dc", dark="#9ad4f7"),
    "variant-8": Colour(light="#8b4a2b", dark="#c98a68"),
    "variant-9": Colour(light="#8f8f8a", dark="#85857f"),
}
"""Colours of things that are compared, after Okabe and Ito's palette for colour-blind readers.

The light ones are darkened where they were too faint for a line on white.
"""

THEME: Mapping[str, Colour] = {
    "page": Colour(light="#f7f7f5", dark="#141413"),
    "card": Colour(light="#ffffff", dark="#1d1d1b"),
    "ink": Colour(light="#1c1c1a", dark="#ecece6"),
    "muted": Colour(light="#6b6b66", dark="#9c9c94"),
    "rule": Colour(light="#e3e3de", dark="#34342f"),
    "train": Colour(light="#2563c9", dark="#74a7f7"),
    "held-out": Colour(light="#c2500a", dark="#f0904d"),
    "won": Colour(light="#1a7f4b", dark="#5fc490"),
    "lost": Colour(light="#b3372b", dark="#ef8378"),
    **PHASES,
    **VARIANTS,
}
"""By the names of the page's CSS variables. All light colours differ, since figures are drawn in them."""
