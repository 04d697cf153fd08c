"""The two graders that ask a judge."""

from __future__ import annotations

from collections.abc import Sequence

from verifine.config.graders import LabelModelGrader, ScoreModelGrader
from verifine.graders.judge.judging import Judging
from verifine.graders.judge.question import Question, label_question, score_question
from verifine.graders.services import Services
from verifine.types import Grade, Sample


class ScoreModel:
    """The number that the judge gives, clipped to the range; unscorable where it gives none."""

    def __init__(self, config: ScoreModelGrader, services: Services) -> None:
        """GraderError if there is no judge to ask."""
        self._judging = _judging(score_question(config), services)

    def grade(self, samples: Sequence[Sample]) -> list[Grade]:
        return self._judging.grade(samples)

    def close(self) -> None:
        """Give the connections back."""
        self._judging.close()


class LabelModel:
    """1 if the judge chooses a passing label, else 0; unscorable where it chooses none."""

    def __init__(self, config: LabelModelGrader, services: Services) -> None:
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
