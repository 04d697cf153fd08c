"""Short forms of sections, the same in YAML, on the command line and in Python."""

from __future__ import annotations

from collections.abc import Mapping

NAMED_SECTIONS = ("algorithm", "model")
"""Sections for which a text may be given, which is their `name`."""
_SECTIONS = ("algorithm", "data", "engine", "evaluation", "model", "optim", "run", "sampling")


def expand_sections(values: Mapping[str, object]) -> dict[str, object]:
    """`values` with a name for a section, and an empty section (all its lines are commented out), written in full."""

    def expanded(key: str, value: object) -> object:
        if isinstance(value, str) and key in NAMED_SECTIONS:
            return {"name": value}
        if value is None and key in _SECTIONS:
            return {}
        return value

    return {key: expanded(key, value) for key, value in values.items()}
