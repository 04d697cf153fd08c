"""Whether the answer names the right choice."""

from __future__ import annotations

from verifine.config.graders import ChoiceGraderConfig
from verifine.config.graders.template import is_output_text
from verifine.graders.decision import Choices
from verifine.graders.opened import with_opened
from verifine.graders.reference_answers import reference_answer
from verifine.graders.sample_error import SampleError
from verifine.graders.template import render, render_reference
from verifine.types import Grade, Sample

MAX_SHOWN = 60


class ChoiceGrader:
    """`format_weight` for naming one choice, and the rest for naming the right one."""

    def __init__(self, config: ChoiceGraderConfig) -> None:
        self._config = config
        self._choices = Choices(config.choices)

    def grade_one(self, sample: Sample) -> Grade:
        # The reference first: a row without it is unscorable, whatever the answer lacks.
        wanted = self._reference(sample)
        is_whole = is_output_text(self._config.input)
        text = with_opened(sample, ("answer",)) if is_whole else render(self._config.input, sample)
        decision = self._choices.decide(text)
        format_ok, answer_ok = decision is not None, decision == wanted
        weight = self._config.format_weight
        return Grade(
            score=weight * format_ok + (1 - weight) * answer_ok,
            parts={"format": float(format_ok), "answer": float(answer_ok)},
            format_ok=format_ok,
            answer_ok=answer_ok,
        )

    def _reference(self, sample: Sample) -> str:
        text = render_reference(self._config.reference, sample)
        choice = self._choices.find(text) or self._choices.find(reference_answer(text).text)
        if choice is None:
            known = ", ".join(self._config.choices)
            raise SampleError(f'the reference "{text[:MAX_SHOWN]}" is not one of {known}; fix the row, or `choices`')
        return choice
