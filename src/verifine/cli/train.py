"""`verifine train`: your model, your data, your grader."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from verifine.cli.display import Display
    from verifine.config import RunConfig


def train(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[CONFIG.yaml] [KEY.PATH=VALUE]...", help="A config file, and values that override it."),
    ] = None,
    dataset: Annotated[Path | None, typer.Option(help="JSONL, one example a line, each with `messages`.")] = None,
    eval_dataset: Annotated[Path | None, typer.Option(help="JSONL of held-out examples.")] = None,
    model: Annotated[str | None, typer.Option(help="A catalogue name, a hub id or a folder.")] = None,
    algo: Annotated[
        str | None,
        typer.Option(
            help="GRPO, DR_GRPO, DAPO, RLOO, REINFORCE_PP, REINFORCE_PPB (with baseline), PPO, GSPO or CISPO."
        ),
    ] = None,
    grader: Annotated[
        str | None, typer.Option(help="A JSON file in OpenAI's grader form, or a preset: answer_exact, answer_number.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Training steps.")] = None,
    max_new_tokens: Annotated[int | None, typer.Option(help="Longest answer, in tokens.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="AdamW's rate after the warm-up.")] = None,
    seed: Annotated[int | None, typer.Option(help="Every random number follows from it.")] = None,
    save_interval: Annotated[int | None, typer.Option(help="Save the model every so many steps.")] = None,
    run_dir: Annotated[
        Path | None, typer.Option(help="Where to write; a new folder under ./runs if not given.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Resolve everything, render two prompts, and stop.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON Lines on standard output, and nothing else.")] = False,
) -> None:
    """Train a model on your data with your grader.

    Give a config file, or --dataset, --model and --grader, which build the same config. Overrides win over the file, and
    options over both.
    """
    started = time.monotonic()
    from verifine.cli.display import make_display
    from verifine.cli.training import describe_machine, exit_code, outcome_row, run_training, tell_outcome
    from verifine.config import dump_config
    from verifine.graders import load_grader_config

    options = {
        "data.train": dataset,
        "data.eval": eval_dataset,
        "model.name": model,
        "algorithm.name": algo,
        "grader": None if grader is None else load_grader_config(grader).model_dump(mode="json"),
        "run.steps": steps,
        "sampling.max_new_tokens": max_new_tokens,
        "optim.learning_rate": learning_rate,
        "run.seed": seed,
        "run.save_interval": save_interval,
        "run.directory": run_dir,
    }
    config = _load(words or [], options)

    display = make_display(sys.stdout, as_json=as_json)
    if dry_run:
        _rehearse(config, display)
        return
    display.note(dump_config(config).rstrip())
    display.note("")
    display.note(describe_machine())
    trained = run_training(config, display, started)
    tell_outcome(trained, display)
    display.done(
        {"type": "done", "model": config.model.name, "algorithm": config.algorithm.name, **outcome_row(trained)}
    )
    raise typer.Exit(exit_code(trained))


def _load(words: list[str], options: Mapping[str, object]) -> RunConfig:
    """The config that a file, overrides and options stand for; an option that was not given is None."""
    from verifine.config import load_config
    from verifine.errors import ConfigError

    has_file = bool(words) and ("=" not in words[0] or Path(words[0]).is_file())
    file, overrides = (Path(words[0]), words[1:]) if has_file else (None, words)
    if file is None and options["data.train"] is None and not overrides:
        raise ConfigError("nothing to train on: give a config file, or --dataset with --model and --grader")
    # JSON is YAML, so an option is an override like any other.
    set_by_option = [f"{key}={json.dumps(value, default=str)}" for key, value in options.items() if value is not None]
    return load_config(file, [*overrides, *set_by_option])


def _rehearse(config: RunConfig, display: Display) -> None:
    from verifine.config import dump_config
    from verifine.launch import rehearse

    with display:
        rehearsal = rehearse(config, display)
    display.note(dump_config(rehearsal.config).rstrip())
    display.note("")
    display.note(f"model     {rehearsal.model}")
    display.note(f"examples  {rehearsal.train_examples} to train on, {rehearsal.held_out_examples} held out")
    for number, text in enumerate(rehearsal.prompt_texts, start=1):
        display.note(f"\nprompt {number} as the model reads it:\n{text}")
    display.done({"type": "dry_run", "model": rehearsal.model, "prompts": list(rehearsal.prompt_texts)})
