"""`verifine resume`: continues a run that was stopped or killed, or makes one longer."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from verifine.cli.options import Steps, UnsafeGraderExec, warn_of


def resume_command(
    run_dir: Annotated[Path, typer.Argument(help="The run directory that training printed.")],
    steps: Steps = None,
    minutes: Annotated[float | None, typer.Option(help="How long the whole run may take.")] = None,
    max_steps: Annotated[int | None, typer.Option(min=1, help="Pause after so many steps of the run.")] = None,
    max_minutes: Annotated[float | None, typer.Option(help="Pause before the run has taken so many minutes.")] = None,
    unsafe_grader_exec: UnsafeGraderExec = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON Lines on standard output, and nothing else.")] = False,
) -> None:
    """Continue a run from its newest checkpoint, as if it had never stopped.

    Give --steps or --minutes to make a finished run longer, and --max-steps or --max-minutes to continue one that was
    paused by these; all count from the beginning of the run.
    """
    from verifine.cli.display import make_display
    from verifine.cli.training import carry_out, describe_machine, exit_code, outcome_row, tell_outcome
    from verifine.launch.session import resume

    warn_of(unsafe_grader_exec)
    display = make_display(sys.stdout, as_json=as_json)
    display.note(describe_machine())
    trained = carry_out(
        display,
        lambda options: resume(
            run_dir, steps=steps, minutes=minutes, max_steps=max_steps, max_minutes=max_minutes, options=options
        ),
        unsafe_grader_exec=unsafe_grader_exec,
    )
    tell_outcome(trained, display)
    display.done(outcome_row(trained))
    raise typer.Exit(exit_code(trained))
