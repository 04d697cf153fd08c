"""OpenAI's string check, executed."""

from __future__ import annotations

from typing import assert_never

from verifine.config.graders import StringCheckGraderConfig
from verifine.graders.template import render, render_reference
from verifine.types import Grade, Sample


class StringCheckGrader:
    """1 if the comparison of two rendered texts holds, else 0."""

    def __init__(self, config: StringCheckGraderConfig) -> None:
        self._config = config

    def grade_one(self, sample: Sample) -> Grade:
        # The reference first: a row without it is unscorable, whatever the answer lacks.
        reference = render_reference(self._config.reference, sample)
        holds = self._holds(render(self._config.input, sample), reference)
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
