"""The graders of a run: built from its config, or passed in by the caller."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from verifine.config import AnyGrader
from verifine.errors import ConfigError
from verifine.graders import GradeFunction, Grader, Services, build_grader, callable_grader
from verifine.launch.inputs import RunInputs


@dataclass(frozen=True, slots=True, kw_only=True)
class RunGraders:
    """The graders of a run."""

    grader: Grader
    """The training grader."""
    config: AnyGrader | None
    """The config of `grader`; None: a Python program passed it in."""
    second: Grader | None = None
    """The second grader, which training never sees; None: there is none."""


@contextmanager
def open_graders(inputs: RunInputs, grader: Grader | GradeFunction | None, services: Services) -> Iterator[RunGraders]:
    """The graders of a run; `grader` replaces that of the config. Those that are built here are closed afterwards.

    Raises:
        ConfigError: there is none.
        GraderError: one cannot be built.
    """
    if grader is None and inputs.grader is None:
        raise ConfigError(
            "grader: missing; data of your own needs one, for example {type: answer, compare: number}. "
            "See `verifine train --help` for the presets."
        )
    services = services.for_run(inputs.config.grading)
    with ExitStack() as built:

        def build(config: AnyGrader) -> Grader:
            made = build_grader(config, services)
            built.callback(made.close)
            return made

        second_config = inputs.config.evaluation.grader
        second = None if second_config is None else build(second_config)
        if grader is not None:
            yield RunGraders(grader=callable_grader(grader) if callable(grader) else grader, config=None, second=second)
        elif inputs.grader is not None:
            yield RunGraders(grader=build(inputs.grader), config=inputs.grader, second=second)
