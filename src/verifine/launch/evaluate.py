"""How good models are on held-out problems, without training them."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import torch

from verifine.config import EngineConfig
from verifine.errors import ConfigError
from verifine.graders import GradeFunction, Grader
from verifine.launch.build import build_engine, build_eval_set, render_held_out, sampling_of
from verifine.launch.eval_spec import EvalSpec, EvalTarget
from verifine.launch.inputs import RunInputs
from verifine.launch.run_graders import RunGraders, open_graders
from verifine.machine.threads import decide_threads
from verifine.models.load import load_model
from verifine.models.provision import cache_folder, provision_model
from verifine.models.threads import use_threads
from verifine.runs.evaluations import Evaluation
from verifine.runs.events import Listener, StageBegan, ignore, tell_progress
from verifine.training.evaluate import evaluate_policy

Precision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEvaluation:
    """What came out for one model."""

    subject: EvalTarget
    evaluation: Evaluation
    precision: Literal["float32", "bfloat16"]
    """What matrix products were computed in."""
    seconds: float
    """Of asking and judging; loading not included."""


def evaluate_models(
    subjects: Sequence[EvalTarget],
    paper: EvalSpec,
    *,
    grader: Grader | GradeFunction | None = None,
    tell: Listener = ignore,
    unsafe_grader_exec: bool = False,
) -> list[ModelEvaluation]:
    """Asks every model the same problems, with the same random numbers, one model after the other.

    `grader` scores the answers in place of the paper's, as in `train`.

    Raises:
        VerifineError: there is no grader, a model or a grader cannot be used, or a problem does not fit a model.
    """
    if grader is None and paper.grader is None:
        raise ConfigError(
            "no grader to judge with: give --grader (a run that a Python program graded does not save its function)"
        )
    use_threads(decide_threads(), os.environ)
    inputs = RunInputs(
        config=paper.config,
        train=(),
        held_out=paper.examples,
        grader=paper.grader,
        answer_tokens=paper.max_new_tokens,
    )
    examined: list[ModelEvaluation] = []
    precision: Precision = paper.config.model.precision
    with open_graders(inputs, grader, unsafe_grader_exec) as graders:
        for subject in subjects:
            examined.append(_examine(subject, paper, graders, precision, tell))
            # As the first one is computed: what is measured anew could come out differently.
            precision = examined[0].precision
    return examined


def _examine(
    subject: EvalTarget, paper: EvalSpec, graders: RunGraders, precision: Precision, tell: Listener
) -> ModelEvaluation:
    """Loads the model and lets go of it again."""
    provisioned = provision_model(subject.model, cache_folder(), partial(tell_progress, tell))
    tell(StageBegan(text=f"loading {subject.label}"))
    model = load_model(provisioned, precision)
    prompts = render_held_out(paper.examples, model, paper.max_new_tokens)
    eval_set = build_eval_set(
        paper.config.evaluation,
        sampling_of(paper.config, paper.max_new_tokens),
        replace(graders, config=paper.grader),
        build_engine(EngineConfig(), model),
        prompts,
    )
    tell(StageBegan(text=f"asking {subject.label} {len(eval_set.prompts)} problems"))
    began = time.monotonic()
    evaluation = evaluate_policy(eval_set, subject.label)
    return ModelEvaluation(
        subject=subject,
        evaluation=evaluation,
        precision="bfloat16" if model.compute_dtype == torch.bfloat16 else "float32",
        seconds=time.monotonic() - began,
    )
