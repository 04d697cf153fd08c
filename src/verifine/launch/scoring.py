"""The grader of a run: built from its config, or brought by the program that calls."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from verifine.assemble import RunInputs
from verifine.config import AnyGrader, RunConfig
from verifine.errors import ConfigError
from verifine.graders import CallableGrader, GradeFunction, Grader, Services, build_grader
from verifine.graders.sandbox import Level
from verifine.preflight.ready import Scoring


def services_for(config: RunConfig, *, unsafe_grader_exec: bool = False) -> Services:
    """What the graders of a run work with on this machine."""
    level = Level.UNSAFE if unsafe_grader_exec else None
    return Services(grading=config.grading, environment=dict(os.environ), level=level)


@contextmanager
def open_grader(
    inputs: RunInputs, grader: Grader | GradeFunction | None, unsafe_grader_exec: bool
) -> Iterator[Scoring]:
    """The graders of a run; those that are built here are closed afterwards.

    Raises:
        ConfigError: there is none.
        GraderError: one cannot be built.
    """
    if grader is None and inputs.grader is None:
        raise ConfigError(
            "grader: missing; data of your own needs one, for example {type: answer, compare: number}. "
            "See `verifine train --help` for the presets."
        )
    services = services_for(inputs.config, unsafe_grader_exec=unsafe_grader_exec)
    with ExitStack() as built:

        def build(config: AnyGrader) -> Grader:
            made = build_grader(config, services)
            built.callback(made.close)
            return made

        second = inputs.config.evaluation.grader
        truth = None if second is None else build(second)
        if grader is not None:
            yield Scoring(grader=CallableGrader(grader) if callable(grader) else grader, config=None, truth=truth)
        elif inputs.grader is not None:
            yield Scoring(grader=build(inputs.grader), config=inputs.grader, truth=truth)
