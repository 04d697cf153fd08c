"""Evaluates models on held-out problems without training them."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial

from verifine.config import NativeEngineConfig
from verifine.config.memory import Precision
from verifine.errors import ConfigError
from verifine.graders import GradeFunction, Grader
from verifine.insights.findings import Finding, by_severity, to_event
from verifine.launch.build import build_engine, build_eval_set, render_held_out, sampling_of
from verifine.launch.eval_spec import EvalSpec, EvalTarget, no_grader
from verifine.launch.facts import decide_precision
from verifine.launch.options import DEFAULT_OPTIONS, LaunchOptions
from verifine.launch.prompt_facts import describe_prompts
from verifine.launch.run_graders import RunGraders, open_graders
from verifine.machine.threads import decide_threads
from verifine.models.load import load_model
from verifine.models.provision.cache import cache_folder
from verifine.models.provision.stored import provision_model
from verifine.models.threads import use_threads
from verifine.preflight.prompts import judge_prompts
from verifine.runs.evaluations import Evaluation
from verifine.runs.events import Listener, StageBegan, tell_progress
from verifine.runs.run_config import load_run_config
from verifine.training.evaluate import evaluate_policy


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEvaluation:
    """The evaluation of one model."""

    target: EvalTarget
    evaluation: Evaluation
    precision: Precision
    """What matrix products were computed in."""
    seconds: float
    """For sampling and grading, without loading."""
    findings: tuple[Finding, ...] = ()
    """What stands out in how the chat template shows the problems."""


def evaluate_models(
    targets: Sequence[EvalTarget],
    spec: EvalSpec,
    *,
    grader: Grader | GradeFunction | None = None,
    options: LaunchOptions = DEFAULT_OPTIONS,
) -> list[ModelEvaluation]:
    """Asks every model the same problems, with the same random numbers, one model after the other.

    `grader` scores the answers in place of the spec's, as in `train`.

    Raises:
        VerifineError: there is no grader, a model or a grader cannot be used, or a problem does not fit a model.
    """
    if grader is None and spec.inputs.grader is None:
        raise ConfigError(no_grader(targets[0]))
    use_threads(decide_threads(), os.environ)
    # Measured once: a second measurement could come out differently.
    precision = decide_precision(spec.inputs.config.model.precision)
    with open_graders(spec.inputs, grader, options.services()) as graders:
        return [_evaluate_model(target, spec, graders, precision, options.tell) for target in targets]


def _evaluate_model(
    target: EvalTarget, spec: EvalSpec, graders: RunGraders, precision: Precision, tell: Listener
) -> ModelEvaluation:
    """Loads the model for this evaluation only."""
    provisioned = provision_model(target.model, cache_folder(), partial(tell_progress, tell))
    tell(StageBegan(text=f"loading {target.label}"))
    inputs = spec.inputs
    model = load_model(provisioned, precision, template_values=inputs.config.model.chat_template_kwargs)
    longest = inputs.max_new_tokens(model.context_length)
    prompts = render_held_out(inputs.held_out, model, longest)
    learned_with = None if target.run is None else load_run_config(target.run).model.chat_template_kwargs
    facts = describe_prompts(model, inputs.held_out, prompts, name=target.label, learned_with=learned_with)
    findings = tuple(by_severity(judge_prompts(facts, inputs.config.model)))
    for finding in findings:
        tell(to_event(finding))
    with closing(build_engine(NativeEngineConfig(), model)) as engine:
        eval_set = build_eval_set(
            inputs.config.evaluation,
            sampling_of(inputs.config, longest),
            replace(graders, config=inputs.grader),
            engine,
            prompts,
        )
        tell(StageBegan(text=f"asking {target.label} {len(eval_set.prompts)} problems"))
        began = time.monotonic()
        evaluation = evaluate_policy(eval_set, target.label)
    return ModelEvaluation(
        target=target,
        evaluation=evaluation,
        precision=precision,
        seconds=time.monotonic() - began,
        findings=findings,
    )
