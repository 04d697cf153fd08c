"""`verifine train`: your model, your data, your grader."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from verifine.cli.options import (
    Algorithm,
    ChatTemplateKwargs,
    Dataset,
    EvalDataset,
    GraderSpec,
    MaxNewTokens,
    Model,
    RewardType,
    Seed,
    Steps,
    SystemPrompt,
    UnsafeGraderExec,
    Words,
    load_run,
    reward_options,
    template_values,
    warn_of,
)

if TYPE_CHECKING:
    from verifine.cli.display import Display
    from verifine.config import RunConfig
    from verifine.types import Json


def train_command(
    words: Words = None,
    dataset: Dataset = None,
    eval_dataset: EvalDataset = None,
    model: Model = None,
    algo: Algorithm = None,
    grader: GraderSpec = None,
    reward_type: RewardType = None,
    system_prompt: SystemPrompt = None,
    chat_template_kwargs: ChatTemplateKwargs = None,
    steps: Steps = None,
    max_new_tokens: MaxNewTokens = None,
    learning_rate: Annotated[float | None, typer.Option(help="AdamW's rate after the warm-up.")] = None,
    seed: Seed = None,
    save_interval: Annotated[int | None, typer.Option(help="Steps from one checkpoint to the next.")] = None,
    run_dir: Annotated[
        Path | None, typer.Option(help="Where to write; a new folder under ./runs if not given.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Resolve everything, render two prompts, and stop.")
    ] = False,
    skip_check: Annotated[
        bool, typer.Option("--skip-check", help="Train without checking data, grader and model first.")
    ] = False,
    unsafe_grader_exec: UnsafeGraderExec = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON Lines on standard output, and nothing else.")] = False,
) -> None:
    """Train a model on your data with your grader.

    `verifine check` runs first, and training begins only if it finds no blocker. Give a config file, or --dataset,
    --model and --grader, which build the same config. Overrides win over the file, and options over both.
    """
    started = time.monotonic()
    from verifine.cli.display import make_display
    from verifine.cli.training import carry_out, describe_machine, exit_code, outcome_row, tell_outcome
    from verifine.config import dump_changed_settings
    from verifine.launch.session import train

    settings = {
        "data.train": dataset,
        "data.eval": eval_dataset,
        "model.name": model,
        "model.chat_template_kwargs": template_values(chat_template_kwargs),
        "algorithm.name": algo,
        **reward_options(grader, reward_type, system_prompt),
        "run.steps": steps,
        "sampling.max_new_tokens": max_new_tokens,
        "optim.learning_rate": learning_rate,
        "run.seed": seed,
        "run.save_interval": save_interval,
        "run.directory": run_dir,
    }
    config = load_run(words or [], settings)
    warn_of(unsafe_grader_exec)

    display = make_display(sys.stdout, as_json=as_json)
    if dry_run:
        _show_dry_run(config, display, unsafe_grader_exec)
        return
    display.note("# what differs from the defaults; config.yaml of the run has all settings")
    display.note(dump_changed_settings(config).rstrip())
    display.note("")
    display.note(describe_machine())
    trained = carry_out(
        display,
        lambda options: train(config, check=not skip_check, started=started, options=options),
        unsafe_grader_exec=unsafe_grader_exec,
    )
    tell_outcome(trained, display)
    display.done(
        {"type": "done", "model": config.model.name, "algorithm": config.algorithm.name, **outcome_row(trained)}
    )
    raise typer.Exit(exit_code(trained))


def _show_dry_run(config: RunConfig, display: Display, unsafe_grader_exec: bool) -> None:
    from verifine.config import dump_config
    from verifine.insights.diagnosis.describe import describe_finding
    from verifine.insights.findings import finding_numbers
    from verifine.launch.checking import dry_run
    from verifine.launch.options import LaunchOptions

    with display:
        found = dry_run(config, LaunchOptions(listeners=[display], unsafe_grader_exec=unsafe_grader_exec))
    display.note(dump_config(found.config).rstrip())
    display.note("")
    display.note(f"model     {found.model}")
    display.note(f"examples  {found.train_examples} to train on, {found.held_out_examples} held out")
    for number, text in enumerate(found.prompt_texts, start=1):
        display.note(f"\nprompt {number} as the model reads it:\n{text}")
    for finding in found.findings:
        display.note(f"\n{describe_finding(finding)}")
    findings: list[Json] = [finding_numbers(finding) for finding in found.findings]
    display.done({"type": "dry_run", "model": found.model, "prompts": list(found.prompt_texts), "findings": findings})
