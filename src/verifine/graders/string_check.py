"""OpenAI's string check, executed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from verifine.config.graders import StringCheckGraderConfig
from verifine.graders.template import MissingFieldError, render
from verifine.types import Grade, Sample


class StringCheckGrader:
    """1 if the comparison of two rendered texts holds, else 0."""

    def __init__(self, config: StringCheckGraderConfig) -> None:
        self._config = config

    def grade(self, samples: Sequence[Sample]) -> list[Grade]:
        return [self._grade_one(sample) for sample in samples]

    def close(self) -> None:
        """Nothing is held."""

    def _grade_one(self, sample: Sample) -> Grade:
        try:
            text = render(self._config.input, sample)
            reference = render(self._config.reference, sample)
        except MissingFieldError as error:
            return error.grade()
        holds = self._holds(text, reference)
        return Grade(score=float(holds), parts={self._config.name: float(holds)}, answer_ok=holds)

    def _holds(self, text: str, reference: str) -> bool:
        match self._config.operation:
            case "eq":
                return text == reference
            case "ne":
                return text != reference
            case "like":
                return reference in text
            case "ilike":
                return reference.casefold() in text.casefold()
            case operation:
                assert_never(operation)
