"""`verifine report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    run_dir: Annotated[Path, typer.Argument(help="The run directory that training printed.")],
) -> None:
    """Write report.html of a run again, from the files in its directory."""
    from verifine.insights.report import write_report
    from verifine.runs.directory import RunDirectory

    print(write_report(RunDirectory.open(run_dir)))
