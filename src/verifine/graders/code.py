"""Whether the Python program in the answer passes the row's tests. It gets only inputs; outputs are compared here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from verifine.config.graders import CodeGraderConfig
from verifine.graders.code_cases import Case, Cases, read_cases
from verifine.graders.extraction import find_program
from verifine.graders.grader import grade_together
from verifine.graders.sandbox import Call, CallFault, Limits, Outcome, Sandbox
from verifine.graders.sandbox.programs import program_source
from verifine.graders.services import Services
from verifine.types import Grade, GradeFault, Sample

MAX_CHARACTERS = 100_000
"""A longer program is not run."""
MAX_FAILED_TIMEOUTS = 2
"""A program whose failed tests took this many times `timeout_s` fails the others without being run."""
SPARE_BYTES = 64 << 10
"""What a program may print or return beyond the length of the expected output."""

_PRELOAD = (
    "bisect",
    "collections",
    "datetime",
    "decimal",
    "fractions",
    "heapq",
    "itertools",
    "random",
    "string",
    "typing",
)
"""What programs import most often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """A program and its tests."""

    program: str
    tests: Cases


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """What came of one test."""

    passed: bool
    outcome: Outcome


class CodeGrader:
    """`format_weight` for a block of code, and the rest for passing the tests, each in a process of its own."""

    def __init__(self, config: CodeGraderConfig, services: Services) -> None:
        self._config = config
        self._driver = program_source("program_call")
        self._limits = Limits(wall_s=config.timeout_s, cpu_s=config.timeout_s, memory_bytes=config.memory_mb << 20)
        workers = services.grading.workers
        self._sandbox = Sandbox(level=services.level, workers=workers, preload=_PRELOAD, limits=self._limits)

    def grade(self, samples: Sequence[Sample]) -> list[Grade]:
        return grade_together(samples, self._read, self._run)

    def close(self) -> None:
        self._sandbox.close()

    def _read(self, sample: Sample) -> _Task | Grade:
        """What to run, or the grade of an answer without a program."""
        # Before the answer, so that a broken row is unscorable whatever the model says.
        tests = read_cases(sample.item, self._config.tests)
        program = find_program(sample.output_text)
        if program is None:
            return _scored(0.0, format_ok=False, config=self._config)
        if len(program) > MAX_CHARACTERS:
            reason = f"the program has more than {MAX_CHARACTERS} characters"
            return replace(_scored(0.0, format_ok=True, config=self._config), reason=reason)
        return _Task(program=program, tests=tests)

    def _run(self, tasks: Sequence[_Task]) -> list[Grade]:
        """In waves over all tasks, so that a program that fails early costs little and the workers stay busy."""
        results: list[list[CaseResult]] = [[] for _ in tasks]
        while wave := [
            (task, done, case)
            for task, done in zip(tasks, results, strict=True)
            for case in self._next_cases(task, done)
        ]:
            outcomes = self._sandbox.run([self._call(task, case) for task, _, case in wave])
            for (task, done, case), outcome in zip(wave, outcomes, strict=True):
                passed = case.passes(outcome, is_function=task.tests.function is not None)
                done.append(CaseResult(passed=passed, outcome=outcome))
        return [
            grade_cases(done, total=len(task.tests.cases), config=self._config)
            for task, done in zip(tasks, results, strict=True)
        ]

    def _next_cases(self, task: _Task, done: Sequence[CaseResult]) -> Sequence[Case]:
        """One test, then as many again as were run so far; none once the grade is known."""
        failed = [result.outcome for result in done if not result.passed]
        is_failed = self._config.scoring == "all" and bool(failed)
        is_broken = any(outcome.fault is CallFault.SANDBOX for outcome in failed)
        # Not by counting time-outs: a program may sleep until just before its time is up.
        is_slow = sum(outcome.seconds for outcome in failed) >= MAX_FAILED_TIMEOUTS * self._config.timeout_s
        if is_failed or is_broken or is_slow:
            return ()
        return task.tests.cases[len(done) : 2 * len(done) or 1]

    def _call(self, task: _Task, case: Case) -> Call:
        size = case.expected_bytes + SPARE_BYTES
        limits = replace(self._limits, answer_bytes=size, output_bytes=size)
        if task.tests.function is None:
            return Call(source=task.program, stdin=case.stdin, limits=limits)
        arguments = (task.program, task.tests.function, list(case.arguments))
        return Call(source=self._driver, function="call", arguments=arguments, limits=limits)


def grade_cases(results: Sequence[CaseResult], *, total: int, config: CodeGraderConfig) -> Grade:
    """The grade of a program. Tests that were not run count as failed."""
    seconds = sum(result.outcome.seconds for result in results)
    broken = next((result for result in results if result.outcome.fault is CallFault.SANDBOX), None)
    is_wrong = any(not result.passed and result.outcome.fault is not CallFault.SANDBOX for result in results)
    if broken is not None and not (is_wrong and config.scoring == "all"):
        return Grade.unscorable(broken.outcome.message, GradeFault.PYTHON_SERVER, seconds)
    share = sum(result.passed for result in results) / total
    if config.scoring == "all":
        share = float(share == 1)
    failed = next((number for number, result in enumerate(results) if not result.passed), None)
    reason = None if failed is None else f"test {failed + 1} of {total}: {_problem(results[failed].outcome)}"
    return replace(_scored(share, format_ok=True, config=config), reason=reason, seconds=seconds)


def _scored(share: float, *, format_ok: bool, config: CodeGraderConfig) -> Grade:
    return Grade(
        score=config.format_weight * format_ok + (1 - config.format_weight) * share,
        parts={"format": float(format_ok), "tests": share},
        format_ok=format_ok,
        answer_ok=share == 1,
    )


def _problem(outcome: Outcome) -> str:
    return outcome.message if outcome.fault is not None else "its output is not the expected one"
