"""The two graders that ask a judge."""

from __future__ import annotations

from collections.abc import Sequence

from verifine.config.graders import LabelModelGraderConfig, ScoreModelGraderConfig
from verifine.graders.judge.judging import Judging
from verifine.graders.judge.question import Question, label_question, score_question
from verifine.graders.services import Services
from verifine.types import Grade, Sample


class ScoreModelGrader:
    """The number that the judge gives, clipped to the range; unscorable where it gives none."""

    def __init__(self, config: ScoreModelGraderConfig, services: Services) -> None:
        """GraderError if there is no judge to ask."""
        self._judging = _judging(score_question(config), services)

    def grade(self, samples: Sequence[Sample]) -> list[Grade]:
        return self._judging.grade(samples)

    def close(self) -> None:
        """Give the connections back."""
        self._judging.close()


class LabelModelGrader:
    """1 if the judge chooses a passing label, else 0; unscorable where it chooses none."""

    def __init__(self, config: LabelModelGraderConfig, services: Services) -> None:
        """GraderError if there is no judge to ask."""
        self._judging = _judging(label_question(config), services)

    def grade(self, samples: Sequence[Sample]) -> list[Grade]:
        return self._judging.grade(samples)

    def close(self) -> None:
        """Give the connections back."""
        self._judging.close()


def _judging(question: Question, services: Services) -> Judging:
    server = services.judge()
    return Judging(question, base_url=server.base_url, lease=services.lease(server))
