"""Packages that only some tests should import."""

from __future__ import annotations

import sys
from pathlib import Path

import peft  # noqa: F401 - before bitsandbytes is there: it would import it

APART = Path(sys.prefix) / "apart"
"""Where the Makefile puts them."""


def add_packages_apart() -> None:
    """bitsandbytes takes 1.5 s to import, and peft imports it wherever it is found, so in every process of a test."""
    if APART.is_dir() and str(APART) not in sys.path:
        sys.path.append(str(APART))
