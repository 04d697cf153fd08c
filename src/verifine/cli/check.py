"""`verifine check`: is training worth starting?"""

from __future__ import annotations

import json
import sys
from typing import Annotated

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


def check(
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
    seed: Seed = None,
    rows: Annotated[int, typer.Option(min=1, help="Prompts to ask the model.")] = 16,
    samples: Annotated[
        int | None, typer.Option(min=1, help="Answers to each; the run's group_size, at most 8, if not given.")
    ] = None,
    unsafe_grader_exec: UnsafeGraderExec = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output, nothing else.")] = False,
) -> None:
    """Try data, grader and model before training: is there something to learn, does it fit, and how long will it take?

    Takes the options of `verifine train`, and trains nothing. Exits with 0 for go, with or without warnings, and with 4
    for no-go.
    """
    from verifine.cli.display import make_display
    from verifine.cli.memory import keep_freed_memory
    from verifine.insights.findings import CheckVerdict
    from verifine.launch.checking import check_run
    from verifine.launch.options import LaunchOptions
    from verifine.preflight.check import Extent, NoGoError
    from verifine.preflight.numbers import to_numbers
    from verifine.preflight.words import describe_report

    settings = {
        "data.train": dataset,
        "data.eval": eval_dataset,
        "model.name": model,
        "model.chat_template_kwargs": template_values(chat_template_kwargs),
        "algorithm.name": algo,
        **reward_options(grader, reward_type, system_prompt),
        "run.steps": steps,
        "sampling.max_new_tokens": max_new_tokens,
        "run.seed": seed,
    }
    config = load_run(words or [], settings)
    warn_of(unsafe_grader_exec)
    keep_freed_memory()
    extent = Extent(rows=rows, samples=samples)
    if as_json:
        options = LaunchOptions(unsafe_grader_exec=unsafe_grader_exec)
        report = check_run(config, extent=extent, options=options)
        print(json.dumps(to_numbers(report), allow_nan=False))
    else:
        display = make_display(sys.stdout, as_json=False)
        with display:
            options = LaunchOptions(listeners=[display], unsafe_grader_exec=unsafe_grader_exec)
            report = check_run(config, extent=extent, options=options)
        display.note(describe_report(report))
    if report.verdict is CheckVerdict.NO_GO:
        raise typer.Exit(NoGoError.exit_code)
