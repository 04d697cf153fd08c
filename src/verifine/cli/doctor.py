"""`verifine doctor`: checks this machine, or finds out why a run is not learning, and says what to do about it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from verifine.errors import ConfigError, SetupError

if TYPE_CHECKING:
    from verifine.cli.machine_checks import Check

_MARKS = {"ok": "✓", "note": "!", "skipped": "-", "missing": "✗"}


def doctor(
    run_dir: Annotated[
        Path | None,
        typer.Argument(help="A run directory, to find out why the run does not learn; else this machine."),
    ] = None,
    online: Annotated[
        bool, typer.Option("--online", help="Also check whether the Hugging Face hub can be reached.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on standard output, and nothing else.")] = False,
) -> None:
    """Check this machine, or a run that does not learn, and say what to change.

    For this machine it shows versions, accelerator, memory, disks, and the sandbox for graders' code; the exit code is
    3 if something is missing that Verifine needs. For a run, finished or not, it shows what stands out in its numbers.
    """
    if run_dir is None:
        _look_at_machine(online=online, as_json=as_json)
    elif online:
        raise ConfigError("--online checks this machine; leave out --online or the run directory")
    else:
        _look_at_run(run_dir, as_json=as_json)


def _look_at_machine(*, online: bool, as_json: bool) -> None:
    from verifine.cli.machine_checks import check_machine, machine_numbers

    checks: list[Check] = []
    for check in check_machine(online=online):
        checks.append(check)
        if not as_json:
            _tell(check)
    missing = [check.name for check in checks if check.state == "missing"]
    if as_json:
        print(json.dumps(machine_numbers(checks)))
    else:
        print(f"\nMissing: {', '.join(missing)}." if missing else "\nVerifine has what it needs here.")
    if missing:
        raise typer.Exit(SetupError.exit_code)


def _tell(check: Check) -> None:
    print(f"{_MARKS[check.state]} {check.name:<15} {check.found}", flush=True)
    for hint in check.hints:
        print(f"  {'':<15} -> {hint}", flush=True)


def _look_at_run(run_dir: Path, *, as_json: bool) -> None:
    from verifine.insights.diagnosis.describe import describe_finding, describe_health, describe_vitals
    from verifine.insights.diagnosis.diagnose import diagnose, diagnosis_numbers
    from verifine.insights.diagnosis.success import describe_success
    from verifine.runs.directory import RunDirectory
    from verifine.runs.record import read_run

    record = read_run(RunDirectory.open(run_dir))
    findings = diagnose(record, datetime.now(UTC))
    if as_json:
        print(json.dumps(diagnosis_numbers(findings, record.steps), allow_nan=False))
        return
    health, success = describe_health(findings, record.steps), "\n  ".join(describe_success(record, findings))
    parts = [health, *map(describe_finding, findings), success, describe_vitals(record)]
    print("\n\n".join(part for part in parts if part))
