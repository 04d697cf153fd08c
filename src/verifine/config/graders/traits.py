"""What the checks and the tables ask of a grader: facts that follow from its configuration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Recognition(StrEnum):
    """Whether a right answer has to score high when it is written in the ways of `graders.probes`."""

    MUST = "must"
    """One of the ways has to score high."""
    FORM = "form"
    """It wants tags and nothing else; one of the ways has them."""
    MAY = "may"
    """It may want the answer written in another way: as code, for a judge, in a pattern, with more text around it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GraderTraits:
    """Facts about a grader. None has a default, so that every type states each of them."""

    templates: tuple[str, ...]
    """Every template that it fills in, and for a field of the row that it reads by name a template of that field."""
    references: tuple[str, ...]
    """Those of the templates that give the right answer."""
    judges_format: bool
    """Whether it says of an answer that its format is right or wrong."""
    requests_per_answer: int
    """How often grading one answer asks another machine."""
    is_cheap: bool
    """Whether grading is so quick that every row of a dataset can be tried."""
    recognition: Recognition
    why_untried: str
    """Why a right answer cannot be made from a row; empty: it can, if the row holds one."""
    tags: tuple[tuple[str, ...], ...]
    """Tags of its own that it wants the answer in; each entry is one way to write the answer, in its last tag."""
    trivial: tuple[str, ...]
    """Answers that have its form and no content, such as an empty object of JSON."""
    is_exact: bool
    """Whether an answer must have the letters or the value of the reference; else one that is like it may score."""
    passing_score: float | None
    """The score from which an answer passes; None: the grader has no such threshold."""

    @property
    def must_recognise_right(self) -> bool:
        return self.recognition is Recognition.MUST


CALLABLE_TRAITS = GraderTraits(
    templates=(),
    references=(),
    judges_format=False,
    requests_per_answer=0,
    is_cheap=False,
    recognition=Recognition.MAY,
    why_untried="",
    tags=(),
    trivial=(),
    is_exact=False,
    passing_score=None,
)
"""Those of a grader that a Python program brought, which has no configuration."""


def combine_traits(parts: Sequence[GraderTraits], *, judges_format: bool, recognition: Recognition) -> GraderTraits:
    """The traits of a grader made of others."""
    reasons = [part.why_untried for part in parts]
    return GraderTraits(
        templates=tuple(template for part in parts for template in part.templates),
        references=tuple(template for part in parts for template in part.references),
        judges_format=judges_format,
        requests_per_answer=sum(part.requests_per_answer for part in parts),
        is_cheap=all(part.is_cheap for part in parts),
        recognition=recognition,
        why_untried=reasons[0] if all(reasons) else "",
        tags=tuple(tags for part in parts for tags in part.tags),
        trivial=tuple(dict.fromkeys(answer for part in parts for answer in part.trivial)),
        is_exact=any(part.is_exact for part in parts),
        passing_score=None,
    )
