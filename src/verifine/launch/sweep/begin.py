"""From the command line to the folder of a sweep: a new one, one to continue, or one to extend."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from verifine.errors import ConfigError
from verifine.launch.sweep.folder import Sweep, SweepFolder, is_sweep, read_sweep, write_sweep
from verifine.launch.sweep.grid import Grid
from verifine.launch.sweep.planned import PlannedRun, extend_runs, plan_runs
from verifine.runs.directory import LONGEST_NAME, check_free, create_folder


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepPlan:
    """A sweep, before anything of it is done here."""

    sweep: Sweep
    folder: SweepFolder | None
    """Where it lies; None: it is new."""
    out: Path | None
    """Where a new one will lie; None: in a dated folder."""
    added: tuple[PlannedRun, ...]
    """The runs that are not in the folder yet."""


def plan_sweep(grid: Grid, command: str, out: Path | None) -> SweepPlan:
    """The sweep of a grid; if there is one in `out` already, it is extended.

    Raises:
        ConfigError: a config is wrong, `out` holds something else, or a sweep with runs that the grid lacks.
    """
    known: SweepFolder | None = None
    old: tuple[PlannedRun, ...] = ()
    runs = plan_runs(grid, Path.cwd())
    if out is not None and is_sweep(out):
        known = SweepFolder(path=out)
        old = read_sweep(known).runs
        try:
            runs = extend_runs(old, runs)
        except ConfigError as error:
            raise ConfigError(f"{out}: {error}") from error
    else:
        check_free(out, "--out")
    names = {run.name for run in old}
    return SweepPlan(
        sweep=Sweep(command=command, runs=runs),
        folder=known,
        out=out,
        added=tuple(run for run in runs if run.name not in names),
    )


def plan_continuation(path: Path) -> SweepPlan:
    """The sweep of a folder.

    Raises:
        ConfigError: the folder holds none.
    """
    if not is_sweep(path):
        raise ConfigError(f"{path}: this folder holds no sweep; give one that `verifine sweep` made, or a config file")
    folder = SweepFolder(path=path)
    return SweepPlan(sweep=read_sweep(folder), folder=folder, out=None, added=())


@contextmanager
def open_sweep(plan: SweepPlan, rehearse: Callable[[tuple[PlannedRun, ...]], None]) -> Iterator[SweepFolder]:
    """Keeps the folder for this process, makes it if it is new, and records the grid after its new runs were tried.

    Raises:
        ConfigError: another process continues the sweep.
        VerifineError: `rehearse` refuses what is new.
    """
    with ExitStack() as held:
        folder = plan.folder
        if folder is not None:
            held.enter_context(folder.hold())
        if plan.added:
            rehearse(plan.added)
        if folder is None:
            folder = SweepFolder(path=create_folder(plan.out, "--out", _stem(plan.sweep), datetime.now()))
            held.enter_context(folder.hold())
        write_sweep(folder, plan.sweep)
        yield folder


def _stem(sweep: Sweep) -> Path:
    """What the name of a new folder begins with: the task or the data."""
    data = sweep.runs[0].config.data
    name = data.task or (data.train and data.train.stem) or ""
    return Path("sweeps") / (re.sub(r"[^A-Za-z0-9._-]+", "-", name)[:LONGEST_NAME].strip("-.") or "sweep")
