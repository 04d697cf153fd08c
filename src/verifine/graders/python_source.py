"""OpenAI's Python grader, executed: the user's `grade(sample, item)` in a child process with a time limit.

The child keeps a crash, an endless loop or a stray print from harming the run. It is no sandbox: it may read files
and use the network, so use source you trust.
"""

from __future__ import annotations

from collections.abc import Sequence

from verifine.config.graders import PythonGrader
from verifine.errors import GraderError
from verifine.graders.python_child import PythonChild
from verifine.graders.sample import sample_fields
from verifine.graders.scores import grade_from
from verifine.types import Grade, Sample

LOAD_TIMEOUT_S = 60.0
"""Seconds that loading the source may take: importing a large package takes longer than grading with it."""


class PythonSource:
    """Keeps one child; after a failure that ends it, the next sample gets a new one."""

    def __init__(self, config: PythonGrader, *, load_timeout_s: float = LOAD_TIMEOUT_S) -> None:
        self._config = config
        self._load_timeout_s = load_timeout_s
        try:
            self._child = self._start()
        except GraderError as error:
            raise GraderError(f'grader "{config.name}": {error}') from error

    def grade(self, samples: Sequence[Sample]) -> list[Grade]:
        return [self._grade_one(sample) for sample in samples]

    def close(self) -> None:
        """End the child; grading again would start another."""
        self._child.end()

    def _grade_one(self, sample: Sample) -> Grade:
        request = {"sample": sample_fields(sample), "item": dict(sample.item)}
        try:
            if not self._child.is_idle():
                self._child.end()
                self._child = self._start()
            answer = self._child.ask(request, self._config.timeout_s)
        except GraderError as error:
            return Grade.unscorable(str(error))
        except (TypeError, ValueError, RecursionError) as error:
            return Grade.unscorable(f"the row cannot be sent to the grader as JSON: {error}")
        if "error" in answer:
            return Grade.unscorable(str(answer["error"]))
        return grade_from(answer.get("score"), name=self._config.name)

    def _start(self) -> PythonChild:
        """A child that has loaded the source."""
        child = PythonChild()
        try:
            answer = child.ask({"source": self._config.source}, self._load_timeout_s)
        except GraderError as error:
            raise GraderError(f"its source cannot be loaded: {error}; mend the source") from error
        if "error" in answer:
            child.end()
            raise GraderError(f"its source cannot be loaded: {answer['error']}; mend the source")
        return child
