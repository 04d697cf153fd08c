"""`verifine compare`: which method is better, and how sure is that?"""

from __future__ import annotations

import json
import shutil
import textwrap
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from verifine.insights.comparison.run_comparison import RunComparison
    from verifine.insights.comparison.sentences import Table

_WIDEST = 120
"""Characters in a line."""


def compare(
    run_dirs: Annotated[list[Path], typer.Argument(metavar="RUN_DIR...", help="The run directories to compare.")],
    out: Annotated[
        Path | None, typer.Option(help="Where to write; a new folder compare-<date-time> if not given.")
    ] = None,
    label: Annotated[
        list[str] | None, typer.Option(help="A name for each variant, in their order; give it once for each.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="JSON on standard output and nothing else; files only with --out.")
    ] = False,
) -> None:
    """Compare runs: what differs, which is better, and how sure that is.

    Runs that differ only in their seed are one variant. Every variant is compared with that of the first run.
    """
    from verifine.insights.comparison.run_comparison import compare_runs, read_runs
    from verifine.runs.directory import check_free, create_folder

    check_free(out, "--out")
    comparison = compare_runs(read_runs(run_dirs), label or ())
    written: list[Path] = []
    if out is not None or not as_json:
        from verifine.insights.comparison.folder import write_comparison

        written = write_comparison(create_folder(out, "--out", Path("compare"), datetime.now()), comparison)
    if as_json:
        from verifine.insights.comparison.plain_values import comparison_numbers

        print(json.dumps(comparison_numbers(comparison), allow_nan=False))
        return
    _tell(comparison)
    print()
    for path in written:
        print(path)


def _tell(comparison: RunComparison) -> None:
    from verifine.insights.comparison.sentences import (
        describe_comparison,
        difference_table,
        explain_verdicts,
        result_table,
        verdict_table,
    )

    print("What differs\n")
    _print_table(difference_table(comparison), "nothing but the seed, at most")
    print("\nHeld-out problems before and after training, and what it took\n")
    _print_table(result_table(comparison), "")
    if comparison.verdicts:
        print(f"\nBetter than {comparison.entries[0].variant.name}?\n")
        _print_table(verdict_table(comparison), "")
        _say(explain_verdicts(comparison))
    _say(describe_comparison(comparison))
    for note in comparison.notes:
        _say(f"Note: {note}")


def _say(text: str) -> None:
    """A paragraph that fits the terminal."""
    print()
    print(
        textwrap.fill(
            text, min(_WIDEST, shutil.get_terminal_size().columns), break_long_words=False, break_on_hyphens=False
        )
    )


def _print_table(table: Table, otherwise: str) -> None:
    """`otherwise` where there are no rows."""
    from verifine.insights.text_table import GAP, text_table

    lines = text_table([table.columns, *table.rows]) if table.rows else [otherwise]
    for line in lines:
        print(f"{GAP}{line}")
