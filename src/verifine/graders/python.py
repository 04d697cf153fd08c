"""OpenAI's Python grader, executed: `grade(sample, item)` in the sandbox, in a fresh process for each sample."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack

from verifine.config.graders import PythonGraderConfig
from verifine.errors import GraderError
from verifine.graders.grader import grade_together
from verifine.graders.returned import grade_from
from verifine.graders.sample import sample_fields
from verifine.graders.sample_error import SampleError
from verifine.graders.sandbox import Call, CallFault, Limits, Outcome, Sandbox
from verifine.graders.sandbox.programs import program_source
from verifine.graders.services import Services
from verifine.types import Grade, GradeFault, Json, Sample

PRELOADED = (
    "deepdiff",
    "jsonschema",
    "latex2sympy2_extended",
    "lxml",
    "math_verify",
    "networkx",
    "nltk",
    "numpy",
    "pandas",
    "pydantic",
    "rapidfuzz",
    "regex",
    "rouge_score",
    "sacrebleu",
    "scipy",
    "sklearn",
    "sqlparse",
    "sympy",
    "yaml",
)
"""Packages that take long to import. Those that a source imports are imported once, not for each sample."""


class PythonGrader:
    """Loads the source once to check it, then again for each sample, so that samples cannot affect each other."""

    def __init__(self, config: PythonGraderConfig, services: Services) -> None:
        self._config = config
        self._probe = program_source("probe")
        self._limits = Limits(wall_s=config.timeout_s, cpu_s=config.timeout_s, memory_bytes=config.memory_mb << 20)
        self._sandbox = self._open(services)
        with ExitStack() as on_failure:
            on_failure.callback(self.close)
            if modules := self._find_modules():
                self._sandbox.close()
                self._sandbox = self._open(services, preload=modules)
            self._check_source()
            on_failure.pop_all()

    def grade(self, samples: Sequence[Sample]) -> list[Grade]:
        return grade_together(samples, self._call, self._run)

    def close(self) -> None:
        self._sandbox.close()

    def _open(self, services: Services, *, preload: Sequence[str] = ()) -> Sandbox:
        workers = services.grading.workers
        return Sandbox(level=services.level, workers=workers, preload=preload, limits=self._limits)

    def _find_modules(self) -> list[str]:
        arguments: tuple[Json, ...] = (self._config.source, list(PRELOADED))
        (outcome,) = self._sandbox.run([Call(source=self._probe, function="find_modules", arguments=arguments)])
        modules = outcome.value if isinstance(outcome.value, list) else []
        return [name for name in modules if isinstance(name, str)]

    def _check_source(self) -> None:
        call = Call(source=self._probe, function="load", arguments=(self._config.source,))
        (outcome,) = self._sandbox.run([call])
        problem = outcome.message if outcome.fault is not None else outcome.value
        if problem is not None:
            raise GraderError(f'grader "{self._config.name}": its source cannot be loaded: {problem}; fix the source')

    def _run(self, calls: Sequence[Call]) -> list[Grade]:
        return [grade_of(outcome, name=self._config.name) for outcome in self._sandbox.run(calls)]

    def _call(self, sample: Sample) -> Call:
        arguments = (sample_fields(sample), dict(sample.item))
        try:
            json.dumps(arguments)
        except (TypeError, ValueError, RecursionError) as error:
            reason = f"the row cannot be sent to the grader as JSON: {error}"
            raise SampleError(reason, GradeFault.INVALID_VARIABLE) from error
        return Call(source=self._config.source, function="grade", arguments=arguments)


def grade_of(outcome: Outcome, *, name: str) -> Grade:
    """The grade for the outcome of a call of `grade`."""
    match outcome.fault:
        case None:
            return grade_from(outcome.value, name=name, seconds=outcome.seconds)
        case CallFault.SANDBOX:
            faults = {GradeFault.PYTHON_SERVER}
        case CallFault.TIMEOUT:
            faults = {GradeFault.PYTHON_RUNTIME, GradeFault.UNRESPONSIVE_REWARD}
        case _:
            faults = {GradeFault.PYTHON_RUNTIME}
    return Grade(score=None, reason=outcome.message, faults=frozenset(faults), seconds=outcome.seconds)
