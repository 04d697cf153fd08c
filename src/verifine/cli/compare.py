"""`verifine compare`: which method is better, and how sure is that?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from verifine.insights.comparison.sections import Section


def compare(
    run_dirs: Annotated[
        list[Path], typer.Argument(metavar="RUN_DIR...", help="The run directories to compare, or one sweep.")
    ],
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

    Runs that differ only in their seed are one variant. Every variant is compared with that of the first run. The
    folder of a sweep stands for its runs, also while they are trained.
    """
    from verifine.errors import ConfigError
    from verifine.insights.comparison.run_comparison import compare_runs, read_runs
    from verifine.insights.comparison.sections import comparison_sections
    from verifine.launch.sweep.folder import is_sweep
    from verifine.runs.directory import check_free, create_folder

    check_free(out, "--out")
    if len(run_dirs) == 1 and is_sweep(run_dirs[0]):
        if label:
            raise ConfigError(f"{run_dirs[0]}: the variants of a sweep have names already; leave out --label")
        _compare_sweep(run_dirs[0], out, as_json=as_json)
        return
    comparison = compare_runs(read_runs(run_dirs), label or ())
    written: list[Path] = []
    if out is not None or not as_json:
        from verifine.insights.comparison.folder import write_comparison

        written = write_comparison(create_folder(out, "--out", Path("compare"), datetime.now()), comparison)
    if as_json:
        from verifine.insights.comparison.plain_values import comparison_numbers

        print(json.dumps(comparison_numbers(comparison), allow_nan=False))
        return
    _tell(comparison_sections(comparison), written)


def _compare_sweep(path: Path, out: Path | None, *, as_json: bool) -> None:
    """The results of a sweep so far; the files go into its own folder unless `out` is another."""
    from verifine.errors import ConfigError
    from verifine.insights.comparison.sweep_results import sweep_numbers, sweep_sections
    from verifine.launch.sweep.folder import SweepFolder, read_sweep
    from verifine.launch.sweep.results import find_results
    from verifine.runs.directory import create_folder

    folder = SweepFolder(path=path)
    sweep = read_sweep(folder)
    results = find_results(folder, sweep)
    if results is None:
        raise ConfigError(f"{path}: no run of this sweep has made a step yet; `verifine sweep {path}` continues it")
    if as_json:
        print(json.dumps(sweep_numbers(results), allow_nan=False))
    else:
        from verifine.insights.comparison.folder import write_sweep_comparison

        target = path if out is None else create_folder(out, "--out", out, datetime.now())
        _tell(sweep_sections(results), write_sweep_comparison(target, results, sweep.command))


def _tell(sections: Sequence[Section], written: Sequence[Path]) -> None:
    from verifine.cli.sections import print_sections

    print_sections(sections)
    print()
    for path in written:
        print(path)
