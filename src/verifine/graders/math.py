"""Whether the answer is in the right place, and equals the reference as mathematics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from verifine.config.graders import MathGraderConfig
from verifine.config.graders.template import is_output_text
from verifine.data.field_path import open_json
from verifine.graders.equivalence import AnswerPair, Equivalence, MathComparison, MathVerdict
from verifine.graders.extraction import PLACE_TAGS, extract_answer
from verifine.graders.grader import grade_together
from verifine.graders.opened import readings
from verifine.graders.reference_answers import readable_reference
from verifine.graders.sample_error import SampleError
from verifine.graders.services import Services
from verifine.graders.template import render, render_reference
from verifine.types import Grade, GradeFault, Sample


class MathGrader:
    """`format_weight` for the format, and the rest for a right answer in the right format."""

    def __init__(self, config: MathGraderConfig, services: Services) -> None:
        self._config = config
        self._equivalence = Equivalence(timeout_s=config.timeout_s, services=services)

    def grade(self, samples: Sequence[Sample]) -> list[Grade]:
        return grade_together(samples, self._read, self._grade_pairs)

    def close(self) -> None:
        self._equivalence.close()

    def _read(self, sample: Sample) -> AnswerPair | Grade:
        """What to compare, or the grade of a text in the wrong format."""
        # Before the answer, so that a broken row is unscorable whatever the model says.
        reference = readable_reference(_listed(render_reference(self._config.reference, sample))).text
        if not reference:
            raise SampleError("the reference is empty; fix the row", GradeFault.INVALID_VARIABLE)
        answer = self._find_answer(sample)
        return self._scored(0.0, format_ok=False) if answer is None else AnswerPair(answer=answer, reference=reference)

    def _find_answer(self, sample: Sample) -> str | None:
        """None: no answer is where it should be."""
        place = self._config.answer_in
        is_whole = is_output_text(self._config.input)
        texts = readings(sample, PLACE_TAGS[place]) if is_whole else (render(self._config.input, sample),)
        found = (extract_answer(text, place) for text in texts)
        return next((answer for answer in found if answer is not None), None)

    def _grade_pairs(self, pairs: Sequence[AnswerPair]) -> list[Grade]:
        compared = self._equivalence.compare(pairs)
        return [self._grade(compared[pair]) for pair in pairs]

    def _grade(self, comparison: MathComparison) -> Grade:
        if comparison.verdict is MathVerdict.FAILED:
            return Grade.unscorable(comparison.message, GradeFault.PYTHON_SERVER, comparison.seconds)
        is_late = comparison.verdict is MathVerdict.UNCHECKED
        return replace(
            self._scored(self._share(comparison.verdict), format_ok=True),
            reason=comparison.message or None,
            faults=frozenset({GradeFault.UNRESPONSIVE_REWARD} if is_late else ()),
            seconds=comparison.seconds,
        )

    def _share(self, verdict: MathVerdict) -> float:
        """How right an answer is. One that cannot be checked in time is not right."""
        match verdict:
            case MathVerdict.EQUAL:
                return 1.0
            case MathVerdict.TEXT_EQUAL:
                return self._config.text_match_score
            case _:
                return 0.0

    def _scored(self, share: float, *, format_ok: bool) -> Grade:
        weight = self._config.format_weight
        return Grade(
            score=weight * format_ok + (1 - weight) * share,
            parts={"format": float(format_ok), "answer": share},
            format_ok=format_ok,
            answer_ok=share > 0,
        )


def _listed(reference: str) -> str:
    """A JSON list of texts as a list of answers: 1, 2 for ["1", "2"]. [1, 2] is an interval."""
    values = open_json(reference) if reference.lstrip().startswith('["') else None
    texts = [value for value in values if isinstance(value, str)] if isinstance(values, list) else []
    return ", ".join(texts) if isinstance(values, list) and len(texts) == len(values) else reference
