"""Whether the whole answer matches a regular expression."""

from __future__ import annotations

import re
from collections.abc import Sequence

from verifine.config.graders import FormatGrader
from verifine.types import Grade, Sample

MAX_CHARACTERS = 20_000
"""Longer answers are not matched: some expressions take time that grows with the square of the length, or worse."""


class FormatCheck:
    """1 if the whole answer matches, else 0; unscorable beyond MAX_CHARACTERS, since nobody looked."""

    def __init__(self, config: FormatGrader) -> None:
        self._name = config.name
        self._pattern = re.compile(config.pattern, re.DOTALL)

    def grade(self, samples: Sequence[Sample]) -> list[Grade]:
        return [self._grade_one(sample) for sample in samples]

    def close(self) -> None:
        """Nothing is held."""

    def _grade_one(self, sample: Sample) -> Grade:
        text = sample.output_text
        if len(text) > MAX_CHARACTERS:
            return Grade.unscorable(f"the answer has {len(text)} characters; at most {MAX_CHARACTERS} are matched")
        matches = self._pattern.fullmatch(text) is not None
        return Grade(score=float(matches), parts={self._name: float(matches)}, format_ok=matches)
