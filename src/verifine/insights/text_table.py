"""Columns of plain text, aligned by rich."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

GAP = "  "
"""Between two columns."""

_UNLIMITED = 1 << 30


def text_table(rows: Sequence[Sequence[str]], right_aligned: Collection[int] = ()) -> list[str]:
    """Lines without trailing blanks. A row may have fewer cells than others; `right_aligned` counts columns from 0.

    A cell is shown as it is: nothing in it is markup, and it is neither cut nor wrapped. Wide characters, such as
    Chinese ones, take two places.
    """
    if not rows:
        return []
    table = RichTable(box=None, show_header=False, pad_edge=False, padding=(0, len(GAP), 0, 0))
    for place in range(max(map(len, rows))):
        table.add_column(justify="right" if place in right_aligned else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(cell.expandtabs()) for cell in row))
    segments = Console(width=_UNLIMITED, color_system=None).render(table)
    return [line.rstrip() for line in "".join(segment.text for segment in segments).split("\n")[:-1]]
