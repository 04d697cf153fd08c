"""`verifine sweep`: a grid of runs, one after the other, and their comparison."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from verifine.cli.options import UnsafeGraderExec, warn_of

if TYPE_CHECKING:
    from verifine.cli.sweep_display import SweepDisplay
    from verifine.launch.sweep.begin import SweepPlan
    from verifine.launch.sweep.execute import RunOver
    from verifine.launch.sweep.folder import SweepFolder
    from verifine.launch.sweep.grid import SweepBase
    from verifine.launch.sweep.process import SweepOptions


def sweep_command(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[BASE] [KEY.PATH=VALUE,VALUE]...",
            help="A config file, or a task such as largest for the settings of the quickstart; then settings as for "
            "train, with several values where the runs differ. Or only the folder of a sweep, to continue it.",
        ),
    ] = None,
    variant: Annotated[
        list[str] | None,
        typer.Option(metavar="'NAME: KEY=VALUE KEY=VALUE'", help="Settings that go together; give it once for each."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The sweep's folder; a new one under ./sweeps if not given.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the runs with their settings and expected time, and stop.")
    ] = False,
    skip_check: Annotated[
        bool, typer.Option("--skip-check", help="Train without checking data, grader and model first.")
    ] = False,
    drop_checkpoints: Annotated[
        bool,
        typer.Option("--drop-checkpoints", help="Remove the checkpoints of a run when it is done; its model stays."),
    ] = False,
    unsafe_grader_exec: UnsafeGraderExec = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON Lines on standard output, and nothing else.")] = False,
) -> None:
    """Train every combination of some settings, one run after the other, and compare the results.

    Every combination of the values is a run. Runs that differ only in run.seed are one variant; the others are compared
    with the first. The same command with the same --out continues what was stopped, and adds what is new.
    """
    from verifine.cli.interrupt import Interrupt
    from verifine.cli.sweep_display import make_sweep_display
    from verifine.errors import StoppedError
    from verifine.launch.sweep.begin import open_sweep
    from verifine.launch.sweep.execute import SweepSession
    from verifine.launch.sweep.process import SweepOptions
    from verifine.launch.sweep.rehearse import rehearse_variants

    plan = _plan(words or [], variant or [], out)
    options = SweepOptions(
        skip_check=skip_check, unsafe_grader_exec=unsafe_grader_exec, drop_checkpoints=drop_checkpoints
    )
    display = make_sweep_display(sys.stdout, plan, as_json=as_json)
    display.begin(lists_runs=dry_run)
    if dry_run:
        return
    warn_of(unsafe_grader_exec)
    with open_sweep(plan, lambda runs: rehearse_variants(runs, options, display.trying)) as folder:
        display.opened(folder)
        session = SweepSession(folder, plan.sweep, options, display)

        def pause(_: object) -> None:
            session.pause()
            display.note("pausing: the step is finished and a checkpoint written; press Ctrl-C again to stop at once")

        try:
            with display, Interrupt(pause) as interrupt:
                results = session.run()
        except KeyboardInterrupt:
            raise StoppedError(f"stopped at once; continue with {_continue(folder, options)}") from None
        code = _exit_code(results, was_paused=interrupt.request is not None)
        _tell_results(folder, plan, display)
        display.end(folder, code, None if code == 0 else _continue(folder, options))
    raise typer.Exit(code)


def _plan(words: list[str], variants: list[str], out: Path | None) -> SweepPlan:
    from verifine.config import TaskName
    from verifine.errors import ConfigError
    from verifine.launch.sweep.begin import plan_continuation, plan_sweep
    from verifine.launch.sweep.folder import is_sweep
    from verifine.launch.sweep.grid import parse_grid

    if words and Path(words[0]).is_dir() and (words[0] not in get_args(TaskName) or is_sweep(Path(words[0]))):
        if len(words) > 1 or variants or out is not None:
            raise ConfigError(
                f"{words[0]}: a sweep is continued as it is; to add runs to it, give the whole grid and "
                f"--out {shlex.quote(words[0])}"
            )
        return plan_continuation(Path(words[0]))
    base, settings = _base(words)
    given = [*words, *(word for variant in variants for word in ("--variant", variant))]
    given += [] if out is None else ["--out", str(out)]
    return plan_sweep(parse_grid(base, settings, variants), shlex.join(["verifine", "sweep", *given]), out)


def _base(words: list[str]) -> tuple[SweepBase, list[str]]:
    """What all runs begin with, and the words after it."""
    from verifine.config import TaskName
    from verifine.errors import ConfigError
    from verifine.launch.sweep.grid import SweepBase

    if not words:
        raise ConfigError(
            "nothing to train: give a config file or a task, and a key with several values, for example "
            "`verifine sweep largest run.seed=0,1,2`"
        )
    first, others = words[0], words[1:]
    if first in get_args(TaskName) and not Path(first).is_file():
        return SweepBase(task=first), others
    if "=" in first and not Path(first).is_file():
        return SweepBase(), words
    return SweepBase(file=Path(first)), others


def _tell_results(folder: SweepFolder, plan: SweepPlan, display: SweepDisplay) -> None:
    from verifine.launch.sweep.results import find_results

    results = find_results(folder, plan.sweep)
    if results is not None:
        from verifine.insights.comparison.folder import write_sweep_comparison

        write_sweep_comparison(folder.path, results, plan.sweep.command)
        display.results(results)


def _exit_code(results: list[RunOver], *, was_paused: bool) -> int:
    from verifine.errors import DiskError, StoppedError, TrainingError

    if any(result.is_disk_full for result in results):
        return DiskError.exit_code
    if was_paused:
        return StoppedError.exit_code
    return TrainingError.exit_code if any(result.problem is not None for result in results) else 0


def _continue(folder: SweepFolder, options: SweepOptions) -> str:
    """The command that continues the sweep."""
    given = {
        "--skip-check": options.skip_check,
        "--drop-checkpoints": options.drop_checkpoints,
        "--unsafe-grader-exec": options.unsafe_grader_exec,
    }
    return shlex.join(["verifine", "sweep", str(folder.path), *(word for word, is_given in given.items() if is_given)])
