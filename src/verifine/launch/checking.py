"""The check before training, and a dry run."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace

from verifine.config import RunConfig
from verifine.config.resolve import ResolvedConfig
from verifine.graders import GradeFunction, Grader
from verifine.insights.findings import Finding, by_severity
from verifine.launch.build import BuiltRun, build_run, fetch_model
from verifine.launch.facts import find_facts
from verifine.launch.inputs import RunInputs, load_inputs
from verifine.launch.options import DEFAULT_OPTIONS, LaunchOptions
from verifine.launch.prompt_facts import find_prompt_facts
from verifine.launch.rehearsal import rehearse_elsewhere
from verifine.launch.run_graders import RunGraders, open_graders
from verifine.models.chat.prompt import prompt_text
from verifine.models.policy import ModelPolicy
from verifine.preflight.check import Extent, LoadedRun, NoGoError, check_inputs, check_memory, check_model, refuse_no_go
from verifine.preflight.prompts import judge_prompts
from verifine.preflight.report import Report
from verifine.runs.directory import RunDirectory
from verifine.runs.events import Listener, StageBegan

SHOWN_PROMPTS = 2

CHECKED_ROWS = 16
"""Prompts that `check_run` asks; before training the check asks those of one step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """What `dry_run` found."""

    config: ResolvedConfig
    model: str
    train_examples: int
    held_out_examples: int
    prompt_texts: tuple[str, ...]
    """The first prompts of the run as the model would read them."""
    findings: tuple[Finding, ...]
    """What stands out in how the chat template shows the rows."""


def dry_run(config: RunConfig, options: LaunchOptions = DEFAULT_OPTIONS) -> DryRun:
    """Does everything up to the first sample: reads the data, builds the grader, loads the model, renders prompts.

    Raises:
        VerifineError: anything that `train` would refuse before it begins.
    """
    RunDirectory.check_free(config.run.directory)
    inputs = load_inputs(config)
    with open_graders(inputs, None, options.services()) as graders:
        files = fetch_model(inputs.config, options.tell)
        built = build_run(inputs, graders, files, find_facts(inputs, files), options.tell)
        with closing(built):
            rehearse_elsewhere(built)
            facts = find_prompt_facts(inputs, built)
    prompts = built.trainer.source.draw(0, SHOWN_PROMPTS)
    return DryRun(
        config=built.config,
        train_examples=len(inputs.train),
        held_out_examples=len(built.eval_set.prompts),
        prompt_texts=tuple(prompt_text(built.model, prompt) for prompt in prompts),
        findings=tuple(by_severity(judge_prompts(facts, config.model))),
        model=f"{built.model.name}, {built.model.parameter_count / 1e6:.0f} M weights, from the {built.files.source}",
    )


def check_run(
    config: RunConfig,
    *,
    grader: Grader | GradeFunction | None = None,
    extent: Extent | None = None,
    options: LaunchOptions = DEFAULT_OPTIONS,
) -> Report:
    """Checks data, grader and model, and trains nothing. A blocker in the data or the grader ends it before the model.

    `extent` None asks CHECKED_ROWS prompts.

    Raises:
        VerifineError: anything that `train` would refuse.
    """
    inputs = load_inputs(config)
    with open_graders(inputs, grader, options.services()) as graders:
        try:
            extent = extent or Extent(rows=CHECKED_ROWS)
            built, report = build_checked(inputs, graders, options.tell, extent, rehearse_elsewhere)
        except NoGoError as error:
            return error.report
        built.close()
        return report


def build_checked(
    inputs: RunInputs,
    graders: RunGraders,
    tell: Listener,
    extent: Extent,
    rehearse: Callable[[BuiltRun], None],
) -> tuple[BuiltRun, Report]:
    """Builds a run and checks it meanwhile, so that most blockers are found before the model is loaded.

    `rehearse` tries what the end of the run does, before the model is asked anything. The caller closes the run.

    Raises:
        NoGoError: as soon as a blocker is found.
        VerifineError: the model or the data cannot be used.
    """
    tell(StageBegan(text="trying the grader"))
    report = refuse_no_go(
        check_inputs(
            inputs.config,
            inputs.train,
            inputs.held_out,
            graders.grader,
            graders.config,
            time.monotonic,
            second=graders.second,
        )
    )
    files = fetch_model(inputs.config, tell)
    facts = find_facts(inputs, files)
    report = refuse_no_go(check_memory(report, facts.resolve(inputs.config), facts.model, facts.machine))
    built = build_run(inputs, graders, files, facts, tell)
    loaded = LoadedRun(
        config=built.config,
        trainer=built.trainer,
        policy=ModelPolicy(built.model),
        held_out=len(built.eval_set.prompts),
    )
    try:
        rehearse(built)
        report = replace(report, prompts=find_prompt_facts(inputs, built))
        tell(StageBegan(text="asking the model before it has learned anything"))
        return built, refuse_no_go(check_model(report, loaded, extent))
    except BaseException:
        built.close()
        raise
