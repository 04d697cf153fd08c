"""Sections of text and tables on a terminal."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence

from verifine.insights.comparison.sections import Section
from verifine.insights.text_table import GAP, text_table

_WIDEST = 120
"""Characters in a line."""


def print_sections(sections: Sequence[Section]) -> None:
    """Prints them with a blank line between, paragraphs no wider than the terminal."""
    print("\n\n".join("\n\n".join(_parts(section)) for section in sections))


def _parts(section: Section) -> list[str]:
    parts = [section.heading] if section.heading else []
    if section.table is not None:
        rows = section.table.rows
        lines = text_table([section.table.columns, *rows]) if rows else [section.otherwise]
        parts.append("\n".join(f"{GAP}{line}" for line in lines))
    return parts + [_filled(paragraph) for paragraph in section.paragraphs]


def _filled(text: str) -> str:
    width = min(_WIDEST, shutil.get_terminal_size().columns)
    return textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False)
