"""Answers that show what a grader rewards: the right one in the ways a model may write it, empty text, and nonsense."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from verifine.config.graders import GraderTraits
from verifine.config.graders.fields import GT_ANSWER
from verifine.config.graders.template import reads_item, reads_sample
from verifine.data.field_path import DeadEndError, find_field
from verifine.graders.reference_answers import AnswerMark, reference_answer
from verifine.graders.sample_error import SampleError
from verifine.graders.template import render_reference
from verifine.types import Example, Grade, Json, Sample

ANSWER_FIELDS = ("model_sample", "output_text")
"""Fields of a row that hold an answer to grade, by OpenAI's names."""

NONSENSE = "Colourless green ideas sleep furiously while the borogoves outgrabe."

_THOUGHT = "I work it out step by step."


class Probe(StrEnum):
    """What kind of answer a row is given."""

    OWN = "own answer"
    """The answer in the row."""
    RIGHT = "right answer"
    """For a row without an answer of its own."""
    EMPTY = "empty text"
    NONSENSE = "nonsense"
    TRIVIAL = "form without content"
    """Where the grader has a form that can be filled with nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeAnswer:
    """An answer to a row."""

    row: Example
    probe: Probe
    way: str
    """How the right answer is written, or which form without content; empty for other probes."""
    text: str

    @property
    def sample(self) -> Sample:
        return Sample(output_text=self.text, item=self.row.item)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """A probe answer and its grade."""

    attempt: ProbeAnswer
    grade: Grade


def plan_attempts(traits: GraderTraits, row: Example, field: str | None) -> list[ProbeAnswer]:
    """The answers to try on a row; `field` holds its own answer, None: one of ANSWER_FIELDS."""
    own = find_own_answer(row.item, field)
    if own is None:
        return [*right_attempts(traits, row), *idle_attempts(traits, row)]
    return [ProbeAnswer(row=row, probe=Probe.OWN, way="", text=own), *idle_attempts(traits, row)]


def right_attempts(traits: GraderTraits, row: Example) -> Iterator[ProbeAnswer]:
    """The right answers of a row, each written in every way."""
    for answer in find_answers(traits, row.item):
        for way, text in write_right_answers(traits, answer).items():
            yield ProbeAnswer(row=row, probe=Probe.RIGHT, way=way, text=text)


def idle_attempts(traits: GraderTraits, row: Example) -> Iterator[ProbeAnswer]:
    """Answers without any work in them."""
    yield ProbeAnswer(row=row, probe=Probe.EMPTY, way="", text="")
    yield ProbeAnswer(row=row, probe=Probe.NONSENSE, way="", text=NONSENSE)
    for text in traits.trivial:
        yield ProbeAnswer(row=row, probe=Probe.TRIVIAL, way=text, text=text)


def keep_best(results: Iterable[ProbeResult]) -> list[ProbeResult]:
    """The result with the highest score of each row and probe; the first of equals."""
    best: dict[tuple[str, Probe], ProbeResult] = {}
    for result in results:
        key = (result.attempt.row.id, result.attempt.probe)
        if key not in best or _rank(result.grade) > _rank(best[key].grade):
            best[key] = result
    return list(best.values())


def _rank(grade: Grade) -> tuple[bool, float]:
    return grade.score is not None, grade.score or 0.0


def find_own_answer(item: Mapping[str, Json], field: str | None) -> str | None:
    """The answer that a row holds in `field`, a name or a path; None: in one of ANSWER_FIELDS."""
    values = (_find(item, name) for name in ((field,) if field else ANSWER_FIELDS))
    return next((value for value in values if isinstance(value, str)), None)


def _find(item: Mapping[str, Json], path: str) -> Json:
    """None: there is nothing."""
    try:
        return find_field(item, path)
    except DeadEndError:
        return None


def find_references(traits: GraderTraits, item: Mapping[str, Json]) -> list[str]:
    """The right answers of a row: those the grader compares with, and that in `gt_answer`.

    A reference that is made from the answer itself does not count, nor do null, blanks and the bare name of a field.
    """
    sample = Sample(output_text="", item=item)
    found = []
    references = (each for each in traits.references if not reads_sample(each) and not names_field(each, item))
    for template in (*references, GT_ANSWER):
        try:
            found.append(render_reference(template, sample))
        except SampleError:
            continue
    return list(dict.fromkeys(found))


def names_field(reference: str, item: Mapping[str, Json]) -> bool:
    """Whether a reference without braces is the name of a field, or the path of one, and so most likely meant as it."""
    return not reads_item(reference) and not reads_sample(reference) and _find(item, reference.strip()) is not None


def find_answers(traits: GraderTraits, item: Mapping[str, Json]) -> list[str]:
    """The right answers of a row as a model would write them.

    Of a worked solution that is what it marks as its answer; the whole of it only for a grader that looks for likeness.
    """
    answers: list[str] = []
    for reference in find_references(traits, item):
        answer = _marked_answer(reference)
        answers += [] if answer is None else [answer]
        answers += [] if traits.is_exact else [reference]
    return list(dict.fromkeys(answers))


def _marked_answer(reference: str) -> str | None:
    """None: it is a worked solution, and does not say what its answer is."""
    try:
        found = reference_answer(reference)
    except SampleError:
        return None
    if found.mark is AnswerMark.MISSING:
        return None
    return found.text if found.is_in_a_solution else reference


def write_right_answers(traits: GraderTraits, reference: str) -> dict[str, str]:
    """The right answer in every way a model may write it, by the name of the way."""
    ways = {
        "plain": reference,
        "<answer>": _tagged(("answer",), reference),
        "<think> <answer>": _tagged(("think", "answer"), reference),
        "\\boxed{}": f"{_THOUGHT} \\boxed{{{reference}}}",
    }
    for tags in traits.tags:
        ways.setdefault(" ".join(f"<{tag}>" for tag in tags), _tagged(tags, reference))
    return ways


def _tagged(tags: tuple[str, ...], reference: str) -> str:
    """The answer in the last of the tags, and a thought in each before it."""
    inside = [*[_THOUGHT] * (len(tags) - 1), reference]
    return " ".join(f"<{tag}>{text}</{tag}>" for tag, text in zip(tags, inside, strict=True))
