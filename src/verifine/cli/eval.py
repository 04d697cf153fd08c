"""`verifine eval`: how good is a model, and is it better than another?"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from verifine.cli.options import (
    ChatTemplateKwargs,
    MaxNewTokens,
    Seed,
    SystemPrompt,
    UnsafeGraderExec,
    template_values,
    warn_of,
)

if TYPE_CHECKING:
    from verifine.launch.eval_spec import EvalSource


def eval_command(
    model: Annotated[
        str, typer.Argument(metavar="MODEL|RUN", help="A catalogue name, a hub id, a folder, or a run directory.")
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY.PATH=VALUE]...", help="Settings, as for training; a run brings its own."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="The problems: JSONL, CSV or Parquet, or hf://OWNER/NAME; every row is a problem."
        ),
    ] = None,
    task: Annotated[str | None, typer.Option(help="A built-in task, in place of --data; it includes a grader.")] = None,
    grader: Annotated[
        str | None, typer.Option(help="A JSON or YAML file in OpenAI's grader form, or a preset; else that of the run.")
    ] = None,
    second_grader: Annotated[
        str | None, typer.Option(help="A second grader for the same answers; the verdict is based on it.")
    ] = None,
    against: Annotated[
        str | None, typer.Option(metavar="MODEL|RUN", help="A model to compare with, on the same problems.")
    ] = None,
    samples: Annotated[
        int | None, typer.Option(min=1, help="Answers to each problem: 1 is greedy, more give avg@k and pass@k.")
    ] = None,
    temperature: Annotated[float | None, typer.Option(help="Sampling temperature for several answers.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Ask only this many problems, the first ones.")] = None,
    system_prompt: SystemPrompt = None,
    chat_template_kwargs: ChatTemplateKwargs = None,
    max_new_tokens: MaxNewTokens = None,
    seed: Seed = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.jsonl", help="Write every answer with its grades, one a line.")
    ] = None,
    unsafe_grader_exec: UnsafeGraderExec = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output, nothing else.")] = False,
) -> None:
    """Evaluate a model on held-out problems: numbers with intervals, and a verdict if there is a second model.

    A run directory brings its held-out problems, its grader and its settings; --data, --task and --grader replace them.
    Nothing is trained, and only --out is written.
    """
    from verifine.cli.display import make_display
    from verifine.cli.eval_text import describe_evaluations, eval_command_numbers
    from verifine.cli.memory import keep_freed_memory
    from verifine.insights.answers import check_free_file, write_evaluated_answers
    from verifine.launch.eval_spec import find_eval_target, load_eval_spec
    from verifine.launch.evaluate import evaluate_models
    from verifine.launch.options import LaunchOptions

    check_free_file(out, "--out")
    targets = [find_eval_target(given) for given in (model, against) if given is not None]
    settings = {
        "evaluation.samples": samples,
        "evaluation.temperature": temperature,
        "data.system_prompt": system_prompt,
        "model.chat_template_kwargs": template_values(chat_template_kwargs),
        "sampling.max_new_tokens": max_new_tokens,
        "run.seed": seed,
    }
    given = [f"{key}={json.dumps(value)}" for key, value in settings.items() if value is not None]
    # One answer is greedy, whatever a run's several answers were sampled at.
    greedy = ["evaluation.temperature=null"] if samples == 1 and temperature is None else []
    source = _source(data, task, grader, second_grader, limit)
    spec = load_eval_spec(targets[0], source, [*(overrides or []), *greedy, *given])
    warn_of(unsafe_grader_exec)
    keep_freed_memory()
    if as_json:
        evaluated = evaluate_models(targets, spec, options=LaunchOptions(unsafe_grader_exec=unsafe_grader_exec))
    else:
        display = make_display(sys.stdout, as_json=False)
        with display:
            options = LaunchOptions(listeners=[display], unsafe_grader_exec=unsafe_grader_exec)
            evaluated = evaluate_models(targets, spec, options=options)
    if out is not None:
        write_evaluated_answers(out, [each.evaluation for each in evaluated])
    print(
        json.dumps(eval_command_numbers(spec, evaluated), allow_nan=False)
        if as_json
        else describe_evaluations(spec, evaluated)
    )
    if out is not None and not as_json:
        print(f"\n{out}")


def _source(
    data: str | None, task: str | None, grader: str | None, second_grader: str | None, limit: int | None
) -> EvalSource:
    from verifine.errors import ConfigError
    from verifine.graders import load_grader_config
    from verifine.launch.eval_spec import EvalSource

    if data is not None and task is not None:
        raise ConfigError("--data and --task exclude each other; give one of them")
    return EvalSource(
        data=data,
        task=task,
        grader=None if grader is None else load_grader_config(grader),
        second_grader=None if second_grader is None else load_grader_config(second_grader),
        limit=limit,
    )
