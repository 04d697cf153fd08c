"""Whether the answer decides for the right choice."""

from __future__ import annotations

from collections.abc import Sequence

from verifine.config.graders import ChoiceGraderConfig
from verifine.errors import GraderError
from verifine.graders.decision import Choices
from verifine.graders.template import MissingFieldError, render
from verifine.types import Grade, Sample

MAX_SHOWN = 60


class ChoiceGrader:
    """`format_weight` for deciding, and the rest for deciding right."""

    def __init__(self, config: ChoiceGraderConfig) -> None:
        self._config = config
        self._choices = Choices(config.choices)

    def grade(self, samples: Sequence[Sample]) -> list[Grade]:
        return [self._grade_one(sample) for sample in samples]

    def close(self) -> None:
        """Nothing is held."""

    def _grade_one(self, sample: Sample) -> Grade:
        try:
            # The reference first: a row without it is unscorable, whatever the answer lacks.
            wanted = self._reference(sample)
            decision = self._choices.decide(render(self._config.input, sample))
        except MissingFieldError as error:
            return error.grade()
        except GraderError as error:
            return Grade.unscorable(str(error))
        format_ok, answer_ok = decision is not None, decision == wanted
        weight = self._config.format_weight
        return Grade(
            score=weight * format_ok + (1 - weight) * answer_ok,
            parts={"format": float(format_ok), "answer": float(answer_ok)},
            format_ok=format_ok,
            answer_ok=answer_ok,
        )

    def _reference(self, sample: Sample) -> str:
        text = render(self._config.reference, sample)
        choice = self._choices.find(text)
        if choice is None:
            known = ", ".join(self._config.choices)
            raise GraderError(f'the reference "{text[:MAX_SHOWN]}" is none of {known}; mend the row, or `choices`')
        return choice
