"""`verifine doctor`: what this machine has, what it lacks, and what to do about it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from verifine.errors import SetupError

if TYPE_CHECKING:
    from verifine.cli.machine import Check

_MARKS = {"ok": "✓", "note": "!", "skipped": "-", "missing": "✗"}


def doctor(
    online: Annotated[
        bool, typer.Option("--online", help="Ask the Hugging Face hub, too, whether it can be reached.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output, and nothing else.")] = False,
) -> None:
    """Look at this machine: versions, accelerator, memory, disks, and the sandbox that holds graders' code.

    The exit code is 3 if something is missing that Verifine needs.
    """
    from verifine.cli.machine import check_machine, to_numbers

    checks: list[Check] = []
    for check in check_machine(online=online):
        checks.append(check)
        if not as_json:
            _tell(check)
    missing = [check.name for check in checks if check.state == "missing"]
    if as_json:
        print(json.dumps(to_numbers(checks)))
    else:
        print(f"\nMissing: {', '.join(missing)}." if missing else "\nVerifine has what it needs here.")
    if missing:
        raise typer.Exit(SetupError.exit_code)


def _tell(check: Check) -> None:
    print(f"{_MARKS[check.state]} {check.name:<15} {check.found}", flush=True)
    for way_out in check.ways_out:
        print(f"  {'':<15} -> {way_out}", flush=True)
