"""The problems of `verifine eval`, and how it grades the answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from verifine.config import GRADER_PRESETS, AnyGrader, RunConfig, load_config
from verifine.data import read_examples
from verifine.data.split import SMALLEST_TO_SPLIT
from verifine.errors import ConfigError, DataError
from verifine.insights.outcome import pluralize
from verifine.launch.inputs import MAX_NEW_TOKENS, RunInputs, load_inputs
from verifine.runs.directory import RunDirectory
from verifine.runs.environment import read_environment
from verifine.runs.run_config import load_run_config
from verifine.tasks import load_task


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalTarget:
    """A model to evaluate."""

    label: str
    """The user's name for it."""
    model: str
    """A catalogue name, a hub id or a folder."""
    run: RunDirectory | None
    """The run that trained it; None: it is not from a run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalSource:
    """The problems to ask. Without `data` and `task`: those that the run of the first target held out."""

    data: str | None = None
    """A file or a dataset on the hub, in the form of `data.train`."""
    task: str | None = None
    grader: AnyGrader | None = None
    """None: the grader of the task or the run."""
    second_grader: AnyGrader | None = None
    """None: the second grader of the run, if it has one."""
    limit: int | None = None
    """The largest number of problems; None: all of a file, and data.eval_size of a task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalSpec:
    """The problems, the grader, and how answers are sampled: the same for every model."""

    inputs: RunInputs
    """The problems are held out; nothing is trained on."""
    place: str
    """Where the problems are from, such as `64 problems of sums.jsonl`."""


def find_eval_target(given: str) -> EvalTarget:
    """A run directory, recognised by its config.yaml, or the name of a model.

    Raises:
        ConfigError: the run has not saved a model.
    """
    path = Path(given).expanduser()
    if not (path / "config.yaml").is_file():
        return EvalTarget(label=given, model=given, run=None)
    run = RunDirectory.open(path)
    if not run.model.is_dir():
        raise ConfigError(
            f"{given}: this run has no model/ yet, which it saves at its end; let it finish (verifine resume {given})"
        )
    return EvalTarget(label=given, model=str(run.model), run=run)


def load_eval_spec(target: EvalTarget, source: EvalSource, overrides: Sequence[str] = ()) -> EvalSpec:
    """Reads the problems. `overrides` change the settings of the target's run, or the defaults if it has none.

    Raises:
        ConfigError: there is nothing to ask.
        DataError: the problems cannot be read, or there are none.
    """
    if source.data is None and source.task is None and target.run is None:
        raise ConfigError(
            f"nothing to ask {target.label}: give --data with --grader, or --task, or a run directory, which has both"
        )
    changes = [*_data_overrides(source), *_second_grader_overrides(source), *overrides]
    config = load_config(None, changes) if target.run is None else load_run_config(target.run, changes)
    spec = _read(target, source, config)
    if not spec.inputs.held_out:
        raise DataError(_nothing_to_ask(target, source))
    return spec


def _nothing_to_ask(target: EvalTarget, source: EvalSource) -> str:
    if source.task is not None:
        return f"no problems of {source.task} to ask, because data.eval_size is 0; set it to 1 or more"
    return (
        f"{target.label} held no problems out (with fewer than {SMALLEST_TO_SPLIT} rows, a run trains on all of them); "
        "give a file of problems to ask with --data"
    )


def no_grader(target: EvalTarget) -> str:
    """Why there is no grader, and how to give one."""
    reason = "no grader"
    if has_program_grader(target):
        reason = f"{target.label} was graded by a Python program's own function, which is not saved"
    return f"{reason}; give --grader, one of {', '.join(sorted(GRADER_PRESETS))}, or the path of a file with a grader"


def _data_overrides(source: EvalSource) -> list[str]:
    """Replaces the data of a run."""
    if source.data is not None:
        return ["data.task=null", "data.eval=null", f"data.train={json.dumps(source.data)}"]
    if source.task is None:
        return []
    without = ["data.train=null", "data.eval=null", "data.columns={}", "data.system_prompt=null", "grader=null"]
    # A task sets the length of its answers.
    return [*without, f"data.task={source.task}", "sampling.max_new_tokens=null"]


def _second_grader_overrides(source: EvalSource) -> list[str]:
    second = source.second_grader
    return [] if second is None else [f"evaluation.grader={second.model_dump_json()}"]


def _read(target: EvalTarget, source: EvalSource, config: RunConfig) -> EvalSpec:
    run_grader = None if has_program_grader(target) else config.grader
    if config.data.train is not None and source.data is not None:
        rows = read_examples(config.data.train, config.data.columns, config.data.system_prompt)
        inputs = RunInputs(config=config, train=(), held_out=rows, grader=run_grader, answer_tokens=MAX_NEW_TOKENS)
        return _spec(source, inputs, source.data)
    if config.data.task is not None and source.task is not None:
        size = source.limit or config.data.eval_size
        task = load_task(config.data.task, seed=config.run.seed, train_size=0, held_out_size=size)
        inputs = RunInputs(
            config=config, train=(), held_out=task.held_out, grader=task.grader, answer_tokens=task.max_new_tokens
        )
        return _spec(source, inputs, task.name)
    try:
        inputs = load_inputs(config)
    except DataError as error:
        raise DataError(f"{error}; or give the problems to ask with --data") from error
    grader = None if has_program_grader(target) else inputs.grader
    return _spec(source, replace(inputs, train=(), grader=grader), f"{target.label} (held out)")


def _spec(source: EvalSource, inputs: RunInputs, place: str) -> EvalSpec:
    examples = inputs.held_out[: source.limit]
    return EvalSpec(
        inputs=replace(inputs, held_out=examples, grader=source.grader or inputs.grader),
        place=f"{pluralize(len(examples), 'problem')} of {place}",
    )


def has_program_grader(target: EvalTarget) -> bool:
    """Whether a Python program graded the run. Then the grader in its config, if any, was not used."""
    run = target.run
    return run is not None and run.environment.exists() and read_environment(run.environment).own_grader
