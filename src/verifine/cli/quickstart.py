"""`verifine quickstart`: a real model learns something in five minutes."""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from verifine.launch.quickstart import ALGORITHM, MINUTES, MODEL, quickstart_settings, usual_minutes


def quickstart(
    task: Annotated[str, typer.Option(help="largest, add, subtract, count, sort or countdown.")] = "largest",
    algorithm: Annotated[
        str, typer.Option(help="grpo, dr_grpo, dapo, rloo, reinforce_pp, reinforce_pp_baseline, ppo, gspo or cispo.")
    ] = ALGORITHM,
    model: Annotated[str, typer.Option(help="A catalogue name, a hub id or a folder.")] = MODEL,
    lora: Annotated[bool, typer.Option("--lora", help="Train LoRA adapters alone, not every weight.")] = False,
    minutes: Annotated[
        float | None,
        typer.Option(help=f"Time limit, evaluations included; if not given, {MINUTES:g}, and half a minute for pico."),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Stop after this many steps; if not given, only the time limit ends training.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of every random number of the run.")] = 0,
    run_dir: Annotated[
        Path | None, typer.Option(help="Where to write; a new folder under ./runs if not given.")
    ] = None,
    skip_check: Annotated[bool, typer.Option("--skip-check", help="Train without trying the model first.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON Lines on standard output, and nothing else.")] = False,
    no_open: Annotated[bool, typer.Option("--no-open", help="Do not open the report in a browser.")] = False,
) -> None:
    """Train a small real model on a small task, on this machine, and show what it learned."""
    started = time.monotonic()
    from verifine.cli.display import make_display
    from verifine.cli.training import carry_out, describe_machine, exit_code, open_report, outcome_row, tell_outcome
    from verifine.config import build_config
    from verifine.launch.session import train

    limit = usual_minutes(model) if minutes is None else minutes
    settings = quickstart_settings(task, model, limit, algorithm, lora=lora)
    settings["run"] |= {"directory": run_dir, "seed": seed, "steps": steps}
    config = build_config(settings)
    display = make_display(sys.stdout, as_json=as_json)
    display.note(
        f"Verifine quickstart: {config.algorithm.name.upper()} teaches {model}{' with adapters' if lora else ''} the task {task!r} in {limit:g} minute{'' if limit == 1 else 's'}"
    )
    display.note(describe_machine())
    trained = carry_out(display, lambda options: train(config, check=not skip_check, started=started, options=options))
    tell_outcome(trained, display)
    if trained.directory.model.is_dir():
        display.note(f"Talk    verifine chat {shlex.quote(str(trained.directory.path))} --vs base")
    display.note(f"Next    verifine quickstart --task add --algorithm {_other(config.algorithm.name)}")
    display.note("        verifine train --dataset yours.jsonl --grader answer_exact --model " + model)
    names = {"task": task, "model": model, "algorithm": config.algorithm.name}
    display.done({"type": "done", **names, **outcome_row(trained)})
    if not (as_json or no_open):
        open_report(trained.directory.report)
    raise typer.Exit(exit_code(trained))


def _other(algorithm: str) -> str:
    return "dapo" if algorithm == "grpo" else "grpo"
