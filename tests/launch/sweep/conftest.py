from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from verifine.launch.sweep.folder import Sweep, SweepFolder, write_sweep
from verifine.launch.sweep.grid import SweepBase, parse_grid
from verifine.launch.sweep.planned import plan_runs

MakeSweep = Callable[..., tuple[SweepFolder, Sweep]]


@pytest.fixture
def make_sweep(tmp_path: Path) -> MakeSweep:
    """A sweep of the task `add` with three steps a run, in a folder of its own."""

    def make(*words: str, folder: str = "sweep", variants: Sequence[str] = ()) -> tuple[SweepFolder, Sweep]:
        made = SweepFolder(path=tmp_path / folder)
        made.path.mkdir()
        grid = parse_grid(SweepBase(overrides=("data.task=add", "run.steps=3")), words, variants)
        sweep = Sweep(command="verifine sweep ...", runs=plan_runs(grid, tmp_path))
        write_sweep(made, sweep)
        return made, sweep

    return make
