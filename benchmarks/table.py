"""What a benchmark says: a table for people, JSON for programs."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Cell = str | int | float | None
"""A float is shown with three digits that count; None is a dash."""


def render(header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """A table in Markdown, with columns that line up."""
    lines = [list(header), *[[_show(cell) for cell in row] for row in rows]]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    shown = [
        "| " + " | ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]
    return "\n".join([shown[0], "| " + " | ".join("-" * width for width in widths) + " |", *shown[1:]])


def _show(cell: Cell) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, float):
        return f"{cell:.0f}" if abs(cell) >= 100 else f"{cell:.3g}"
    return str(cell)


def add_json_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--json", metavar="FILE", nargs="?", const="-", help="also write the numbers as JSON; - (or nothing): print it"
    )


def publish(text: str, numbers: Any, where: str | None) -> None:
    """Prints `text` and writes `numbers` where --json says. JSON on standard output stands there alone."""
    print(text, file=sys.stderr if where == "-" else sys.stdout, flush=True)
    if where == "-":
        print(json.dumps(numbers, indent=2))
    elif where is not None:
        Path(where).write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")
