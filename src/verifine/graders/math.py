"""Whether the answer stands where it should, and is the reference as mathematics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from verifine.config.graders import MathGraderConfig
from verifine.graders.equivalence import AnswerPair, Equivalence, MathComparison, MathVerdict
from verifine.graders.extraction import extract_answer
from verifine.graders.services import Services
from verifine.graders.template import MissingFieldError, render
from verifine.types import Grade, GradeFault, Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """A sample that can be judged."""

    pair: AnswerPair | None
    """None: the text has not the right format."""


class MathGrader:
    """`format_weight` for the format, and the rest for a right answer in the right format."""

    def __init__(self, config: MathGraderConfig, services: Services) -> None:
        self._config = config
        self._equivalence = Equivalence(timeout_s=config.timeout_s, services=services)

    def grade(self, samples: Sequence[Sample]) -> list[Grade]:
        tasks = [self._read(sample) for sample in samples]
        pairs = [task.pair for task in tasks if isinstance(task, _Task) and task.pair is not None]
        compared = self._equivalence.compare(pairs)
        return [self._grade(task, compared) if isinstance(task, _Task) else task for task in tasks]

    def close(self) -> None:
        self._equivalence.close()

    def _read(self, sample: Sample) -> _Task | Grade:
        """What to compare, or the grade where there is nothing to compare."""
        try:
            # Before the answer, so that a broken row is unscorable whatever the model says.
            reference = render(self._config.reference, sample)
            if not reference.strip():
                return Grade.unscorable("the reference is empty; mend the row", GradeFault.INVALID_VARIABLE)
            text = render(self._config.input, sample)
        except MissingFieldError as error:
            return error.grade()
        answer = extract_answer(text, self._config.answer_in)
        return _Task(pair=None if answer is None else AnswerPair(answer=answer, reference=reference))

    def _grade(self, task: _Task, compared: Mapping[AnswerPair, MathComparison]) -> Grade:
        if task.pair is None:
            return self._scored(0.0, format_ok=False)
        comparison = compared[task.pair]
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
        """How right an answer is. One that nobody can check in time is not right."""
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
