"""What can be tried before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass

from verifine.assemble import load_inputs
from verifine.config import RunConfig
from verifine.graders import GradeFunction, Grader
from verifine.launch.observer import SILENT, Observer
from verifine.launch.scoring import open_grader
from verifine.models.chat import prompt_text
from verifine.preflight.check import Extent, NoGoError
from verifine.preflight.ready import prepare
from verifine.preflight.report import Report
from verifine.runs.directory import RunDirectory

REHEARSED_PROMPTS = 2

CHECKED_ROWS = 16
"""Prompts that a check of its own asks; before training it asks those of one step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """What `dry_run` found."""

    config: RunConfig
    """Resolved."""
    model: str
    train_examples: int
    held_out_examples: int
    prompt_texts: tuple[str, ...]
    """The first prompts of the run as the model would read them."""


def dry_run(config: RunConfig, observer: Observer = SILENT, *, unsafe_grader_exec: bool = False) -> DryRun:
    """Does everything up to the first sample: reads the data, builds the grader, loads the model, renders prompts.

    Raises:
        VerifineError: whatever `train` would have found wrong before it began.
    """
    RunDirectory.check_free(config.run.directory)
    inputs = load_inputs(config)
    with open_grader(inputs, None, unsafe_grader_exec) as scoring:
        ready = prepare(inputs, scoring, observer)
    prompts = ready.trainer.source.draw(0, REHEARSED_PROMPTS)
    return DryRun(
        config=ready.config,
        train_examples=len(inputs.train),
        held_out_examples=len(ready.eval_set.prompts),
        prompt_texts=tuple(prompt_text(ready.model, prompt) for prompt in prompts),
        model=f"{ready.model.name}, {ready.model.parameter_count / 1e6:.0f} M weights, from the {ready.source.source}",
    )


def check_run(
    config: RunConfig,
    *,
    grader: Grader | GradeFunction | None = None,
    observer: Observer = SILENT,
    extent: Extent | None = None,
    unsafe_grader_exec: bool = False,
) -> Report:
    """Tries data, grader and model, and trains nothing. A blocker in the data or the grader leaves the model unasked.

    `extent` None asks CHECKED_ROWS prompts.

    Raises:
        VerifineError: what `train` would refuse anyway.
    """
    inputs = load_inputs(config)
    with open_grader(inputs, grader, unsafe_grader_exec) as scoring:
        try:
            report = prepare(inputs, scoring, observer, extent=extent or Extent(rows=CHECKED_ROWS)).report
        except NoGoError as error:
            return error.report
    assert report is not None
    return report
