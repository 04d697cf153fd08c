"""What `verifine eval` asks of models, and how it judges their answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from verifine.config import AnyGrader, RunConfig, load_config
from verifine.data import read_examples
from verifine.errors import ConfigError, DataError
from verifine.insights.outcome import pluralize
from verifine.launch.inputs import MAX_NEW_TOKENS, load_inputs
from verifine.runs.directory import RunDirectory
from verifine.runs.environment import read_environment
from verifine.tasks import load_task
from verifine.types import Example


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalTarget:
    """A model to be examined."""

    label: str
    """What the user calls it."""
    model: str
    """A catalogue name, a hub id or a folder."""
    run: RunDirectory | None
    """The run that trained it; None: it is just a model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalSource:
    """What to ask. Without `data` and `task`: what the run of the first subject held out."""

    data: str | None = None
    """A file or a dataset on the hub, as `data.train` has it."""
    task: str | None = None
    grader: AnyGrader | None = None
    """None: that of the task or the run."""
    second_grader: AnyGrader | None = None
    """None: that of the run, if it has one."""
    limit: int | None = None
    """Most problems that are asked; None: all of a file, and as many of a task as data.eval_size says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalSpec:
    """The problems, the graders, and how answers are sampled: the same for every model."""

    config: RunConfig
    max_new_tokens: int
    examples: Sequence[Example]
    place: str
    """What they are, such as `64 problems of sums.jsonl`."""
    grader: AnyGrader | None
    """None: a Python program has to bring it."""


def find_eval_target(given: str) -> EvalTarget:
    """A run directory by its config.yaml; everything else is a model's name.

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


def load_eval_spec(subject: EvalTarget, questions: EvalSource, overrides: Sequence[str] = ()) -> EvalSpec:
    """Reads what is to be asked. `overrides` change the settings of the run, or the defaults where there is none.

    Raises:
        ConfigError: there is nothing to ask.
        DataError: the problems cannot be read, or there are none.
    """
    if questions.data is None and questions.task is None and subject.run is None:
        raise ConfigError(
            f"nothing to ask {subject.label}: give --data with --grader, or --task, or a run directory, which has both"
        )
    base = None if subject.run is None else subject.run.config
    config = load_config(base, [*_sources(questions), *_second(questions), *overrides])
    paper = _collect(subject, questions, config)
    if not paper.examples:
        raise DataError(f"{paper.place} to ask: nothing was held out; give --data")
    return paper


def _sources(questions: EvalSource) -> list[str]:
    """Where the problems come from, in place of where a run took its own."""
    if questions.data is not None:
        return ["data.task=null", "data.eval=null", f"data.train={json.dumps(questions.data)}"]
    if questions.task is None:
        return []
    without = ["data.train=null", "data.eval=null", "data.columns={}", "data.system_prompt=null", "grader=null"]
    # A task says how long its answers are.
    return [*without, f"data.task={questions.task}", "sampling.max_new_tokens=null"]


def _second(questions: EvalSource) -> list[str]:
    second = questions.second_grader
    return [] if second is None else [f"evaluation.grader={second.model_dump_json()}"]


def _collect(subject: EvalTarget, questions: EvalSource, config: RunConfig) -> EvalSpec:
    longest = config.sampling.max_new_tokens
    if questions.data is not None:
        assert config.data.train is not None, "the file stands in its place"
        rows = read_examples(config.data.train, config.data.columns, config.data.system_prompt)
        own = None if _brings_its_own(subject) else config.grader
        return _paper(questions, config, rows, own, questions.data, longest or MAX_NEW_TOKENS)
    if questions.task is not None:
        assert config.data.task is not None, "likewise"
        size = questions.limit or config.data.eval_size
        task = load_task(config.data.task, seed=config.run.seed, train_size=0, held_out_size=size)
        return _paper(questions, config, task.held_out, task.grader, task.name, longest or task.max_new_tokens)
    try:
        inputs = load_inputs(config)
    except DataError as error:
        raise DataError(f"{error}; or give the problems to ask with --data") from error
    own = None if _brings_its_own(subject) else inputs.grader
    return _paper(
        questions, config, inputs.held_out, own, f"{subject.label} (held out)", longest or inputs.answer_tokens
    )


def _paper(
    questions: EvalSource,
    config: RunConfig,
    examples: Sequence[Example],
    own_grader: AnyGrader | None,
    place: str,
    longest: int,
) -> EvalSpec:
    chosen = examples[: questions.limit]
    return EvalSpec(
        config=config,
        max_new_tokens=longest,
        examples=chosen,
        place=f"{pluralize(len(chosen), 'problem')} of {place}",
        grader=questions.grader or own_grader,
    )


def _brings_its_own(subject: EvalTarget) -> bool:
    """Whether a Python program graded the run: then no grader that is written down is the run's."""
    run = subject.run
    return run is not None and run.environment.exists() and read_environment(run.environment).own_grader
